//! What changes on a page, as it changes: server-sent events.
//!
//! | event | data |
//! |---|---|
//! | `hello` | a digest of what the page shows now. A page that shows something else was rendered before, and loads anew |
//! | `update` | `{"parts": {ID: HTML}, "rows": [[KEY, HTML or null]]}`: elements to replace, and rows that changed or left |
//! | `reload` | too much has changed to tell it in pieces |

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{OwnedSemaphorePermit, broadcast, watch};
use tokio::time::{Instant, sleep_until};
use url::form_urlencoded;

use super::Serving;
use super::filter::Filter;
use super::layout::Parts;
use super::overview::{FilteredCounts, Overview, Shown, unseen};
use super::row::{Row, key};
use super::site::Site;
use super::{offer_page, page, table};
use crate::marketplace::{OfferId, Pause, PausedUntil};
use crate::watch::Update;

/// The most event streams at once.
pub(super) const STREAMS: usize = 64;
/// The time between two batches: a person sees no difference, and a thousand changes are a few.
const PACE: Duration = Duration::from_millis(250);
/// The time for which a page that loads anew is left alone.
const REST: Duration = Duration::from_secs(2);
/// The time after which silence is broken, so that a lost connection is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How often it is looked whether the marketplace asked to wait: nobody tells when such a pause begins
/// or is over. Only while a page is open.
const GLANCE: Duration = Duration::from_secs(1);
/// The most rows of a batch. With more, the page itself, compressed, is the shorter answer.
const MAX_ROWS: usize = 200;

/// The page that listens.
#[derive(Clone, Debug)]
pub(super) enum Subject {
    /// The page of all offers.
    All(Filter),
    /// The page of one.
    One(OfferId),
}

impl Subject {
    /// Reads a query: `offer=…`, or that of the page of all offers.
    pub(super) fn parse(query: &str) -> Result<Self, String> {
        let mut fields = form_urlencoded::parse(query.as_bytes());
        match fields.find(|(name, _)| name == "offer") {
            Some((_, offer)) => {
                let offer = offer.parse().map_err(|error| format!("offer: {error}"))?;
                Ok(Self::One(offer))
            }
            None => Filter::parse(query).map(Self::All),
        }
    }
}

/// What a page has yet to hear of.
#[derive(Debug, Default)]
struct Pending {
    offers: BTreeSet<OfferId>,
    service: bool,
    all: bool,
}

impl Pending {
    fn add(&mut self, update: Update) {
        match update {
            Update::Offer(offer) => {
                self.offers.insert(offer);
            }
            Update::Service => self.service = true,
        }
    }

    fn is_empty(&self) -> bool {
        self.offers.is_empty() && !self.service && !self.all
    }
}

/// What is to be sent.
#[derive(Debug)]
enum Batch {
    /// The page shows nothing of what changed.
    Nothing,
    Event(Bytes),
    /// Only the whole page tells it.
    TooMuch,
}

/// What offers that changed are to a page.
#[derive(Debug)]
struct Changed {
    /// The offers whose rows may have changed, with their rows, or without where they left.
    rows: Vec<(OfferId, Option<Row>)>,
    /// How many offers were not looked at yet, where that may be news.
    unseen: Option<usize>,
}

/// One page's stream.
#[derive(Debug)]
struct Listener {
    site: Arc<Site>,
    subject: Subject,
    updates: broadcast::Receiver<Update>,
    stopped: watch::Receiver<()>,
    pending: Pending,
    /// The offers that the page has or counts.
    tally: FilteredCounts,
    /// The pieces as they were last sent.
    parts: BTreeMap<&'static str, String>,
    /// Whether the page was greeted.
    greeted: bool,
    /// When something was last sent.
    sent: Instant,
    /// When it was last looked at what is to be sent.
    looked: Instant,
    /// The pauses of publishers that the page knows of.
    paused: PausedUntil,
    /// When to look at it again.
    glance: Instant,
    _place: OwnedSemaphorePermit,
}

