//! Reads a file's manifests, with a single parse if there are no errors. Only this file uses
//! `serde_yaml`.

use std::path::{Path, PathBuf};

use serde::Deserialize as _;

use super::accounts::Accounts;
use super::characters::forbidden;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::disguise::{disguise, is_binary};
use super::explain::{Explained, MAX_ERRORS, explain};
use super::file::{Document, FileManifests, Loaded};
use super::find::find;
use super::foreign;
use super::hint::FileHint;
use super::input::read_bounded;
use super::lookalike::{self, Lookalike};
use super::offer::Manifest;
use super::rules::Problem;
use super::screen::{Screened, screen};
use super::source::Source;
use super::syntax::{conflict, syntax};
use super::tree::{Stop, Tree};
use super::validate::{ManifestSet, assemble_checked};

impl FileManifests {
    /// Reads manifests from the content of a file. Never fails: [`FileManifests::problems`] has the
    /// errors.
    #[must_use]
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Self {
        if let Some((what, hint)) = disguise(bytes) {
            return Self::unreadable(path, Diagnostic::of_file(path, what, hint));
        }
        let text = match decode(path, bytes) {
            Ok(text) => text,
            Err(problem) => {
                return Self::bad_text(path, bytes, &String::from_utf8_lossy(bytes), *problem);
            }
        };
        if text.trim_ascii().is_empty() {
            return Self::empty(path);
        }
        let Screened { forbidden, unusual } = screen(text);
        if let Some(byte) = forbidden {
            return Self::bad_text(path, bytes, text, forbidden_character(path, text, byte));
        }
        let typed = if unusual { None } else { Some(read_types(text)) };
        match typed {
            Some(Ok(Typed { manifests, blank: false })) => Self::whole(path, manifests),
            typed => Self::explained(path, text, typed, true),
        }
    }

    fn whole(path: &Path, manifests: Vec<(usize, Manifest)>) -> Self {
        let load = |(document, manifest)| Loaded::new(path, document, manifest);
        let documents = manifests.into_iter().filter_map(load).map(Document::whole).collect();
        Self {
            path: path.to_owned(),
            documents,
            problems: Vec::new(),
            complete: true,
            was_read: true,
        }
    }

    /// An empty file. It is more likely half written, or met a full disk, than meant to remove its
    /// offers; for that, one deletes the file. A file that has only comments is fine: somebody wrote
    /// them.
    fn empty(path: &Path) -> Self {
        Self::unreadable(path, Diagnostic::of_file(path, "this file is empty", FileHint::Empty))
    }

    /// A file with bytes or characters that no YAML has.
    fn bad_text(path: &Path, bytes: &[u8], text: &str, problem: Diagnostic) -> Self {
        if foreign::is_ours_by_lines(text) {
            return Self::unreadable(path, problem);
        }
        if !is_binary(bytes) {
            return Self::foreign(path);
        }
        let what = "this file isn't text, so it can't be a manifest";
        Self::unreadable(path, Diagnostic::of_file(path, what, FileHint::Binary))
    }

    /// Another tool's file, in which there is no manifest.
    fn foreign(path: &Path) -> Self {
        let problem = Diagnostic::of_file(path, foreign::what("file"), FileHint::Foreign);
        let problem = Diagnostic { line: 1, column: 1, ..problem };
        Self { complete: true, ..Self::unreadable(path, problem) }
    }

    /// The slow path: finds errors in the tree. A file without any must still pass `serde_yaml`.
    fn explained(
        path: &Path,
        text: &str,
        typed: Option<Result<Typed, Rejected>>,
        is_original: bool,
    ) -> Self {
        let source = Source::new(path, text);
        let mut tree = Tree::parse(text);
        let stop = tree.stop.take();
        let mut problems = Vec::new();
        let explained: Vec<Explained> = tree
            .documents
            .iter()
            .map(|root| explain(&tree, &source, *root, &mut problems))
            .collect();
        let complete = stop.is_none() && explained.iter().all(Explained::is_known);
        let is_stopped = stop.is_some();
        let verdict = match typed {
            Some(Ok(typed)) if is_stopped && typed.blank => {
                return Self::whole(path, typed.manifests);
            }
            Some(verdict) => verdict,
            // serde_yaml may read an unusual text only once it is known to be within bounds.
            None if is_stopped => Ok(Typed::default()),
            None => read_types(text),
        };
        if is_foreign(&explained, is_stopped, text) {
            return Self::foreign(path);
        }
        if let Some(problem) = conflict(&source) {
            return Self::unreadable(path, problem);
        }
        if is_stopped && explained.iter().all(|document| document.id_node.is_none()) {
            // The errors before the stop are consequences of what caused it.
            problems.clear();
        }
        if let Some(stop) = stop {
            // The cleaned text mostly fails at the same characters.
            if is_original {
                problems.push(syntax(&source, stop));
            }
        } else if problems.is_empty() {
            problems.extend(match &verdict {
                Err(rejected) => Some(rejected.explain(&source)),
                Ok(typed) => ambiguous(&source, &tree, typed, &explained),
            });
        }
        if is_original && !problems.is_empty() {
            let blamed = lookalike::blamed(&source, &problems, is_stopped);
            if !blamed.is_empty() {
                return Self::mended(&source, &blamed);
            }
        }
        if problems.len() >= MAX_ERRORS {
            let what = format!("there are more errors; only the first {MAX_ERRORS} are shown");
            problems.push(Diagnostic::whole(path, what, None));
        }
        let documents = explained.into_iter().enumerate();
        let documents = documents.filter_map(|(document, explained)| match explained.manifest {
            Some(manifest) => Loaded::new(path, document, manifest).map(Document::whole),
            None => explained.id.map(|id| Document::Broken { id, document }),
        });
        Self { documents: documents.collect(), problems, complete, ..Self::whole(path, Vec::new()) }
    }

