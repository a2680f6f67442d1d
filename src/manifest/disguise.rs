//! Recognizes files that stand in for a manifest: a Git LFS pointer, a symbolic link that was checked
//! out as text, a compressed or encrypted file, text in UTF-16.
//!
//! Each is an error of its own, for there may be a manifest behind it: to skip such a file, like
//! another tool's, would give up its offer.

use super::hint::FileHint;

/// How many bytes are searched for what no text has; git searches as many.
const HEAD: usize = 8_000;

/// The longest text that is taken for the target of a symbolic link, in bytes: `PATH_MAX` of Linux.
const MAX_PATH: usize = 4_096;

/// What the file is instead of a manifest, with a hint.
pub(super) fn disguise(bytes: &[u8]) -> Option<(&'static str, FileHint)> {
    if bytes.starts_with(b"version https://git-lfs.github.com/spec/") {
        return Some(("this is a Git LFS pointer, not the file that it stands for", FileHint::Lfs));
    }
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return Some(("this file is compressed with gzip", FileHint::Compressed));
    }
    if bytes.starts_with(b"\0GITCRYPT\0") {
        return Some(("this file is encrypted with git-crypt", FileHint::Encrypted));
    }
    if is_utf_16(bytes) {
        return Some(("this file is in UTF-16", FileHint::Encoding));
    }
    let is_link = bytes.len() <= MAX_PATH && std::str::from_utf8(bytes).is_ok_and(is_target);
    is_link.then_some((
        "this is a symbolic link that was checked out as text: it holds a path alone",
        FileHint::Link,
    ))
}

/// Whether a text is the relative path of a manifest: git writes a link's target where it can't create
/// links.
fn is_target(text: &str) -> bool {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    let is_manifest = text.rsplit_once('.').is_some_and(|(name, extension)| {
        !name.is_empty()
            && ["yaml", "yml"].iter().any(|known| extension.eq_ignore_ascii_case(known))
    });
    // Values, comments and list items aren't paths, even if they end like one.
    is_manifest
        && !text.starts_with(['/', '#', '-', '"', '\'', '[', '{'])
        && !text.chars().any(|c| c.is_control() || c == ':')
}

/// Whether these bytes are text neither in UTF-8 nor in any single-byte encoding.
pub(super) fn is_binary(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(HEAD)];
    let is_control = |byte: &u8| byte.is_ascii_control() && !b"\t\n\x0c\r\x1b".contains(byte);
    head.contains(&0) || (std::str::from_utf8(bytes).is_err() && head.iter().any(is_control))
}

/// Whether these bytes are UTF-16: they begin with its byte order mark, or with ASCII in it.
fn is_utf_16(bytes: &[u8]) -> bool {
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => true,
        [a, b, c, d, ..] => [(*a, *b, *c, *d), (*b, *a, *d, *c)]
            .iter()
            .any(|(a, b, c, d)| *a != 0 && *b == 0 && *c != 0 && *d == 0),
        [..] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_s_target_is_one_relative_path_of_a_manifest() {
        for link in ["a.yaml", "../base/vm.YML\n", "deep/a b.yaml\r\n", "é.yaml"] {
            assert_eq!(disguise(link.as_bytes()).map(|it| it.1), Some(FileHint::Link), "{link:?}");
        }
        for other in [
            "",
            ".yaml",
            "/etc/a.yaml",
            "a.json",
            "# a.yaml",
            "- a.yaml",
            "offer: a.yaml",
            "a.yaml\nb.yaml\n",
            "a.yaml ",
            "\"a.yaml",
            "just a text",
        ] {
            assert_eq!(disguise(other.as_bytes()), None, "{other:?}");
        }
    }

    #[test]
    fn binary_data_is_distinguished_from_other_encodings() {
        for binary in [&b"\x00"[..], b"a\0b", b"\xff\x01", b"\x7fELF\x02\xf0", b"\xe9\x08"] {
            assert!(is_binary(binary), "{binary:?}");
        }
        for text in [&b""[..], b"name: caf\xe9\r\n\t", "é\u{1}".as_bytes(), b"\x1b[31m\xe9"] {
            assert!(!is_binary(text), "{text:?}");
        }
        assert!(is_utf_16(b"\xff\xfea\0") && is_utf_16(b"a\0b\0") && is_utf_16(b"\0a\0b"));
        assert!(!is_utf_16(b"\0\0\0\0") && !is_utf_16(b"abcd") && !is_utf_16(b"a\0bc"));
    }
}