/// The stream for a page. It ends when the server stops.
pub(super) fn stream(
    site: Arc<Site>,
    subject: Subject,
    place: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let now = Instant::now();
    let listener = Listener {
        // Before anything is looked at, so that nothing is missed.
        updates: site.serving.service_state.subscribe(),
        stopped: site.stopped.clone(),
        site,
        subject,
        pending: Pending::default(),
        tally: FilteredCounts::default(),
        parts: BTreeMap::new(),
        greeted: false,
        sent: now,
        looked: now,
        paused: PausedUntil::default(),
        glance: now + GLANCE,
        _place: place,
    };
    unfold(listener, |mut listener| async {
        let event = listener.next().await?;
        listener.sent = Instant::now();
        Some((Ok(event), listener))
    })
}

impl Listener {
    async fn next(&mut self) -> Option<Bytes> {
        if !self.greeted {
            self.greeted = true;
            return self.hello().await;
        }
        loop {
            let due =
                if self.pending.is_empty() { self.sent + KEEP_ALIVE } else { self.looked + PACE };
            tokio::select! {
                // In this order, so that many updates keep neither the end nor a batch waiting.
                biased;
                _ = self.stopped.changed() => return None,
                () = sleep_until(due) => {
                    if self.pending.is_empty() {
                        return Some(Bytes::from_static(b": still here\n\n"));
                    }
                    self.looked = Instant::now();
                    self.gather();
                    match self.batch() {
                        Batch::Nothing => {}
                        Batch::Event(event) => return Some(event),
                        Batch::TooMuch => return self.reload().await,
                    }
                }
                () = sleep_until(self.glance) => self.look_at_pause(),
                update = self.updates.recv() => match update {
                    Ok(update) => self.pending.add(update),
                    Err(RecvError::Lagged(_)) => self.overlook(),
                    Err(RecvError::Closed) => return None,
                },
            }
        }
    }

    /// Whether a pause has begun, is over, or became longer, is news like any other.
    fn look_at_pause(&mut self) {
        self.glance = Instant::now() + GLANCE;
        let now = self.site.serving.service_state.paused_until();
        if !is_same(&self.paused, &now) {
            self.paused = now;
            self.pending.service = true;
        }
    }

