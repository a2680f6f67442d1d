//! Clients with one bug each. The simulation must find every one of them; otherwise a passing
//! simulation means nothing.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use golive::disk::{Disk, LockFile};
use golive::marketplace::{
    Accepted, Backend, Followed, Following, Inquiry, Launch, Listing, MarketplaceError, OfferId,
    OfferState, OperationKind, OperationStatus, PausedUntil, Polled, PublisherId, RefusalKind, Run,
    Settling,
};

use super::checker::Invariant;

/// One bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// No bug: the wrapper alone must not change the play.
    Nothing,
    /// Sends golive again when no answer comes.
    RepeatsOnTimeout,
    /// Writes the intent once the request was answered.
    IntentAfterPost,
    /// Does not flush the file before it puts it in place.
    NoFlush,
    /// Does not flush the folder.
    NoFolderFlush,
    /// Does without the lock.
    NoLock,
    /// Treats a gateway's error as a refusal.
    TrustsGateways,
    /// Repeats a request without a trace at once.
    NoSettling,
    /// Sends `If-Match: *`.
    IgnoresETags,
    /// Drops a 202 that names no operation.
    DropsUnlocated,
    /// Ignores an intent that it finds at start.
    ForgetsIntents,
    /// Repeats a request in doubt with another entity tag, or none, as early as with the same one.
    ResendsUnderAnotherTag,
    /// Uses an intent's time as its deadline.
    NoDeadline,
    /// Mistakes a waiting sign-off for a running golive.
    TakesSignOffForGoLive,
    /// Mistakes a status that fell back to the previous release for success.
    BelievesFallback,
    /// Sends what an earlier look at the submissions asks for, without another look.
    PostsWithoutLook,
    /// Takes the failure of its job, which was refused, for the failure of the offer.
    BelievesJob,
    /// Launches the release that is live instead of the preview.
    PromotesLive,
}

impl Mutant {
    /// All but `Nothing`.
    pub(crate) const ALL: [Self; 14] = [
        Self::RepeatsOnTimeout,
        Self::IntentAfterPost,
        Self::NoFlush,
        Self::NoFolderFlush,
        Self::NoLock,
        Self::TrustsGateways,
        Self::NoSettling,
        Self::IgnoresETags,
        Self::DropsUnlocated,
        Self::ForgetsIntents,
        Self::ResendsUnderAnotherTag,
        Self::NoDeadline,
        Self::TakesSignOffForGoLive,
        Self::BelievesFallback,
    ];

    /// Those that the Product Ingestion API can have.
    pub(crate) const INGESTION: [Self; 12] = [
        Self::PostsWithoutLook,
        Self::BelievesJob,
        Self::PromotesLive,
        Self::RepeatsOnTimeout,
        Self::IntentAfterPost,
        Self::NoLock,
        Self::TrustsGateways,
        Self::NoSettling,
        Self::DropsUnlocated,
        Self::ForgetsIntents,
        Self::NoDeadline,
        Self::NoFolderFlush,
    ];

    /// The invariants that the bug breaks; a violation of another one found it by accident.
    pub(crate) fn breaks(self) -> &'static [Invariant] {
        match self {
            Self::Nothing => &[],
            Self::NoFlush | Self::BelievesFallback => &[Invariant::TrueStatus],
            Self::NoLock | Self::IgnoresETags => &[Invariant::NeverTwice],
            // The status file calls the first request lost, or the second one is accepted as well.
            Self::NoSettling | Self::ResendsUnderAnotherTag => {
                &[Invariant::NeverTwice, Invariant::TrueStatus, Invariant::OnlyWhatIsWanted]
            }
            Self::PromotesLive => &[Invariant::OnlyWhatIsWanted],
            Self::TakesSignOffForGoLive | Self::BelievesJob => &[Invariant::NeverLost, Invariant::TrueStatus],
            Self::IntentAfterPost | Self::NoFolderFlush => &[Invariant::NeverTwice, Invariant::NeverLost],
            Self::DropsUnlocated => &[Invariant::NeverTwice, Invariant::NeverLost, Invariant::TrueStatus],
            // The status file calls the accepted request canceled.
            Self::TrustsGateways => &[
                Invariant::NeverTwice,
                Invariant::OnlyWhatIsWanted,
                Invariant::NeverLost,
                Invariant::TrueStatus,
            ],
            // A golive of a replaced preview is refused, and the new one is not launched.
            Self::PostsWithoutLook
            | Self::ForgetsIntents
            | Self::NoDeadline
            // The second request is refused, and the result of the first one is never looked up.
            | Self::RepeatsOnTimeout => {
                &[Invariant::NeverTwice, Invariant::OnlyWhatIsWanted, Invariant::NeverLost]
            }
        }
    }
}

