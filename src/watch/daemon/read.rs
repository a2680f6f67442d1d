//! What the files say is taken in, and every offer looked at now and then.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::Instant;

use super::{Daemon, Done};
use crate::changes::Links;
use crate::manifest::Related;
use crate::marketplace::{OfferId, clean_line};
use crate::reconcile::{Desired, Viewpoint};
use crate::status::SourceRecord;
use crate::watch::manifests::Refreshed;
use crate::watch::source::Changed;

/// How often the files are read again because a folder turned out to be new, before other work has
/// its turn.
const MOST_READS: usize = 3;

impl Daemon {
    /// Sees to an offer for which no manifest is in force. Where the manifest is gone, the offer
    /// leaves the status file; where it can't be read, what runs is followed all the same, and what
    /// may have been sent is looked for.
    pub(super) fn see_off(&mut self, offer: OfferId) {
        let reconciler = Arc::clone(&self.parts.reconciler);
        let is_gone = self.parts.store.with(|file| {
            let path = reconciler.viewpoint().find(&file.offers.get(&offer)?.manifest.file);
            Some(self.parts.manifests.is_gone(&offer, &path))
        });
        self.tasks.spawn(async move {
            let next = if is_gone == Some(true) {
                reconciler.remove(&offer).await
            } else {
                reconciler.tend(&offer).await
            };
            Done::SeenTo { offer, next }
        });
    }

    /// Has the source asked whether there is something new, and every offer looked at.
    pub(super) fn resync(&mut self) {
        self.parts.source.look_now();
        self.look_at_all();
    }

    /// Has every offer looked at.
    fn look_at_all(&mut self) {
        let now = Instant::now();
        self.resync_at = now + self.parts.resync.mul_f64(0.9 + self.parts.random.f64() * 0.2);
        let known = self.desired.keys();
        let idle = known.filter(|offer| !self.queue.is_busy(offer)).cloned().collect::<Vec<_>>();
        let left_over: Vec<OfferId> = self.parts.store.with(|file| {
            let unnamed = file.offers.keys().filter(|offer| !self.desired.contains_key(offer));
            unnamed.cloned().collect()
        });
        tracing::debug!(offers = idle.len(), "resync");
        idle.iter().chain(&left_over).for_each(|offer| self.queue.ask_idle(offer, now));
        self.seen.begin_resync(idle.into_iter());
        self.tell_how_it_stands();
    }

    /// Takes in what the files now say.
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
            tell_of_manifests(&refreshed, self.parts.reconciler.viewpoint(), source.as_ref());
            is_all = false;
            is_behind = self.parts.source.follow(&refreshed.folders);
            if !is_behind {
                break;
            }
        }
        if is_behind {
            self.parts.source.look_now();
        }
        if source.is_some() || !self.has_read {
            self.parts.store.set_source(source.clone());
            self.flush_soon();
        }
        let is_first = !std::mem::replace(&mut self.has_read, true);
        let before = std::mem::replace(&mut self.desired, self.parts.manifests.desired());
        if !offers.is_empty() || is_first {
            if offers.iter().any(|offer| after(&before, offer) != after(&self.desired, offer)) {
                self.links = Links::of(self.desired.values());
            }
            self.parts.reconciler.supersede(Arc::clone(&self.desired));
            (self.parts.herald)(&self.desired);
        }
        let now = Instant::now();
        for offer in &offers {
            if !self.desired.contains_key(offer) {
                self.seen.forget(offer);
                self.tries.forget(offer);
                self.conflicts.remove(offer);
            } else if !self.ready {
                self.seen.expect(offer);
            }
            self.queue.ask(offer, now);
            self.links.dependents(offer).iter().for_each(|offer| self.queue.ask(offer, now));
        }
        let before = self.unlisted.len();
        let desired = &self.desired;
        self.unlisted.retain(|known, _| desired.keys().any(|offer| offer.publisher() == known));
        if self.unlisted.len() != before {
            self.show_unlisted();
        }
        let problems = self.parts.manifests.problems();
        let problems = self.parts.reconciler.viewpoint().named(problems);
        let desired = Arc::clone(&self.desired);
        let files = self.parts.manifests.files();
        self.parts.board.update(|service| {
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

/// The offers that an offer comes after.
fn after<'a>(desired: &'a Desired, offer: &OfferId) -> &'a [OfferId] {
    desired.get(offer).map_or(&[], |loaded| &loaded.manifest.after)
}

fn tell_of_manifests(refreshed: &Refreshed, viewpoint: &Viewpoint, source: Option<&SourceRecord>) {
    let commit = source.map(|source| &source.commit);
    for problem in &*viewpoint.named(Arc::new(refreshed.news.clone())) {
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
        let file = clean_line(&viewpoint.shown(file).to_string_lossy());
        tracing::info!(file, commit, "{file}: nothing is wrong with it any more");
    }
}
