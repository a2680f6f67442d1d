//! Takes in the results of tasks, and shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Daemon;
use crate::engine::{Done, Evaluation, RunError, Taken};
use crate::marketplace::{OfferId, PublisherId};
use crate::watch::service_state::Trouble;

impl Daemon {
    /// Takes in the result of a task.
    pub(super) fn take_in(&mut self, done: Done) {
        match self.engine.take_in(done) {
            Taken::Evaluation(evaluated) => self.evaluated(evaluated),
            Taken::Missed(offers, error) => {
                if let Some(error @ RunError::Unsound(_)) = &error {
                    self.is_unsound(error);
                }
                for offer in &offers {
                    self.progress.missed(offer);
                    self.show_next(offer);
                }
            }
            Taken::Launched { offer, .. } | Taken::Asked(offer) => self.show_next(&offer),
            Taken::Nothing => {}
        }
        self.tell_how_it_stands();
    }

    fn evaluated(&mut self, evaluated: Box<Evaluation>) {
        self.parts.service_state.decided(&evaluated.changes);
        // `inspect` reuses an older list; don't report list health from it.
        let lists = evaluated.listed.clone().map(|listed| (listed, evaluated.unlisted.clone()));
        let unlisted =
            evaluated.changes.changes.iter().filter(|it| !evaluated.is_listed(&it.offer));
        let before: Vec<_> =
            unlisted.map(|it| (it.offer.clone(), self.parts.store.get(&it.offer))).collect();
        let seen = evaluated.changes.changes.iter();
        let seen: Vec<_> =
            seen.map(|it| (it.offer.clone(), evaluated.is_listed(&it.offer))).collect();
        self.engine.carry_out(evaluated, |_| true);
        // Changed records were reported already, so the log has them.
        let changed = before.iter().filter(|(offer, it)| self.parts.store.get(offer) != *it);
        self.told.extend(changed.map(|(offer, _)| offer.publisher().clone()));
        if let Some((listed, unlisted)) = lists {
            self.tell_of_lists(&listed, unlisted);
        }
        for (offer, is_listed) in &seen {
            if *is_listed {
                self.progress.seen(offer);
            } else {
                self.progress.missed(offer);
            }
            self.show_next(offer);
        }
    }

    fn show_next(&self, offer: &OfferId) {
        self.parts.service_state.schedule(offer, self.engine.due(offer));
    }

    /// Shows that the service is ready, and the end of a resync.
    pub(super) fn tell_how_it_stands(&mut self) {
        if self.has_read && !self.ready && self.is_as_ready_as_can_be() {
            self.record_pauses();
            self.ready = true;
            self.parts.service_state.update(|service| service.ready = true);
            tracing::info!(offers = self.engine.desired().len(), "the service is ready");
        }
        if let Some(true) = self.progress.end_resync() {
            // Every offer has a new decision since.
            self.unsound.clear();
            let now = self.parts.clock.now();
            self.parts.service_state.update(|service| service.last_resync = Some(now));
        }
        self.show_trouble();
    }

    /// Whether each offer was checked, or can't be. A pause counts, since it is shown, and may last
    /// longer than a supervisor waits.
    fn is_as_ready_as_can_be(&self) -> bool {
        if self.progress.unseen().next().is_none() {
            return true;
        }
        let paused = self.parts.service_state.paused_until();
        self.progress.is_ready(|publisher| self.is_paused(&paused, publisher))
    }

    /// Logs once that publishers can't be listed, and once that they can be again.
    fn tell_of_lists(
        &mut self,
        listed: &BTreeSet<PublisherId>,
        unlisted: BTreeMap<PublisherId, String>,
    ) {
        let before: BTreeSet<_> = self.unlisted.keys().cloned().collect();
        for publisher in listed {
            let was_told = self.told.remove(publisher);
            if self.unlisted.remove(publisher).is_some() && !was_told {
                tracing::info!(%publisher, "{publisher} can be listed again");
            }
        }
        for (publisher, why) in unlisted {
            let is_news = self.unlisted.insert(publisher.clone(), why.clone()).is_none();
            if is_news && !self.told.contains(&publisher) {
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
        self.parts.service_state.update(|service| service.unlisted = unlisted);
    }

    /// A change set failed its check. That is a bug in golive; it is logged once, and nothing of
    /// the set was sent.
    fn is_unsound(&mut self, error: &RunError) {
        let text = error.to_string();
        if !self.unsound.contains(&text) {
            tracing::error!("{text}");
            self.unsound.insert(text);
        }
    }

    /// Shows the service's own problem.
    fn show_trouble(&mut self) {
        let unwritable = self.parts.store.trouble().map(Trouble::Unwritable);
        let trouble = unwritable.or_else(|| self.unsound.first().cloned().map(Trouble::Unsound));
        if self.trouble != trouble {
            self.trouble.clone_from(&trouble);
            self.parts.service_state.update(|service| service.trouble = trouble);
        }
    }
}
