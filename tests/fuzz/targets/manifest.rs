//! Manifests, as people, merges, editors or wrong tools leave them.

use std::io::{self, Write};
use std::path::Path;

use golive::manifest::{Diagnostic, FileManifests, Manifest, assemble};
use serde::Serialize as _;
use serde_json::ser::{Formatter, Serializer};

use super::text::assert_clean;

/// The most errors that are shown per file, plus the one that says there are more.
const MAX_PROBLEMS: usize = 1_001;

pub fn manifest(data: &[u8]) {
    let file = read(data);
    // For some inputs only, since it takes half of the time.
    if data.len().is_multiple_of(8) {
        let again = read(data);
        assert_eq!(file.problems(), again.problems(), "the same bytes, the same verdict");
        assert!(file.manifests().eq(again.manifests()), "the same bytes, the same manifests");
    }

    assert!(file.problems().len() <= MAX_PROBLEMS, "{} errors", file.problems().len());
    for problem in file.problems() {
        assert_told(data, problem);
    }
    if file.problems().is_empty() {
        for manifest in file.manifests() {
            assert_reads_itself(manifest);
        }
    }
    // Across documents: twice the same offer, an unknown one in `after`, a cycle.
    if let Err(problems) = assemble(&golive::manifest::Found::default(), [&file]) {
        assert!(!problems.is_empty());
        let shown = problems.render(false);
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
    }
}

fn read(data: &[u8]) -> FileManifests {
    FileManifests::from_bytes(Path::new("vm.yaml"), data)
}

/// Checks that an error has a valid position, and is harmless to show.
fn assert_told(data: &[u8], problem: &Diagnostic) {
    assert!(!problem.what.is_empty());
    assert_clean(&problem.what);
    if let Some(hint) = &problem.hint {
        assert_clean(hint);
    }
    assert_within(data, problem.line, problem.column);
    if let Some(other) = &problem.related {
        assert_within(data, other.line, other.column);
    }
}

/// Lines and columns count from 1, in characters; an error may be at the end of a line. Line 0 is
/// the file as a whole.
fn assert_within(data: &[u8], line: usize, column: usize) {
    if (line, column) == (0, 0) {
        return;
    }
    let text = String::from_utf8_lossy(data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data));
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let shown = line.checked_sub(1).and_then(|before| text.split('\n').nth(before));
    let shown = shown.unwrap_or_else(|| panic!("there is no line {line}"));
    // One more for the end of the line, and one for a `\r` before it.
    assert!((1..=shown.chars().count() + 2).contains(&column), "line {line}: no column {column}");
}

/// A printed manifest parses as the same manifest.
fn assert_reads_itself(manifest: &Manifest) {
    let mut printed = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut printed, Escaping);
    manifest.serialize(&mut serializer).expect("it can be printed");
    let read = read(&printed);
    let shown = String::from_utf8_lossy(&printed);
    assert_eq!(read.problems(), [], "{shown}");
    assert!(read.manifests().eq([manifest]), "{shown}");
    assert_eq!(read.manifests().map(Manifest::digest).next(), Some(manifest.digest()));
}

/// JSON that is also YAML: characters that a manifest may only have as escapes are escaped, and those
/// beyond U+FFFF the YAML way, since YAML has no surrogates.
struct Escaping;

impl Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        for c in fragment.chars() {
            if c.is_ascii() && !c.is_ascii_control() {
                write!(writer, "{c}")?;
            } else {
                write!(writer, "\\U{:08X}", u32::from(c))?;
            }
        }
        Ok(())
    }
}