/// The wrappers that give one process its bug.
pub(crate) struct MutantParts {
    mutant: Mutant,
    disk: Arc<dyn Disk>,
    late: Arc<Mutex<Option<Write>>>,
}

/// A delayed replacement of the status file.
#[derive(Clone, Debug)]
struct Write {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl MutantParts {
    pub(crate) fn new(mutant: Mutant, disk: Arc<dyn Disk>) -> Self {
        Self { mutant, disk, late: Arc::default() }
    }

    pub(crate) fn disk(&self) -> Arc<dyn Disk> {
        let (inner, late) = (Arc::clone(&self.disk), Arc::clone(&self.late));
        Arc::new(MutantDisk { mutant: self.mutant, inner, late })
    }

    pub(crate) fn marketplace(&self, inner: Arc<dyn Backend>) -> Arc<dyn Backend> {
        let (disk, late) = (Arc::clone(&self.disk), Arc::clone(&self.late));
        Arc::new(MutantClient { mutant: self.mutant, inner, disk, late, states: Mutex::default() })
    }
}

#[derive(Debug)]
struct MutantDisk {
    mutant: Mutant,
    inner: Arc<dyn Disk>,
    late: Arc<Mutex<Option<Write>>>,
}

impl MutantDisk {
    /// Whether a write is delayed.
    fn waits(&self) -> bool {
        self.late.lock().unwrap().is_some()
    }
}

impl Disk for MutantDisk {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let Some(bytes) = self.inner.read(path)? else { return Ok(None) };
        let Ok(mut file) = serde_json::from_slice::<serde_json::Value>(&bytes) else {
            return Ok(Some(bytes));
        };
        let offers = file.get_mut("offers").and_then(serde_json::Value::as_object_mut);
        for intent in offers.into_iter().flatten().filter_map(|(_, it)| it.get_mut("intent")) {
            if intent.is_null() {
                continue;
            }
            if self.mutant == Mutant::ForgetsIntents {
                *intent = serde_json::Value::Null;
            } else if self.mutant == Mutant::NoDeadline {
                intent["deadline"] = intent["at"].clone();
            } else {
                return Ok(Some(bytes));
            }
        }
        Ok(Some(file.to_string().into_bytes()))
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let text = String::from_utf8_lossy(bytes);
        let has_intent = text.contains("\"intent\": {");
        if self.mutant == Mutant::IntentAfterPost && has_intent {
            let write = Write { path: path.to_owned(), bytes: bytes.to_vec() };
            *self.late.lock().unwrap() = Some(write);
            return Ok(());
        }
        *self.late.lock().unwrap() = None;
        self.inner.write(path, bytes)
    }

    fn flush(&self, path: &Path) -> io::Result<()> {
        if self.mutant == Mutant::NoFlush || self.waits() { Ok(()) } else { self.inner.flush(path) }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if let Some(late) = &mut *self.late.lock().unwrap() {
            to.clone_into(&mut late.path);
            return Ok(());
        }
        self.inner.rename(from, to)
    }