    /// A file with lookalikes of characters that YAML needs. The other errors are those that remain
    /// once they are replaced; until then, no manifest of the file counts.
    fn mended(source: &Source<'_>, lookalikes: &[Lookalike]) -> Self {
        let path = source.file;
        let file = lookalike::mended(source.text, lookalikes)
            .map(|text| Self::explained(path, &text, None, false));
        let mut file = file.unwrap_or_else(|| Self { was_read: true, ..Self::unread(path) });
        file.problems.extend(lookalikes.iter().map(|one| one.diagnostic(source)));
        for document in &mut file.documents {
            let (id, number) = document.name();
            *document = Document::Broken { id: id.clone(), document: number };
        }
        file
    }
}

/// Whether a file is another tool's: no document is a manifest, nor is the part that can't be read.
fn is_foreign(explained: &[Explained], is_stopped: bool, text: &str) -> bool {
    let mut documents = explained.iter().filter(|document| !document.blank).peekable();
    let is_something = documents.peek().is_some();
    documents.all(|document| document.foreign)
        && if is_stopped { !foreign::is_ours_by_lines(text) } else { is_something }
}

/// What `serde_yaml` made of a file.
#[derive(Default)]
struct Typed {
    /// By the number of their document.
    manifests: Vec<(usize, Manifest)>,
    /// Whether a document is empty or `null`.
    blank: bool,
}

struct Rejected(serde_yaml::Error);

/// Reads all documents, up to the first that is wrong. Reading on after an error is not safe:
/// behind an unknown anchor, `serde_yaml` panics.
fn read_types(text: &str) -> Result<Typed, Rejected> {
    let mut typed = Typed::default();
    for (number, document) in serde_yaml::Deserializer::from_str(text).enumerate() {
        match Option::<Manifest>::deserialize(document).map_err(Rejected)? {
            Some(manifest) => typed.manifests.push((number, manifest)),
            None => typed.blank = true,
        }
    }
    Ok(typed)
}

impl Rejected {
    fn explain(&self, source: &Source<'_>) -> Diagnostic {
        let at = self.0.location().map_or(0, |location| location.index());
        let problem = Problem::new(without_places(&self.0.to_string()));
        syntax(source, Stop { at, problem })
    }
}

/// A message without "at line 3 column 4": golive shows the place in front.
fn without_places(message: &str) -> String {
    let mut words: Vec<&str> = message.split(' ').collect();
    while let Some(at) = words.windows(5).position(|words| {
        matches!(words, ["at", "line", _, "column", column] if column.starts_with(|c: char| c.is_ascii_digit()))
    }) {
        let comma = words[at + 4].ends_with(',');
        words.drain(at..at + 5);
        if let Some(last) = at.checked_sub(1).filter(|_| comma) {
            words.insert(last + 1, "–");
        }
    }
    words.join(" ")
}

/// The error of a file that the two readers read differently: `serde_yaml` mixes up anchors after one
/// that is defined twice.
fn ambiguous(
    source: &Source<'_>,
    tree: &Tree<'_>,
    typed: &Typed,
    explained: &[Explained],
) -> Option<Diagnostic> {
    let read = explained.iter().enumerate().filter_map(|(number, explained)| {
        explained.manifest.as_ref().map(|manifest| (number, manifest))
    });
    let mut typed = typed.manifests.iter().map(|(number, manifest)| (*number, manifest));
    for (number, manifest) in read {
        if typed.next() != Some((number, manifest)) {
            let place = tree.place(*tree.documents.get(number)?);
            let problem = Problem::new("the anchors of this document can be read in two ways")
                .hint("give each anchor a name of its own, or write the values out");
            return Some(source.diagnostic(place.start..place.start + 1, problem));
        }
    }
    None
}

