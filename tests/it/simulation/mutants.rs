//! Clients with one mistake each. The simulation must find every one of them; if it does not, it
//! proves nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use golive::disk::{Disk, LockFile};
use golive::marketplace::{
    Accepted, Marketplace, MarketplaceError, Offer, OfferId, OfferSummary, OperationRef,
    OperationStatus, Polled, Post, Precondition, PublisherId, Slot, StatusReport, Submission,
};
use golive::operation::Patience;

use super::laws::Law;

/// One mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// None: the wrapping alone must not show.
    Nothing,
    /// Sends golive again when no answer comes.
    RepeatsOnTimeout,
    /// Writes the intent once the request was answered.
    IntentAfterPost,
    /// Does not flush the file before it puts it in place.
    NoFlush,
    /// Does not flush the folder.
    NoFolderFlush,
    /// Takes any 200 for the end of an operation.
    Trusts200,
    /// Does without the lock.
    NoLock,
    /// Takes a gateway's error for a refusal.
    TrustsGateways,
    /// Sends again at once what left no trace.
    NoSettling,
    /// Sends `If-Match: *`.
    IgnoresETags,
    /// Drops a 202 that names no operation.
    DropsUnlocated,
}

impl Mutant {
    /// All that are mistakes.
    pub(crate) const ALL: [Self; 10] = [
        Self::RepeatsOnTimeout,
        Self::IntentAfterPost,
        Self::NoFlush,
        Self::NoFolderFlush,
        Self::Trusts200,
        Self::NoLock,
        Self::TrustsGateways,
        Self::NoSettling,
        Self::IgnoresETags,
        Self::DropsUnlocated,
    ];

    /// The laws that a mistake breaks. Where another one is the first to find it, that is by chance.
    pub(crate) fn breaks(self) -> &'static [Law] {
        match self {
            Self::Nothing => &[],
            Self::NoFlush | Self::Trusts200 => &[Law::TrueStatus],
            Self::NoLock | Self::NoSettling | Self::IgnoresETags => &[Law::NeverTwice],
            Self::TrustsGateways => &[Law::NeverTwice, Law::OnlyWhatIsWanted],
            Self::IntentAfterPost | Self::NoFolderFlush | Self::DropsUnlocated => {
                &[Law::NeverTwice, Law::NeverLost]
            }
            // The second request is refused, and what came of the first one is not looked for.
            Self::RepeatsOnTimeout => &[Law::NeverTwice, Law::OnlyWhatIsWanted, Law::NeverLost],
        }
    }

    pub(crate) fn patience(self, patience: Patience) -> Patience {
        let settle = if self == Self::NoSettling { Duration::ZERO } else { patience.settle };
        Patience { settle, ..patience }
    }
}

/// One process's mistake.
pub(crate) struct Armed {
    mutant: Mutant,
    disk: Arc<dyn Disk>,
    late: Arc<Mutex<Option<Write>>>,
}

/// A replacement of the status file that waits for its time.
#[derive(Clone, Debug)]
struct Write {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Armed {
    pub(crate) fn new(mutant: Mutant, disk: Arc<dyn Disk>) -> Self {
        Self { mutant, disk, late: Arc::default() }
    }

    pub(crate) fn disk(&self) -> Arc<dyn Disk> {
        let (inner, late) = (Arc::clone(&self.disk), Arc::clone(&self.late));
        Arc::new(MutantDisk { mutant: self.mutant, inner, late })
    }

    pub(crate) fn marketplace(&self, inner: Arc<dyn Marketplace>) -> Arc<dyn Marketplace> {
        let (disk, late) = (Arc::clone(&self.disk), Arc::clone(&self.late));
        Arc::new(MutantClient { mutant: self.mutant, inner, disk, late })
    }
}

#[derive(Debug)]
struct MutantDisk {
    mutant: Mutant,
    inner: Arc<dyn Disk>,
    late: Arc<Mutex<Option<Write>>>,
}

impl MutantDisk {
    /// Whether a write waits, so that nothing is done about it now.
    fn waits(&self) -> bool {
        self.late.lock().unwrap().is_some()
    }
}

impl Disk for MutantDisk {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        self.inner.read(path)
    }

    fn write(&self, path: &Path, parts: &[&[u8]]) -> io::Result<()> {
        let bytes = parts.concat();
        let text = String::from_utf8_lossy(&bytes);
        let has_intent = text.contains("\"intent\": {");
        if self.mutant == Mutant::IntentAfterPost && has_intent {
            let write = Write { path: path.to_owned(), bytes };
            *self.late.lock().unwrap() = Some(write);
            return Ok(());
        }
        *self.late.lock().unwrap() = None;
        self.inner.write(path, parts)
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

/// A lock that everybody may have.
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
    inner: Arc<dyn Marketplace>,
    disk: Arc<dyn Disk>,
    late: Arc<Mutex<Option<Write>>>,
}

#[async_trait]
impl Marketplace for MutantClient {
    async fn offers(&self, publisher: &PublisherId) -> Result<Vec<OfferSummary>, MarketplaceError> {
        self.inner.offers(publisher).await
    }

    async fn offer(&self, offer: &OfferId) -> Result<Offer, MarketplaceError> {
        self.inner.offer(offer).await
    }

    async fn slot(&self, offer: &OfferId, slot: Slot) -> Result<Option<Offer>, MarketplaceError> {
        self.inner.slot(offer, slot).await
    }

    async fn status(&self, offer: &OfferId) -> Result<StatusReport, MarketplaceError> {
        self.inner.status(offer).await
    }

    async fn submissions(&self, offer: &OfferId) -> Result<Vec<Submission>, MarketplaceError> {
        self.inner.submissions(offer).await
    }

    async fn operation(
        &self,
        offer: &OfferId,
        operation: &OperationRef,
    ) -> Result<Polled, MarketplaceError> {
        let mut polled = self.inner.operation(offer, operation).await?;
        if self.mutant == Mutant::Trusts200 {
            polled.operation.status = OperationStatus::Succeeded;
        }
        Ok(polled)
    }

    fn longest_request(&self) -> Duration {
        self.inner.longest_request()
    }

    async fn post(&self, offer: &OfferId, post: &Post) -> Result<Accepted, MarketplaceError> {
        let mut post = post.clone();
        if self.mutant == Mutant::IgnoresETags {
            post.precondition = Precondition::Any;
        }
        let answer = self.inner.post(offer, &post).await;
        if let Some(Write { path, bytes }) = self.late.lock().unwrap().take() {
            drop(golive::disk::replace(&*self.disk, &path, &[&bytes]));
        }
        match (self.mutant, answer) {
            (Mutant::RepeatsOnTimeout, Err(MarketplaceError::Lost { .. })) => {
                self.inner.post(offer, &post).await
            }
            (Mutant::TrustsGateways, Err(MarketplaceError::Refused(mut refusal)))
                if refusal.status >= 500 =>
            {
                refusal.status = 503;
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