    /// Takes what came together with the first of a batch.
    fn gather(&mut self) {
        loop {
            match self.updates.try_recv() {
                Ok(update) => self.pending.add(update),
                Err(TryRecvError::Lagged(_)) => self.overlook(),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    /// Updates were missed: only the whole page tells them.
    fn overlook(&mut self) {
        self.updates = self.updates.resubscribe();
        self.pending.all = true;
    }

    async fn hello(&mut self) -> Option<Bytes> {
        let digest = self.look().await?;
        let mut text = Vec::from("retry: 2000\n");
        text.extend_from_slice(&event("hello", &json!(digest)));
        Some(text.into())
    }

    /// Learns what the page has after it was loaded just now; returns a digest of that. `None` where
    /// that is the end.
    async fn look(&mut self) -> Option<String> {
        let subject = self.subject.clone();
        let rendered = self.site.renderer.render(move |serving| look(serving, &subject));
        let (tally, parts, digest) = rendered.await?;
        self.tally = tally;
        self.parts = parts.into_iter().map(|(id, part)| (id, part.into_string())).collect();
        Some(digest)
    }

    /// What is to be sent now, if it is anything that the page shows.
    fn batch(&mut self) -> Batch {
        let pending = std::mem::take(&mut self.pending);
        if pending.all {
            return Batch::TooMuch;
        }
        let site = Arc::clone(&self.site);
        let serving = &site.serving;
        let now = serving.clock.now();
        let (parts, rows) = match self.subject.clone() {
            Subject::All(filter) => {
                let Changed { rows, unseen } = self.take_in(&pending);
                if rows.len() > MAX_ROWS {
                    return Batch::TooMuch;
                }
                let rows = rows.into_iter().map(|(offer, row)| told(serving, &offer, row, now));
                let rows: Vec<Value> = rows.collect();
                let counts = self.tally.counts(serving, unseen);
                (page::parts(serving, &filter, counts, now), rows)
            }
            Subject::One(offer) => {
                if !pending.service && !pending.offers.contains(&offer) {
                    return Batch::Nothing;
                }
                (offer_page::parts(serving, &offer, now), Vec::new())
            }
        };
        let parts = self.changed_parts(parts);
        if parts.is_empty() && rows.is_empty() {
            return Batch::Nothing;
        }
        Batch::Event(event("update", &json!({"parts": parts, "rows": rows})))
    }

    async fn reload(&mut self) -> Option<Bytes> {
        let digest = self.look().await?;
        self.looked += REST;
        Some(event("reload", &json!(digest)))
    }

    /// Takes in the offers that changed. It costs what they cost, however many there are besides.
    fn take_in(&mut self, pending: &Pending) -> Changed {
        let (store, mut rows, mut left) = (&self.site.serving.store, Vec::new(), false);
        store.with(|file| {
            for offer in &pending.offers {
                let record = file.offers.get(offer).map(|record| &**record);
                left |= record.is_none();
                match (self.tally.take_in(offer, record), record) {
                    (Shown::Now, Some(record)) => {
                        rows.push((offer.clone(), Some(Row::of(offer, record))));
                    }
                    (Shown::Now | Shown::Before, _) => rows.push((offer.clone(), None)),
                    (Shown::Never, _) => {}
                }
            }
        });
        // Only then can there be more or fewer of them.
        let may_differ = pending.service || left || self.tally.has_unseen();
        Changed { rows, unseen: may_differ.then(|| unseen(&self.site.serving)) }
    }

    fn changed_parts(&mut self, parts: Parts) -> BTreeMap<&'static str, String> {
        let mut changed = BTreeMap::new();
        for (id, part) in parts {
            let part = part.into_string();
            if self.parts.get(id) != Some(&part) {
                self.parts.insert(id, part.clone());
                changed.insert(id, part);
            }
        }
        changed
    }
}

/// Whether the same publishers are paused, and until the same time. That is computed from two clocks,
/// and so never quite the same.
fn is_same(before: &PausedUntil, now: &PausedUntil) -> bool {
    let close = |before: &Pause, now: &Pause| {
        now.until.duration_since(before.until).abs() < SignedDuration::from_secs(1)
    };
    let is_all_same = match (&before.all, &now.all) {
        (None, None) => true,
        (Some(before), Some(now)) => close(before, now),
        (Some(_), None) | (None, Some(_)) => false,
    };
    let mut pairs = before.publishers.iter().zip(&now.publishers);
    is_all_same
        && before.publishers.len() == now.publishers.len()
        && pairs.all(|(before, now)| before.0 == now.0 && close(before.1, now.1))
}

/// What a page has that is loaded now, and a digest of what it shows.
fn look(serving: &Serving, subject: &Subject) -> (FilteredCounts, Parts, String) {
    let now = serving.clock.now();
    match subject {
        Subject::All(filter) => {
            let overview = Overview::of(serving, filter);
            let digest = page::content_digest(serving, filter, &overview);
            let parts = page::parts(serving, filter, overview.counts(), now);
            (overview.tally, parts, digest)
        }
        Subject::One(offer) => {
            let digest = offer_page::content_digest(serving, offer);
            (FilteredCounts::default(), offer_page::parts(serving, offer, now), digest)
        }
    }
}

/// A row as it is sent.
fn told(serving: &Serving, offer: &OfferId, row: Option<Row>, now: Timestamp) -> Value {
    let key = key(offer);
    let Some(mut row) = row else { return json!([key, null]) };
    row.next = serving.service_state.next(offer);
    json!([key, table::tr(&row, now).into_string()])
}

/// An event. JSON has no line breaks of its own.
fn event(name: &str, data: &Value) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}