pub(super) fn decode<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a str, Box<Diagnostic>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let shown = String::from_utf8_lossy(bytes);
        let source = Source::new(path, &shown);
        let at = source.character_at(error.valid_up_to());
        let bad = bytes.get(error.valid_up_to()).copied().unwrap_or_default();
        let problem = Problem::new(format!("the byte 0x{bad:02x} is not UTF-8"));
        Box::new(source.diagnostic(at..at + 1, problem).with_hint(FileHint::Encoding))
    })
}

pub(super) fn forbidden_character(path: &Path, text: &str, byte: usize) -> Diagnostic {
    let source = Source::new(path, text);
    let at = source.character_at(byte);
    let c = text.get(byte..).and_then(|rest| rest.chars().next()).unwrap_or_default();
    let problem = Problem::new(format!("{} is not allowed", forbidden(c)));
    source.diagnostic(at..at + 1, problem.hint("remove it"))
}

/// Reads one file. Never fails: [`FileManifests::problems`] has the errors.
pub(crate) fn load_file(path: &Path) -> FileManifests {
    match read_bounded(path) {
        Ok(bytes) => FileManifests::from_bytes(path, &bytes),
        Err(problem) => FileManifests { problems: vec![*problem], ..FileManifests::unread(path) },
    }
}

/// A thread is worth its start only for this many files.
const MIN_FILES_PER_THREAD: usize = 64;

/// Reads files on all cores, in order. Nearly all the time goes to system calls and libyaml, file
/// by file, so that a second core halves it.
pub(crate) fn load_files<P: AsRef<Path> + Sync>(paths: &[P]) -> Vec<FileManifests> {
    let load = |paths: &[P]| -> Vec<FileManifests> {
        paths.iter().map(|path| load_file(path.as_ref())).collect()
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.min(paths.len().div_ceil(MIN_FILES_PER_THREAD));
    if threads <= 1 {
        return load(paths);
    }
    std::thread::scope(|scope| {
        let chunks = paths.chunks(paths.len().div_ceil(threads));
        let threads: Vec<_> = chunks.map(|chunk| scope.spawn(move || load(chunk))).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| match thread.join() {
            Ok(files) => files,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        threads.into_iter().flat_map(join).collect()
    })
}

/// Loads all manifests in the given files and folders (`.` where none is given) and checks them,
/// each by itself and all together.
///
/// # Errors
/// Every error in any of the files. Then no manifest may be acted on.
pub fn load(paths: &[PathBuf]) -> Result<ManifestSet, Diagnostics> {
    load_checked(paths, &Accounts::default())
}

/// The same, and no two offers may be one product by these accounts.
pub(crate) fn load_checked(
    paths: &[PathBuf],
    accounts: &Accounts,
) -> Result<ManifestSet, Diagnostics> {
    let found = find(paths);
    let files = load_files(&found.files);
    assemble_checked(&found, &files, accounts)
}

/// What `serde_yaml` alone makes of a text, for a comparison of both readers.
#[cfg(test)]
pub(super) fn accepted(text: &str) -> Option<Vec<Manifest>> {
    let typed = read_types(text).ok()?;
    Some(typed.manifests.into_iter().map(|(_, manifest)| manifest).collect())
}

/// What the tree reader alone makes of a text. `None` where the syntax stops one of the readers:
/// the tree's grammar is YAML 1.2, and libyaml's is 1.1 (`{a: -}`).
#[cfg(test)]
pub(super) fn explained_only(path: &Path, text: &str) -> Option<Result<Vec<Manifest>, String>> {
    let mut documents = serde_yaml::Deserializer::from_str(text);
    if documents.any(|document| serde::de::IgnoredAny::deserialize(document).is_err()) {
        return None;
    }
    let (source, tree, mut problems) = (Source::new(path, text), Tree::parse(text), Vec::new());
    let explained: Vec<Explained> =
        tree.documents.iter().map(|root| explain(&tree, &source, *root, &mut problems)).collect();
    match (problems.first(), tree.stop) {
        (_, Some(_)) => None,
        (Some(problem), None) => Some(Err(format!("{problem:?}"))),
        (None, None) => Some(Ok(explained.into_iter().filter_map(|one| one.manifest).collect())),
    }
}

/// A manifest as YAML.
#[cfg(test)]
pub(super) fn written(manifest: &Manifest) -> String {
    serde_yaml::to_string(manifest).unwrap()
}

/// The documents of a text as JSON, read by no type of golive's.
#[cfg(test)]
pub(super) fn values(text: &str) -> Vec<serde_json::Value> {
    let documents = serde_yaml::Deserializer::from_str(text);
    documents.map(|document| serde_json::Value::deserialize(document).unwrap()).collect()
}
