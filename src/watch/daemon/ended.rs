//! What tasks have come to is taken in, and shown.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::Instant;

use super::{Daemon, Done};
use crate::marketplace::OfferId;
use crate::reconcile::{Looked, Next, RunError};
use crate::watch::board::Trouble;
use crate::watch::queue::{Now, When};

/// How long what was heard of operations may be in memory alone: polls that come close to each other
/// are one write.
const FLUSH_WITHIN: Duration = Duration::from_secs(1);

/// How long after a failed write the next one is tried.
const FLUSH_AGAIN: Duration = Duration::from_secs(5);

impl Daemon {
    /// Takes in what a task has come to.
    pub(super) fn take_in(&mut self, done: Option<Done>) {
        let now = self.now();
        match done {
            Some(Done::Looked { offers, result: Ok(Some(looked)), is_of_lists }) => {
                self.looked(offers, *looked, is_of_lists, now);
            }
            Some(Done::Looked { offers, result: Err(error), .. }) => {
                if let RunError::Unsound(_) = &error {
                    self.is_unsound(&error);
                }
                self.seen.missed(offers.iter());
                for offer in &offers {
                    self.turn(offer, Next::Retry, now);
                }
            }
            Some(Done::Executed { offer, next, conflicts }) => {
                if conflicts > 0 {
                    self.conflicts.insert(offer.clone(), conflicts);
                }
                self.flush_soon();
                self.turn(&offer, next, now);
            }
            Some(Done::SeenTo { offer, next }) => {
                self.flush_soon();
                self.turn(&offer, next, now);
            }
            Some(Done::Flushed(Err(_))) => {
                // The store has told why.
                self.flush_at = Some(now.instant + FLUSH_AGAIN);
            }
            Some(Done::Looked { result: Ok(None), .. } | Done::Flushed(Ok(()))) | None => {}
        }
        self.tell_how_it_stands();
    }

    fn looked(
        &mut self,
        mut offers: BTreeSet<OfferId>,
        mut looked: Looked,
        is_of_lists: bool,
        now: Now,
    ) {
        self.parts.board.decided(&looked.changes);
        let open = std::mem::take(&mut looked.open);
        if looked.changes.triggers() < looked.changes.changes.len() {
            // What is to be sent is on disk before it is, and all the rest with it.
            self.flush_soon();
        }
        // What was settled went by lists of before.
        if is_of_lists {
            self.tell_of_lists(&looked);
        }
        let looked = Arc::new(looked);
        for change in &looked.changes.changes {
            let offer = &change.offer;
            offers.remove(offer);
            let is_listed = looked.is_listed(offer);
            let noted = self.seen.note(change, is_listed);
            for other in noted.released.iter().chain(&noted.contradicted) {
                self.queue.ask(other, now.instant);
            }
            if change.decision.is_trigger() {
                self.execute(&looked, offer.clone());
            } else if !is_listed {
                let next = match self.parts.reconciler.next(offer) {
                    Next::Poll(at) => Next::Poll(at),
                    Next::LookOn(_) | Next::LookNow | Next::Retry | Next::Rest => Next::Retry,
                };
                self.turn(offer, next, now);
            } else {
                self.conflicts.remove(offer);
                self.turn(offer, self.parts.reconciler.next(offer), now);
            }
        }
        for open in open {
            offers.retain(|offer| !open.offers.contains(offer));
            self.settle(open);
        }
        // Nothing was decided about these, so that nothing is being done about them either.
        for offer in &offers {
            self.turn(offer, Next::Rest, now);
        }
    }

    /// What was being done about an offer is done, and this is next.
    fn turn(&mut self, offer: &OfferId, next: Next, now: Now) {
        let launch = self.desired.get(offer).and_then(|loaded| loaded.manifest.not_before);
        let next = self.tries.follow(offer, next, launch, now);
        let when = self.queue.done(offer, next, now.instant);
        let date = when.and_then(|when| match when {
            When::On(date) => Some(date),
            When::At(at) => {
                let pause = SignedDuration::try_from(at.saturating_duration_since(now.instant));
                now.date.checked_add(pause.ok()?).ok()
            }
        });
        self.parts.board.schedule(offer, date);
    }

    pub(super) fn flush_soon(&mut self) {
        self.flush_at.get_or_insert_with(|| Instant::now() + FLUSH_WITHIN);
    }

    /// Shows that the service is ready, and when a resync ends.
    pub(super) fn tell_how_it_stands(&mut self) {
        // A pause is shown, too, and may be longer than a supervisor waits.
        let is_paused = || self.parts.board.paused_until().is_some();
        if self.has_read && !self.ready && (self.seen.is_ready() || is_paused()) {
            self.ready = true;
            self.parts.board.update(|service| service.ready = true);
            tracing::info!(offers = self.desired.len(), "the service is ready");
        }
        if let Some(true) = self.seen.end_resync() {
            // Every offer was decided about since.
            self.unsound.clear();
            let now = self.parts.clock.now();
            self.parts.board.update(|service| service.last_resync = Some(now));
        }
        self.show_trouble();
    }

    /// Tells once of publishers that can't be listed, and once that they can.
    fn tell_of_lists(&mut self, looked: &Looked) {
        let before: BTreeSet<_> = self.unlisted.keys().cloned().collect();
        for publisher in &looked.listed {
            if self.unlisted.remove(publisher).is_some() {
                tracing::info!(%publisher, "{publisher} can be listed again");
            }
        }
        for (publisher, why) in &looked.unlisted {
            if self.unlisted.insert(publisher.clone(), why.clone()).is_none() {
                tracing::warn!(
                    %publisher, error = why,
                    "{publisher} can't be listed; its offers stay as they were last seen: {why}"
                );
            }
        }
        if !self.unlisted.keys().eq(before.iter()) {
            self.show_unlisted();
        }
    }

    pub(super) fn show_unlisted(&self) {
        let unlisted = Arc::new(self.unlisted.clone());
        self.parts.board.update(|service| service.unlisted = unlisted);
    }

    /// A change set failed its check. That is a bug of golive, told once; nothing of it was sent.
    fn is_unsound(&mut self, error: &RunError) {
        let text = error.to_string();
        if !self.unsound.contains(&text) {
            tracing::error!("{text}");
            self.unsound.insert(text);
        }
    }

    /// Shows what is wrong with the service itself.
    fn show_trouble(&mut self) {
        let unwritable = self.parts.store.trouble().map(Trouble::Unwritable);
        let trouble = unwritable.or_else(|| self.unsound.first().cloned().map(Trouble::Unsound));
        if self.trouble != trouble {
            self.trouble.clone_from(&trouble);
            self.parts.board.update(|service| service.trouble = trouble);
        }
    }
}
