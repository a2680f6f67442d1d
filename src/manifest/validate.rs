//! Checks across files: duplicate offers, unknown offers in `after`, cycles.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::accounts::Accounts;
use super::diagnostic::{Diagnostic, Diagnostics, Related};
use super::explain::{Explained, explain};
use super::file::{Document, FileManifests, Loaded};
use super::find::Found;
use super::hint::InputKind;
use super::input::{is_pipe, read_bounded};
use super::lookalike;
use super::rules::{Problem, nearest};
use super::source::Source;
use super::tree::{NodeId, Tree};
use crate::marketplace::OfferId;

/// How many errors get a suggestion: each is a search through all names.
const MAX_SUGGESTIONS: usize = 20;
/// How many offers of a cycle are named.
const MAX_NAMED: usize = 12;

/// All manifests, checked.
#[derive(Clone, Debug, Default)]
pub struct ManifestSet {
    /// By the offer's name, compared without case.
    pub offers: BTreeMap<OfferId, Arc<Loaded>>,
    /// The files they came from, sorted; also those that hold none.
    pub files: Vec<PathBuf>,
    /// The manifest files and the folders that a `.goliveignore` leaves out.
    pub ignored: Vec<PathBuf>,
}

/// Every error: in finding the files, in each file, and across them. Sorted by file, line and column.
pub(crate) fn check<'a>(
    found: &Found,
    files: impl IntoIterator<Item = &'a FileManifests>,
    accounts: &Accounts,
) -> Vec<Diagnostic> {
    let files: Vec<&FileManifests> = files.into_iter().collect();
    let mut problems = found.problems.clone();
    for file in &files {
        let input = || match file.path() {
            path if !found.named.contains(path) => InputKind::InFolder,
            path if is_pipe(path) => InputKind::Piped,
            _ => InputKind::Named,
        };
        problems.extend(file.problems.iter().map(|problem| problem.clone().for_input(input())));
    }

    let mut check = Check::new(&files);
    let is_complete = found.problems.is_empty() && files.iter().all(|file| file.complete);
    check.one_product(accounts);
    check.unknown(is_complete);
    check.cycles();
    if !check.pending.is_empty() {
        problems.extend(place(check.pending));
    }
    Diagnostics::new(problems).into_iter().collect()
}

/// Whether [`check`] reports the same errors with the new version of a file as with the one before,
/// provided that none of them was about that file.
pub(crate) fn are_checked_alike(before: &FileManifests, now: &FileManifests) -> bool {
    let is_whole = |file: &FileManifests| file.problems.is_empty() && file.complete;
    let links = |file: &FileManifests| -> Vec<(String, Vec<String>)> {
        let after = |it: &Document| it.after().iter().map(ToString::to_string).collect();
        file.documents.iter().map(|it| (it.name().0.to_string(), after(it))).collect()
    };
    is_whole(before) && is_whole(now) && links(before) == links(now)
}

/// Combines files that were read one by one, and checks what only shows across them.
///
/// # Errors
/// Every error that `check` finds.
pub fn assemble<'a>(
    found: &Found,
    files: impl IntoIterator<Item = &'a FileManifests>,
) -> Result<ManifestSet, Diagnostics> {
    assemble_checked(found, files, &Accounts::default())
}

/// The same, and no two offers may be one product by these accounts.
pub(super) fn assemble_checked<'a>(
    found: &Found,
    files: impl IntoIterator<Item = &'a FileManifests>,
    accounts: &Accounts,
) -> Result<ManifestSet, Diagnostics> {
    let files: Vec<&FileManifests> = files.into_iter().collect();
    let problems = check(found, files.iter().copied(), accounts);
    if !problems.is_empty() {
        return Err(Diagnostics::new(problems));
    }
    let loaded = files.iter().flat_map(|file| file.loaded());
    Ok(ManifestSet {
        offers: loaded.map(|loaded| (loaded.id.clone(), Arc::clone(loaded))).collect(),
        files: files.iter().map(|file| file.path().to_owned()).collect(),
        ignored: found.ignored.clone(),
    })
}

/// A document, by its file and its number in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct DocumentId<'a> {
    file: &'a Path,
    document: usize,
}

/// The part of a document that an error is about.
#[derive(Clone, Copy, Debug)]
enum Part {
    Offer,
    /// The item of `after` with this number.
    After(usize),
}

/// An error whose line and column are not known yet.
#[derive(Debug)]
struct Pending<'a> {
    document: DocumentId<'a>,
    part: Part,
    problem: Problem,
    /// The first document about the same offer.
    first: Option<DocumentId<'a>>,
}

