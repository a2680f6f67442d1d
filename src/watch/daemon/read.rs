//! Reads manifests, and checks every offer periodically.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::Instant;

use super::Daemon;
use crate::engine::StatusRelativePaths;
use crate::manifest::Related;
use crate::marketplace::{OfferId, clean_line};
use crate::status::SourceRecord;
use crate::watch::manifests::Refreshed;
use crate::watch::source::Changed;

/// Limit for repeated reads because of newly found folders, before other work gets its turn.
const MOST_READS: usize = 3;

impl Daemon {
    /// Asks the source to check for news, and checks every offer.
    pub(super) fn resync(&mut self) {
        self.parts.source.check_now();
        self.look_at_all();
    }

    /// Checks every offer.
    fn look_at_all(&mut self) {
        let now = Instant::now();
        self.resync_at = now + self.parts.resync.mul_f64(0.9 + self.parts.random.f64() * 0.2);
        let desired = self.engine.desired();
        let known = desired.keys();
        let idle = known.filter(|offer| !self.engine.is_busy(offer)).cloned().collect::<Vec<_>>();
        let left_over: Vec<OfferId> = self.parts.store.with(|file| {
            let unnamed = file.offers.keys().filter(|offer| !desired.contains_key(offer));
            unnamed.filter(|offer| !self.engine.is_busy(offer)).cloned().collect()
        });
        tracing::debug!(offers = idle.len(), "resync");
        idle.iter().chain(&left_over).for_each(|offer| self.engine.ask(offer));
        self.progress.begin_resync(idle.into_iter());
        self.tell_how_it_stands();
    }

    /// Reads the changed files.
    pub(super) fn read(&mut self, changed: Changed) {
        let Changed { suspects, mut is_all, source } = changed;
        let (manifests, mut offers) = (&mut self.parts.manifests, BTreeSet::new());
        let mut is_behind = false;
        for _ in 0..MOST_READS {
            let refreshed = if is_all {
                manifests.refresh_only(&suspects)
            } else {
                manifests.refresh(&suspects)
            };
            offers.extend(refreshed.changed.iter().cloned());
            tell_of_manifests(&refreshed, self.parts.reconciler.paths(), source.as_ref());
            is_all = false;
            is_behind = self.parts.source.watch(&refreshed.folders);
            if !is_behind {
                break;
            }
        }
        if is_behind {
            self.parts.source.check_now();
        }
        if source.is_some() || !self.has_read {
            self.parts.store.set_source(source.clone());
            self.engine.flush_soon();
        }
        let is_first = !std::mem::replace(&mut self.has_read, true);
        let desired = self.parts.manifests.desired();
        self.engine.replace(Arc::clone(&desired));
        if !offers.is_empty() || is_first {
            (self.parts.on_manifests)(&desired);
        }
        for offer in &offers {
            if desired.contains_key(offer) {
                self.progress.expect(offer);
            } else {
                self.progress.seen(offer);
                self.engine.forget(offer);
            }
            self.engine.ask_with_dependents(offer);
        }
        let before = self.unlisted.len();
        let is_named = |known: &_| desired.keys().any(|offer| offer.publisher() == known);
        self.unlisted.retain(|known, _| is_named(known));
        self.told.retain(is_named);
        if self.unlisted.len() != before {
            self.show_unlisted();
        }
        let problems = self.parts.manifests.problems();
        let problems = self.parts.reconciler.paths().named(problems);
        let files = self.parts.manifests.files();
        self.parts.service_state.update(|service| {
            (service.desired, service.problems, service.files) = (desired, problems, files);
            if source.is_some() {
                service.source = source;
            }
        });
        if is_first {
            self.look_at_all();
        }
    }
}

fn tell_of_manifests(
    refreshed: &Refreshed,
    paths: &StatusRelativePaths,
    source: Option<&SourceRecord>,
) {
    let commit = source.map(|source| &source.commit);
    for problem in &*paths.named(Arc::new(refreshed.news.clone())) {
        let at = |number: usize| (number > 0).then_some(number);
        let (line, column) = (at(problem.line), at(problem.column));
        let file = clean_line(&problem.file.to_string_lossy());
        let (place, what) = (problem.place(), &problem.what);
        let related = problem.related.as_ref().map(Related::sentence);
        let more = related.as_ref().map(|related| format!(" ({related})")).unwrap_or_default();
        let hint = problem.hint.as_deref();
        tracing::error!(file, line, column, commit, related, hint, "{place}: {what}{more}");
    }
    for file in &refreshed.mended {
        let file = clean_line(&paths.shown(file).to_string_lossy());
        tracing::info!(file, commit, "{file}: nothing is wrong with it any more");
    }
}
