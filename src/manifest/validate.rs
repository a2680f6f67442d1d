//! What only shows across files: an offer given twice, an unknown one in `after`, cycles.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::diagnostic::{Diagnostic, Diagnostics, Related};
use super::explain::{Explained, explain};
use super::file::{Document, FileManifests, Loaded};
use super::find::Found;
use super::hint::InputKind;
use super::load::read_bounded;
use super::lookalike;
use super::rules::{Problem, nearest};
use super::source::Source;
use super::tree::Tree;
use crate::marketplace::OfferId;

/// Finding the nearest of all names takes a look at all names: only so many errors get one.
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
    /// The paths that were asked for; `.` where none was.
    pub roots: Vec<PathBuf>,
    /// The manifest files and the folders that a `.goliveignore` leaves out.
    pub ignored: Vec<PathBuf>,
}

/// Everything that is wrong: in finding the files, in each file, and across them. Sorted by file,
/// line and column.
pub fn check<'a>(
    found: &Found,
    files: impl IntoIterator<Item = &'a FileManifests>,
) -> Vec<Diagnostic> {
    let files: Vec<&FileManifests> = files.into_iter().collect();
    let mut problems = found.problems.clone();
    for file in &files {
        let input = || InputKind::of(file.path(), &found.named);
        problems.extend(file.problems.iter().map(|problem| problem.clone().for_input(input())));
    }

    let mut check = Check::new(&files);
    let is_complete = found.problems.is_empty() && files.iter().all(|file| file.complete);
    check.unknown(is_complete);
    check.cycles();
    if !check.pending.is_empty() {
        problems.extend(place(check.pending));
    }
    Diagnostics::new(problems).into_iter().collect()
}

/// Whether [`check`] finds the same with a file as it is now as it did with what it was before, as
/// long as nothing it told is about that file.
pub(crate) fn are_checked_alike(before: &FileManifests, now: &FileManifests) -> bool {
    let is_whole = |file: &FileManifests| file.problems.is_empty() && file.complete;
    let links = |file: &FileManifests| -> Vec<(String, Vec<String>)> {
        let after = |it: &Document| it.after().iter().map(ToString::to_string).collect();
        file.documents.iter().map(|it| (it.name().0.to_string(), after(it))).collect()
    };
    is_whole(before) && is_whole(now) && links(before) == links(now)
}

/// Puts files together that were read one by one, and checks what only shows across them.
///
/// # Errors
/// Everything that is wrong, as [`check`] tells it.
pub fn assemble<'a>(
    found: &Found,
    files: impl IntoIterator<Item = &'a FileManifests>,
) -> Result<ManifestSet, Diagnostics> {
    let files: Vec<&FileManifests> = files.into_iter().collect();
    let problems = check(found, files.iter().copied());
    if !problems.is_empty() {
        return Err(Diagnostics::new(problems));
    }
    let loaded = files.iter().flat_map(|file| file.loaded());
    Ok(ManifestSet {
        offers: loaded.map(|loaded| (loaded.id.clone(), Arc::clone(loaded))).collect(),
        files: files.iter().map(|file| file.path().to_owned()).collect(),
        roots: found.roots.clone(),
        ignored: found.ignored.clone(),
    })
}

/// A document, by its file and its number in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Spot<'a> {
    file: &'a Path,
    document: usize,
}

/// What in a document an error is about.
#[derive(Clone, Copy, Debug)]
enum Part {
    Offer,
    /// The item of `after` with this number.
    After(usize),
}

/// An error whose line and column are not known yet.
#[derive(Debug)]
struct Pending<'a> {
    spot: Spot<'a>,
    part: Part,
    problem: Problem,
    first: Option<Spot<'a>>,
}

struct Check<'a> {
    /// Each offer's first document, by hash: a watcher does all this on every save, and ordering
    /// ten thousand names several times over is what would take the time.
    offers: HashMap<&'a OfferId, (Spot<'a>, &'a Document)>,
    /// The offers that come after others, in order.
    waiting: Vec<&'a OfferId>,
    pending: Vec<Pending<'a>>,
}

