//! Passes events from the watcher's thread to the waiting task.

use std::collections::BTreeSet;
use std::mem;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::scope::{Meaning, Scope, is_a_look};

/// Events received and not yet taken. It grows with the number of names, not of events.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    bell: Notify,
}

#[derive(Debug, Default)]
struct State {
    scope: Scope,
    told: Told,
}

/// The collected meaning of events.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) meaning: Meaning,
    pub(super) failure: Option<Failure>,
}

/// Why events may have been lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The system's event queue overflowed.
    Overflow,
    /// The watcher's error, in the system's words.
    Error(String),
}

impl Inbox {
    /// Receives an event. Called on the watcher's thread.
    pub(super) fn hear(&self, event: notify::Result<notify::Event>) {
        let failure = match event {
            Ok(event) if event.need_rescan() => Failure::Overflow,
            Ok(event) => return self.hear_of(&event),
            Err(error) => Failure::Error(error.to_string()),
        };
        self.state().told.failure = Some(failure);
        self.bell.notify_one();
    }

    fn hear_of(&self, event: &notify::Event) {
        // By far the most events are reads, including golive's own.
        if is_a_look(event.kind) {
            return;
        }
        let mut state = self.state();
        let Meaning { counts, suspects, others, lost } =
            state.scope.meaning(event.kind, &event.paths);
        let told = &mut state.told.meaning;
        told.suspects.extend(suspects);
        told.lost.extend(lost);
        told.counts |= counts;
        told.others |= others;
        drop(state);
        if counts {
            self.bell.notify_one();
        }
    }

    /// Takes all collected events.
    pub(super) fn take(&self) -> Told {
        mem::take(&mut self.state().told)
    }

    /// Replaces the scope. Returns the folders that were lost before, and whether the new scope
    /// counts anything that the old one didn't.
    pub(super) fn rescope(&self, scope: Scope) -> (BTreeSet<PathBuf>, bool) {
        let mut state = self.state();
        let has_grown = !state.scope.covers(&scope);
        state.scope = scope;
        (mem::take(&mut state.told.meaning.lost), has_grown)
    }

    /// Waits for an event. It may have been taken already.
    pub(super) async fn rung(&self) {
        self.bell.notified().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