struct Check<'a> {
    /// Each offer's first document. A hash map, because a service checks on every save, and sorting
    /// ten thousand names several times would take most of the time.
    offers: HashMap<&'a OfferId, (DocumentId<'a>, &'a Document)>,
    /// The offers that come after others, in order.
    waiting: Vec<&'a OfferId>,
    pending: Vec<Pending<'a>>,
}

impl<'a> Check<'a> {
    /// Collects all documents, and reports offers with more than one.
    fn new(files: &[&'a FileManifests]) -> Self {
        let mut check = Self { offers: HashMap::new(), waiting: Vec::new(), pending: Vec::new() };
        for file in files {
            for document in &file.documents {
                let (id, number) = document.name();
                let at = DocumentId { file: file.path(), document: number };
                match check.offers.entry(id) {
                    Entry::Vacant(entry) => {
                        entry.insert((at, document));
                        if !document.after().is_empty() {
                            check.waiting.push(id);
                        }
                    }
                    Entry::Occupied(entry) => {
                        let what = format!("the offer {id} has more than one manifest");
                        let problem = Problem::new(what).hint("keep one of them");
                        let first = Some(entry.get().0);
                        let part = Part::Offer;
                        check.pending.push(Pending { document: at, part, problem, first });
                    }
                }
            }
        }
        check.waiting.sort_unstable();
        check
    }

    fn after(&self, id: &OfferId) -> &'a [OfferId] {
        self.offers.get(id).map_or(&[], |(_, document)| document.after())
    }

    fn error(&mut self, id: &OfferId, part: Part, problem: Problem) {
        if let Some((document, _)) = self.offers.get(id).copied() {
            self.pending.push(Pending { document, part, problem, first: None });
        }
    }

    /// Reports offers that are one product: of two publishers that share an account of an API that
    /// names no publisher.
    fn one_product(&mut self, accounts: &Accounts) {
        if accounts.is_none() {
            return;
        }
        let mut products: HashMap<(usize, String), Vec<&'a OfferId>> = HashMap::new();
        for id in self.offers.keys().copied() {
            if let Some((account, name)) = accounts.product(id) {
                products.entry((account, name.to_ascii_lowercase())).or_default().push(id);
            }
        }
        for mut offers in products.into_values().filter(|offers| offers.len() > 1) {
            offers.sort_unstable();
            let Some((first, others)) = offers.split_first() else { continue };
            let first_place = self.offers.get(first).map(|(place, _)| *place);
            for other in others {
                let what = format!(
                    "{first} and {other} are one product: their publishers share a credential, and \
                     their API names no publisher"
                );
                let hint = "give each publisher a credential of its own in golive.yaml, or keep one \
                            of the two manifests";
                let problem = Problem::new(what).hint(hint);
                if let Some((document, _)) = self.offers.get(other).copied() {
                    let (part, first) = (Part::Offer, first_place);
                    self.pending.push(Pending { document, part, problem, first });
                }
            }
        }
    }

    /// Reports offers in `after` that no manifest declares. If some documents could not be read, the
    /// missing one may be among them, and the hint says so.
    fn unknown(&mut self, is_complete: bool) {
        let mut missing: Vec<(&'a OfferId, usize, &'a OfferId)> = Vec::new();
        for id in &self.waiting {
            let after = self.after(id).iter().enumerate();
            let unknown = after.filter(|(_, after)| !self.offers.contains_key(after));
            missing.extend(unknown.map(|(index, after)| (*id, index, after)));
        }
        if missing.is_empty() {
            return;
        }
        let mut names: Vec<String> = self.offers.keys().map(ToString::to_string).collect();
        names.sort_unstable();
        for (number, (id, index, after)) in missing.into_iter().enumerate() {
            let text = after.to_string();
            // Spares comparing names of very different length.
            let is_near = |name: &&String| name.len().abs_diff(text.len()) <= text.len() / 2;
            let similar = names.iter().filter(is_near).map(String::as_str);
            let near = if number < MAX_SUGGESTIONS { nearest(&text, similar) } else { None };
            let problem = Problem::new(format!("no manifest declares the offer \"{after}\""));
            let problem = match near {
                Some(near) => problem.hint(format!("did you mean \"{near}\"?")),
                None if is_complete => problem.hint("add a manifest for it, or remove it here"),
                None => problem.hint(
                    "add a manifest for it, or remove it here; \
                     or it is in what could not be read: mend the other errors first",
                ),
            };
            self.error(id, Part::After(index), problem);
        }
    }