    fn flush_folder(&self, path: &Path) -> io::Result<()> {
        let skips = self.mutant == Mutant::NoFolderFlush || self.waits();
        if skips { Ok(()) } else { self.inner.flush_folder(path) }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn open_lock(&self, path: &Path) -> io::Result<Box<dyn LockFile>> {
        if self.mutant == Mutant::NoLock {
            Ok(Box::new(AnyLock))
        } else {
            self.inner.open_lock(path)
        }
    }
}

/// A lock that never excludes anyone.
#[derive(Debug)]
struct AnyLock;

impl LockFile for AnyLock {
    fn try_lock(&mut self) -> io::Result<bool> {
        Ok(true)
    }
    fn read(&mut self, _: u64) -> io::Result<Vec<u8>> {
        Ok(Vec::new())
    }
    fn write(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

struct MutantClient {
    mutant: Mutant,
    inner: Arc<dyn Backend>,
    disk: Arc<dyn Disk>,
    late: Arc<Mutex<Option<Write>>>,
    /// The last state of each offer.
    states: Mutex<BTreeMap<OfferId, OfferState>>,
}

#[async_trait]
impl Backend for MutantClient {
    fn longest_request(&self, publisher: &PublisherId) -> Duration {
        self.inner.longest_request(publisher)
    }

    fn settling(&self, publisher: &PublisherId) -> Settling {
        let settling = self.inner.settling(publisher);
        let is_hasty = self.mutant == Mutant::ResendsUnderAnotherTag;
        let unfenced = if is_hasty { settling.fenced } else { settling.unfenced };
        Settling { unfenced, ..settling }
    }

    fn paused_until(&self) -> PausedUntil {
        self.inner.paused_until()
    }

    fn unlisted(&self, offer: &OfferId) -> String {
        self.inner.unlisted(offer)
    }

    fn listing_of(&self, offer: &OfferId, product: &str) -> Option<Listing> {
        self.inner.listing_of(offer, product)
    }

    async fn survey(&self, publisher: &PublisherId) -> Result<Vec<Listing>, MarketplaceError> {
        self.inner.survey(publisher).await
    }

    async fn inspect(
        &self,
        offer: &OfferId,
        inquiry: &Inquiry,
    ) -> Result<OfferState, MarketplaceError> {
        let looked = self.states.lock().unwrap().get(offer).cloned();
        if self.mutant == Mutant::PostsWithoutLook
            && inquiry.launches
            && let Some(before) = looked.filter(|it| it.preview.is_some())
        {
            return Ok(before);
        }
        let mut state = self.inner.inspect(offer, inquiry).await?;
        self.states.lock().unwrap().insert(offer.clone(), state.clone());
        if self.mutant == Mutant::BelievesJob
            && let Some(Followed::Known(report)) = &mut state.followed
            && report.status == OperationStatus::Refused
        {
            report.status = OperationStatus::Failed;
        }
        if self.mutant == Mutant::TakesSignOffForGoLive
            && inquiry.in_doubt.is_some()
            && let Some(preview) = state.preview.take()
        {
            let kind = OperationKind::GoLive;
            let (steps, messages) = (Vec::new(), Vec::new());
            let release = Some(preview);
            state.running = Some(Run { kind, id: None, release, steps, messages });
        }
        if self.mutant == Mutant::BelievesFallback {
            let following = inquiry.following.as_ref().and_then(|it| it.release.clone());
            let failed = inquiry.failed.as_ref().and_then(|it| it.release.clone());
            let meant = following.or(failed);
            if state.live.is_some() && state.preview.is_none() && meant.is_some() {
                (state.live, state.followed, state.last) = (meant, None, None);
            }
        }
        Ok(state)
    }

    async fn poll(
        &self,
        offer: &OfferId,
        following: &Following,
    ) -> Result<Polled, MarketplaceError> {
        self.inner.poll(offer, following).await
    }

    async fn launch(&self, offer: &OfferId, launch: &Launch) -> Result<Accepted, MarketplaceError> {
        let mut launch = launch.clone();
        if self.mutant == Mutant::IgnoresETags {
            launch.fence = None;
        }
        if self.mutant == Mutant::PromotesLive
            && let Some(live) =
                self.states.lock().unwrap().get(offer).and_then(|it| it.live.clone())
        {
            (launch.release, launch.fence) = (live, None);
        }
        let answer = self.inner.launch(offer, &launch).await;
        if let Some(Write { path, bytes }) = self.late.lock().unwrap().take() {
            drop(golive::disk::replace(&*self.disk, &path, &bytes));
        }
        match (self.mutant, answer) {
            (Mutant::RepeatsOnTimeout, Err(MarketplaceError::Lost { .. })) => {
                self.inner.launch(offer, &launch).await
            }
            (Mutant::TrustsGateways, Err(MarketplaceError::Refused(mut refusal)))
                if matches!(refusal.kind, RefusalKind::Failed | RefusalKind::Unavailable) =>
            {
                refusal.kind = RefusalKind::Unavailable;
                refusal.retry_after = None;
                Err(MarketplaceError::Refused(refusal))
            }
            (Mutant::DropsUnlocated, Ok(Accepted::Unlocated { .. })) => {
                let source = io::Error::other("no operation");
                Err(MarketplaceError::NotSent { origin: String::new(), source: source.into() })
            }
            (_, answer) => answer,
        }
    }
}
