//! What stands where a manifest should be, told by its first bytes: a Git LFS pointer, a symbolic link
//! that was checked out as text, a compressed or an encrypted file, bytes that are no text.
//!
//! Each is told by its name, for there may be a manifest behind it: to leave such a file out, as another
//! tool's, would give that offer up.

use super::hint::FileHint;

/// How many bytes are looked at for what no text has, as git does it.
const HEAD: usize = 8_000;

/// The longest text that is taken for the target of a symbolic link, in bytes: `PATH_MAX` of Linux.
const MAX_PATH: usize = 4_096;

/// What a file is in the place of a manifest, and what to do about it.
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
    let is_link = bytes.len() <= MAX_PATH && std::str::from_utf8(bytes).is_ok_and(is_target);
    is_link.then_some((
        "this is a symbolic link that was checked out as text: it holds a path alone",
        FileHint::Link,
    ))
}

/// Whether a text is the relative path of a manifest, as git writes the target of a link where it can't
/// make links.
fn is_target(text: &str) -> bool {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    let is_manifest = text.rsplit_once('.').is_some_and(|(name, extension)| {
        !name.is_empty()
            && ["yaml", "yml"].iter().any(|known| extension.eq_ignore_ascii_case(known))
    });
    // A value, a comment and a list's item are no paths, whatever they end in.
    is_manifest
        && !text.starts_with(['/', '#', '-', '"', '\'', '[', '{'])
        && !text.chars().any(|c| c.is_control() || c == ':')
}

/// Whether these bytes are no text at all, in any encoding of one byte a character or in UTF-8.
pub(super) fn is_binary(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(HEAD)];
    let is_odd = |byte: &u8| byte.is_ascii_control() && !b"\t\n\x0c\r\x1b".contains(byte);
    head.contains(&0) || (std::str::from_utf8(bytes).is_err() && head.iter().any(is_odd))
}

/// Whether these bytes are UTF-16: by the mark at their beginning, or by the zeros of ASCII's letters.
pub(super) fn is_utf_16(bytes: &[u8]) -> bool {
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
    fn bytes_that_are_no_text_are_told_from_other_encodings() {
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