    /// Finds cycles by a depth-first search, without recursion: a chain may be as long as there are
    /// offers. Each edge back onto the current path is one cycle.
    fn cycles(&mut self) {
        let mut done: HashSet<&'a OfferId> = HashSet::new();
        for start in self.waiting.clone() {
            if done.contains(start) {
                continue;
            }
            let mut path: Vec<(&'a OfferId, usize)> = vec![(start, 0)];
            let mut on_path: HashMap<&'a OfferId, usize> = HashMap::from([(start, 0)]);
            while let Some((id, next)) = path.last_mut() {
                let id = *id;
                let index = *next;
                *next += 1;
                let Some(after) = self.after(id).get(index) else {
                    done.insert(id);
                    on_path.remove(id);
                    path.pop();
                    continue;
                };
                if let Some(begin) = on_path.get(after).copied() {
                    let cycle: Vec<&OfferId> = path[begin..].iter().map(|(id, _)| *id).collect();
                    let problem = cycle_problem(&cycle);
                    self.error(id, Part::After(index), problem);
                } else if !done.contains(after) && self.offers.contains_key(after) {
                    on_path.insert(after, path.len());
                    path.push((after, 0));
                }
            }
        }
    }
}

fn cycle_problem(cycle: &[&OfferId]) -> Problem {
    let Some(first) = cycle.first() else { return Problem::new("a cycle in \"after\"") };
    if cycle.len() == 1 {
        return Problem::new(format!("{first} cannot come after itself"))
            .hint("remove it from its own \"after\"");
    }
    let mut names: Vec<String> = cycle.iter().take(MAX_NAMED).map(ToString::to_string).collect();
    if cycle.len() > MAX_NAMED {
        names.push(format!("… ({} offers)", cycle.len()));
    }
    names.push(first.to_string());
    Problem::new(format!("these offers wait for each other: {}", names.join(" → ")))
        .hint("remove one of them from an \"after\"")
}

/// Finds the lines of errors by reading their files once more: files without errors keep no lines.
fn place(pending: Vec<Pending<'_>>) -> Vec<Diagnostic> {
    let mut firsts: BTreeMap<&Path, BTreeSet<DocumentId<'_>>> = BTreeMap::new();
    let mut by_file: BTreeMap<&Path, Vec<Pending<'_>>> = BTreeMap::new();
    for error in pending {
        if let Some(first) = error.first {
            firsts.entry(first.file).or_default().insert(first);
        }
        by_file.entry(error.document.file).or_default().push(error);
    }
    let mut related: BTreeMap<DocumentId<'_>, Related> = BTreeMap::new();
    for (file, documents) in firsts {
        reread(file, |read| {
            related.extend(documents.into_iter().map(|first| (first, read.first_defined(first))));
        });
    }
    let mut diagnostics = Vec::new();
    for (file, errors) in by_file {
        reread(file, |read| {
            diagnostics.extend(errors.into_iter().map(|error| {
                let first = error.first.and_then(|first| related.get(&first).cloned());
                Diagnostic { related: first, ..read.diagnostic(error) }
            }));
        });
    }
    diagnostics
}

/// A file that was read again, to find the places of errors in it. It is empty if the file is gone
/// since; errors are then about the file as a whole.
struct Reread<'a> {
    source: &'a Source<'a>,
    tree: &'a Tree<'a>,
    documents: Vec<Explained>,
}

fn reread(file: &Path, use_it: impl FnOnce(&Reread<'_>)) {
    let bytes = read_bounded(file).unwrap_or_default();
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let text = String::from_utf8_lossy(bytes);
    let source = Source::new(file, &text);
    let mut tree = Tree::parse(&text);
    // If lookalikes were replaced for the first reading, replace them again.
    let lookalikes = tree.stop.is_some().then(|| lookalike::blamed(&source, &[], true));
    let mended = lookalikes.and_then(|lookalikes| lookalike::mended(&text, &lookalikes));
    if let Some(mended) = &mended {
        tree = Tree::parse(mended);
    }
    let explain = |root: &NodeId| explain(&tree, &source, *root, &mut Vec::new());
    let documents = tree.documents.iter().map(explain).collect();
    use_it(&Reread { source: &source, tree: &tree, documents });
}

impl Reread<'_> {
    fn find(&self, document: usize, part: Part) -> Option<Range<usize>> {
        let explained = self.documents.get(document)?;
        let node = match part {
            Part::Offer => explained.id_node,
            Part::After(index) => explained.after_nodes.get(index).copied(),
        };
        node.map(|node| self.tree.place(node))
    }

    fn first_defined(&self, DocumentId { file, document }: DocumentId<'_>) -> Related {
        let what = "first defined";
        match self.find(document, Part::Offer) {
            Some(place) => self.source.related(what, place.start),
            None => Related { what: what.to_owned(), file: file.to_owned(), line: 0, column: 0 },
        }
    }

    fn diagnostic(&self, Pending { document, part, problem, .. }: Pending<'_>) -> Diagnostic {
        match self.find(document.document, part) {
            Some(place) => self.source.diagnostic(place, problem),
            None => Diagnostic::whole(document.file, problem.what, problem.hint),
        }
    }
}
