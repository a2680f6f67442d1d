//! How the submissions of a product stand, whatever their order and whichever shape the list has.
//!
//! A golive makes no new submission: the preview's entry turns into the live one, with the same id
//! (documented by example, seen by clients). An older form lists both entries with that id (seen by
//! clients). So entries are matched by id, never by date or position.

use std::cmp::Ordering;

use crate::backends::ingestion::model::{Stage, Submission, Target};
use crate::marketplace::{OperationKind, Release};

/// How the submissions stand.
#[derive(Debug, Default)]
pub(super) struct Shape<'a> {
    /// The entries of the targets that matter, each once.
    pub(super) entries: Vec<&'a Submission>,
    /// The entry in production: live, completed, succeeded.
    pub(super) live: Option<&'a Submission>,
    /// The entries that are going live.
    pub(super) going_live: Vec<&'a Submission>,
    /// The entry whose golive failed, unless that was before what is live now.
    pub(super) failed_live: Option<&'a Submission>,
    /// The newest preview entry.
    pub(super) preview: Option<&'a Submission>,
    /// Whether the newest preview entry went on to live, whatever came of it.
    pub(super) is_preview_launched: bool,
    /// An entry that is being published to preview.
    pub(super) publishing: Option<&'a Submission>,
    /// Whether there is a draft.
    pub(super) has_draft: bool,
    /// Why the entries don't say clearly how the product stands.
    pub(super) unclear: Vec<String>,
}

/// Something that runs on the product.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Running<'a> {
    pub(super) kind: OperationKind,
    /// Its number; a draft that is being published has none.
    pub(super) number: Option<&'a str>,
}

impl<'a> Shape<'a> {
    pub(super) fn of(list: &'a [Submission]) -> Self {
        let mut shape = Shape::default();
        let list = shape.each_once(list);
        let of = |target: Target| list.iter().copied().filter(move |it| it.target == target);
        for entry in of(Target::Preview).chain(of(Target::Live)) {
            let (target, number) = (word(entry.target), &entry.number);
            match &entry.stage {
                Stage::Unknown(words) => {
                    shape.unclear.push(format!("submission {number} ({target}) is {words:?}"));
                }
                Stage::Unpublished => {
                    shape.unclear.push(format!("submission {number} ({target}) has no status"));
                }
                Stage::Running | Stage::Succeeded | Stage::Failed | Stage::Canceled => {}
            }
        }
        let succeeded = of(Target::Live).filter(|it| it.stage == Stage::Succeeded).collect();
        shape.live = shape.newest(succeeded);
        shape.going_live = of(Target::Live).filter(|it| it.stage == Stage::Running).collect();
        shape.failed_live = of(Target::Live)
            .filter(|it| matches!(it.stage, Stage::Failed | Stage::Canceled))
            .filter(|failed| !shape.live.is_some_and(|live| is_before(failed, live)))
            .max_by(|one, other| by_number(one, other));
        shape.preview = shape.newest(of(Target::Preview).collect());
        shape.is_preview_launched = shape
            .preview
            .is_some_and(|preview| of(Target::Live).any(|it| it.number == preview.number));
        // Any entry that is not completed means: wait (seen by clients; all targets that golive
        // knows, the draft included).
        let runs = |it: &&Submission| it.stage == Stage::Running;
        shape.publishing = of(Target::Preview).chain(of(Target::Draft)).find(runs);
        shape.has_draft = of(Target::Draft).next().is_some();
        shape.entries.clone_from(&list);
        shape
    }