impl<'a> Check<'a> {
    /// Takes in all documents; an offer that is given twice is told here.
    fn new(files: &[&'a FileManifests]) -> Self {
        let mut check = Self { offers: HashMap::new(), waiting: Vec::new(), pending: Vec::new() };
        for file in files {
            for document in &file.documents {
                let (id, number) = document.name();
                let spot = Spot { file: file.path(), document: number };
                match check.offers.entry(id) {
                    Entry::Vacant(entry) => {
                        entry.insert((spot, document));
                        if !document.after().is_empty() {
                            check.waiting.push(id);
                        }
                    }
                    Entry::Occupied(entry) => {
                        let what = format!("the offer {id} has more than one manifest");
                        let problem = Problem::new(what).hint("keep one of them");
                        let first = Some(entry.get().0);
                        check.pending.push(Pending { spot, part: Part::Offer, problem, first });
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

    fn tell(&mut self, id: &OfferId, part: Part, problem: Problem) {
        if let Some((spot, _)) = self.offers.get(id).copied() {
            self.pending.push(Pending { spot, part, problem, first: None });
        }
    }

    /// Offers that nothing is about. Where not every document could be named, the missing one may
    /// be among those; it is told all the same, as all errors are, and the hint says so.
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
            // Names of quite another length are not near.
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
            self.tell(id, Part::After(index), problem);
        }
    }

    /// Finds cycles by a walk in depth, without recursion: a chain may be as long as there are
    /// offers. Each way back onto the current path is one cycle.
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
                    self.tell(id, Part::After(index), problem);
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

/// Finds the lines of errors by reading their files once more: where all is well, no lines are
/// kept.
fn place(pending: Vec<Pending<'_>>) -> Vec<Diagnostic> {
    let mut firsts: BTreeMap<&Path, BTreeSet<Spot<'_>>> = BTreeMap::new();
    for spot in pending.iter().filter_map(|pending| pending.first) {
        firsts.entry(spot.file).or_default().insert(spot);
    }
    let mut related: BTreeMap<Spot<'_>, Related> = BTreeMap::new();
    for (file, spots) in firsts {
        let read = Reread::new(file);
        read.with(|lines| {
            related.extend(spots.into_iter().map(|spot| (spot, lines.related(spot))));
        });
    }
    let mut by_file: BTreeMap<&Path, Vec<Pending<'_>>> = BTreeMap::new();
    for error in pending {
        by_file.entry(error.spot.file).or_default().push(error);
    }
    let mut diagnostics = Vec::new();
    for (file, errors) in by_file {
        let read = Reread::new(file);
        read.with(|lines| {
            diagnostics.extend(errors.into_iter().map(|error| {
                let first = error.first.and_then(|first| related.get(&first).cloned());
                Diagnostic { related: first, ..lines.diagnostic(error) }
            }));
        });
    }
    diagnostics
}

struct Reread<'a> {
    file: &'a Path,
    /// Empty where the file is gone since; then errors are about the file as a whole.
    text: String,
}

impl<'a> Reread<'a> {
    fn new(file: &'a Path) -> Self {
        let bytes = read_bounded(file).unwrap_or_default();
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        Self { file, text: String::from_utf8_lossy(bytes).into_owned() }
    }

    fn with(&self, use_it: impl FnOnce(&Lines<'_>)) {
        let source = Source::new(self.file, &self.text);
        let tree = Tree::parse(&self.text);
        // What was read with lookalikes replaced is found in the same way.
        let replaced = tree.stop.is_some().then(|| lookalike::blamed(&source, &[], true));
        let replaced = replaced.and_then(|lookalikes| lookalike::mended(&self.text, &lookalikes));
        let tree = replaced.as_deref().map_or(tree, Tree::parse);
        let documents = tree
            .documents
            .iter()
            .map(|root| explain(&tree, &source, *root, &mut Vec::new()))
            .collect();
        use_it(&Lines { source: &source, tree: &tree, documents });
    }
}

struct Lines<'a> {
    source: &'a Source<'a>,
    tree: &'a Tree<'a>,
    documents: Vec<Explained>,
}

impl Lines<'_> {
    fn find(&self, document: usize, part: Part) -> Option<std::ops::Range<usize>> {
        let explained = self.documents.get(document)?;
        let node = match part {
            Part::Offer => explained.id_node,
            Part::After(index) => explained.after_nodes.get(index).copied(),
        };
        node.map(|node| self.tree.place(node))
    }

    fn related(&self, spot: Spot<'_>) -> Related {
        let what = "first defined";
        match self.find(spot.document, Part::Offer) {
            Some(place) => self.source.related(what, place.start),
            None => {
                Related { what: what.to_owned(), file: spot.file.to_owned(), line: 0, column: 0 }
            }
        }
    }

    fn diagnostic(&self, error: Pending<'_>) -> Diagnostic {
        let Pending { spot, part, problem, first: _ } = error;
        match self.find(spot.document, part) {
            Some(place) => self.source.diagnostic(place, problem),
            None => Diagnostic::whole(spot.file, problem.what, problem.hint),
        }
    }
}
