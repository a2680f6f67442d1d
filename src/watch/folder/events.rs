//! Collects events on the watcher's thread until the waiting task takes them.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use notify::EventKind;
use notify::event::{AccessKind, AccessMode, ModifyKind};
use tokio::sync::Notify;

use super::scope::Scope;

/// Events received and not yet taken.
#[derive(Debug, Default)]
pub(super) struct Events {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    scope: Scope,
    pending: Pending,
}

/// The sum of the collected events.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pending {
    /// Whether the manifests may have changed.
    pub(super) is_change: bool,
    /// Whether a watched folder was created, removed or renamed: its watch may have ended.
    pub(super) is_watch_lost: bool,
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

impl Events {
    /// Receives an event. Called on the watcher's thread.
    pub(super) fn receive(&self, event: notify::Result<notify::Event>) {
        match event {
            Ok(event) if event.need_rescan() => self.fail(Failure::Overflow),
            Ok(event) => self.add(&event),
            Err(error) => self.fail(Failure::Error(error.to_string())),
        }
    }

    fn fail(&self, failure: Failure) {
        self.state().pending.failure = Some(failure);
        self.arrived.notify_one();
    }

    fn add(&self, event: &notify::Event) {
        // By far the most events are reads, including golive's own.
        if is_read(event.kind) {
            return;
        }
        let is_content = is_content(event.kind);
        let mut state = self.state();
        let State { scope, pending } = &mut *state;
        let is_watched = event.paths.iter().any(|path| scope.folders().contains(path));
        let is_folder = is_watched && !is_content;
        if !is_folder && !event.paths.iter().any(|path| scope.is_relevant(path, is_content)) {
            return;
        }
        pending.is_change = true;
        pending.is_watch_lost |= is_folder;
        drop(state);
        self.arrived.notify_one();
    }

    /// Takes the collected events.
    pub(super) fn take(&self) -> Pending {
        mem::take(&mut self.state().pending)
    }

    /// Replaces the scope. Returns whether the new one contains anything that the old one didn't.
    pub(super) fn set_scope(&self, scope: Scope) -> bool {
        let mut state = self.state();
        let has_grown = !state.scope.contains(&scope);
        state.scope = scope;
        has_grown
    }

    /// Waits for an event. It may have been taken already.
    pub(super) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_read(kind: EventKind) -> bool {
    // Writes through a memory map are reported only when the file is closed.
    matches!(kind, EventKind::Access(it) if it != AccessKind::Close(AccessMode::Write))
}

/// Whether only the content of a file changed, and neither names nor attributes did.
fn is_content(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::Access(_)
            | EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any | ModifyKind::Other)
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use notify::event::{CreateKind, DataChange, MetadataKind, RemoveKind};

    const CREATED: EventKind = EventKind::Create(CreateKind::Any);
    const REMOVED: EventKind = EventKind::Remove(RemoveKind::Any);
    const WRITTEN: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    const CHMOD: EventKind = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
    const OPENED: EventKind = EventKind::Access(AccessKind::Open(AccessMode::Any));
    const CLOSED: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));

    /// What is pending after an event on a path below a folder whose `offers` are watched.
    fn pending(kind: EventKind, path: &str) -> Pending {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(top.join("offers/deep")).unwrap();
        let walked = [top.join("offers"), top.join("offers/deep"), top.join("link")].into();
        let status = folder.path().join("offers/golive.status.json");
        let events = Events::default();
        events.set_scope(Scope::new(&[top.join("offers")], &walked, &status));
        events.receive(Ok(notify::Event::new(kind).add_path(top.join(Path::new(path)))));
        events.take()
    }

    fn is_change(kind: EventKind, path: &str) -> bool {
        pending(kind, path).is_change
    }

    #[test]
    fn created_removed_and_touched_names_count_and_the_content_of_manifests() {
        for name in ["offers/a.yaml", "offers/x", "offers/deep/4913", "offers/..data", "link"] {
            for kind in [CREATED, REMOVED, CHMOD] {
                assert!(is_change(kind, name), "{name}");
            }
        }
        for name in ["offers/a.yaml", "offers/deep/a.YML", "offers/.goliveignore", "link"] {
            assert!(is_change(WRITTEN, name) && is_change(CLOSED, name), "{name}");
            assert!(!is_change(OPENED, name), "{name}");
        }
        for name in ["offers/x", "offers/x.log", "offers/.a.yaml", "offers/deep"] {
            assert!(!is_change(WRITTEN, name), "{name}");
        }
    }

    #[test]
    fn neighbours_of_a_root_and_golive_s_own_files_do_not_count() {
        for name in [
            "offers/golive.status.json",
            "offers/golive.status.json.lock",
            "offers/.golive.status.json.new",
            "offers/golive.status.emulator.json",
            "offers/.golive.status.emulator.json.new",
            "neighbour",
            "a.yaml",
            "offers/.git/index",
            "elsewhere/x",
        ] {
            for kind in [CREATED, REMOVED, WRITTEN, CHMOD] {
                assert!(!is_change(kind, name), "{name}");
            }
        }
    }

    #[test]
    fn a_watched_folder_that_comes_or_goes_loses_its_watch() {
        for name in ["offers", "offers/deep"] {
            for kind in [CREATED, REMOVED] {
                assert!(pending(kind, name).is_watch_lost, "{name}");
            }
        }
        for name in ["offers/a.yaml", "offers/new", "link"] {
            assert!(!pending(CREATED, name).is_watch_lost, "{name}");
        }
    }
}