    /// The entries of the targets that matter. One that stands on two pages counts once; if it
    /// differs there, the list can't be trusted, and the entry counts only if it runs.
    fn each_once(&mut self, list: &'a [Submission]) -> Vec<&'a Submission> {
        let mut kept: Vec<&Submission> = Vec::new();
        for entry in list.iter().filter(|it| it.target != Target::Other) {
            let is_same =
                |it: &Submission| (it.target, &it.number) == (entry.target, &entry.number);
            if kept.iter().any(|it| is_same(it)) {
                continue;
            }
            let differs = list.iter().any(|it| is_same(it) && it != entry);
            if differs {
                let (target, number) = (word(entry.target), &entry.number);
                let why = format!("submission {number} ({target}) is listed twice, and differs");
                self.unclear.push(why);
            }
            if !differs || entry.stage == Stage::Running {
                kept.push(entry);
            }
        }
        self.unclear.dedup();
        kept
    }

    /// The newest entry of one target, by its date of creation. Open: whether several are ever
    /// listed; if their dates don't tell, golive doesn't guess.
    fn newest(&mut self, mut entries: Vec<&'a Submission>) -> Option<&'a Submission> {
        if entries.len() < 2 {
            return entries.pop();
        }
        entries.sort_by_key(|it| it.created);
        let is_dated = entries.iter().all(|it| it.created.is_some());
        let mut newest = entries.iter().rev().map(|it| it.created);
        let is_clear = is_dated && newest.next() != newest.next();
        if !is_clear {
            let target = entries.first().map_or("", |it| word(it.target));
            let numbers: Vec<_> = entries.iter().map(|it| it.number.as_str()).collect();
            self.unclear.push(format!(
                "several {target} submissions are listed ({}), and their dates don't say which is \
                 the newest",
                numbers.join(", ")
            ));
            return None;
        }
        entries.pop()
    }

    /// What runs; of several, preferably a golive of this release.
    pub(super) fn running(&self, release: Option<&Release>) -> Option<Running<'a>> {
        let is_meant =
            |it: &&&Submission| release.is_some_and(|release| release.as_str() == it.number);
        let golive = self.going_live.iter().find(is_meant).or(self.going_live.first());
        if let Some(entry) = golive {
            return Some(Running { kind: OperationKind::GoLive, number: Some(&entry.number) });
        }
        let entry = self.publishing?;
        let number = (entry.target == Target::Preview).then_some(entry.number.as_str());
        Some(Running { kind: OperationKind::Publish, number })
    }

    /// The live entry with this number, whatever its stage.
    pub(super) fn live_entry(&self, number: &str) -> Option<&'a Submission> {
        let all = self.live.iter().chain(&self.going_live).chain(&self.failed_live);
        all.copied().find(|it| it.number == number)
    }

    /// The preview that waits for the publisher's sign-off. It has no status of its own: it is
    /// the newest preview, completed and succeeded, that didn't go on to live (seen by clients,
    /// inferred).
    pub(super) fn waiting(&self) -> Option<&'a Submission> {
        self.preview.filter(|it| it.stage == Stage::Succeeded && !self.is_preview_launched)
    }

    /// The newest preview, if its publish failed or was canceled.
    pub(super) fn failed_preview(&self) -> Option<&'a Submission> {
        let ended_badly = |it: &&Submission| matches!(it.stage, Stage::Failed | Stage::Canceled);
        self.preview.filter(ended_badly).filter(|_| !self.is_preview_launched)
    }
}

fn word(target: Target) -> &'static str {
    match target {
        Target::Draft => "draft",
        Target::Preview => "preview",
        Target::Live => "live",
        Target::Other => "other",
    }
}

/// By number, as the numbers grew with time in every sample (seen by clients).
fn by_number(one: &Submission, other: &Submission) -> Ordering {
    let key = |it: &Submission| (it.number.len(), it.number.clone());
    key(one).cmp(&key(other))
}

/// Whether a failed golive is past: both its number and its date are before those of the live
/// entry. Dates alone don't show it, since a live entry's may be the day of its push.
fn is_before(failed: &Submission, live: &Submission) -> bool {
    let is_earlier = failed.created.zip(live.created).is_some_and(|(one, two)| one < two);
    is_earlier && by_number(failed, live) == Ordering::Less
}
