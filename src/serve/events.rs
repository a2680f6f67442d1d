//! What changes on a page, as it changes: server-sent events.
//!
//! | event | data |
//! |---|---|
//! | `hello` | a digest of what the page shows now. A page that shows something else is older, and reloads |
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
use tokio::sync::{OwnedSemaphorePermit, broadcast};
use tokio::time::{Instant, sleep_until};
use url::form_urlencoded;

use super::Serving;
use super::filter::Filter;
use super::layout::Parts;
use super::overview::{FilteredOffers, Overview, RowChange, count_unseen};
use super::row::{Row, key};
use super::site::Site;
use super::{offer_page, page, table};
use crate::marketplace::{OfferId, PausedUntil, PublisherId};
use crate::watch::Update;

/// The most event streams at once.
pub(super) const STREAMS: usize = 64;
/// The time between two batches: a person sees no difference, and it bounds the work that a thousand
/// changes cause.
const BATCH_INTERVAL: Duration = Duration::from_millis(250);
/// How much longer to wait after a `reload`, while the page loads.
const RELOAD_PAUSE: Duration = Duration::from_secs(2);
/// A comment is sent after so much silence, so that a lost connection is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How often to look for pauses of the marketplace while a page is open: no update tells when one
/// begins or ends.
const PAUSE_POLL: Duration = Duration::from_secs(1);
/// The most rows of a batch. With more, the page itself, compressed, is the shorter answer.
const MAX_BATCH_ROWS: usize = 200;

/// The page that listens.
#[derive(Clone, Debug)]
pub(super) enum Subject {
    /// The page of all offers.
    All(Filter),
    /// The page of one offer.
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

/// Changes since the last batch.
#[derive(Debug, Default)]
struct Pending {
    offers: BTreeSet<OfferId>,
    service: bool,
    /// Updates were missed, so that only the whole page is right.
    missed: bool,
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
        self.offers.is_empty() && !self.service && !self.missed
    }
}

/// What to send for the pending changes.
#[derive(Debug)]
enum Batch {
    /// The page shows nothing of what changed.
    Nothing,
    Update(Bytes),
    Reload,
}

/// One page's stream.
#[derive(Debug)]
struct Listener {
    site: Arc<Site>,
    subject: Subject,
    updates: broadcast::Receiver<Update>,
    pending: Pending,
    /// The offers that the page's filter admits.
    offers: FilteredOffers,
    /// How many offers have a manifest and no record, when last counted.
    unseen: usize,
    /// The parts as they were last sent.
    parts: BTreeMap<&'static str, String>,
    greeted: bool,
    sent_at: Instant,
    batched_at: Instant,
    /// The pauses that the page shows.
    paused: PausedUntil,
    pauses_due: Instant,
    _permit: OwnedSemaphorePermit,
}

/// The stream for a page. It ends when the server stops.
pub(super) fn stream(
    site: Arc<Site>,
    subject: Subject,
    permit: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let now = Instant::now();
    let listener = Listener {
        // Subscribe before the first read, so that no change is missed.
        updates: site.serving.service_state.subscribe(),
        site,
        subject,
        pending: Pending::default(),
        offers: FilteredOffers::default(),
        unseen: 0,
        parts: BTreeMap::new(),
        greeted: false,
        sent_at: now,
        batched_at: now,
        paused: PausedUntil::default(),
        pauses_due: now + PAUSE_POLL,
        _permit: permit,
    };
    unfold(listener, |mut listener| async {
        let event = listener.next().await?;
        listener.sent_at = Instant::now();
        Some((Ok(event), listener))
    })
}

impl Listener {
    async fn next(&mut self) -> Option<Bytes> {
        if !self.greeted {
            self.greeted = true;
            let digest = self.look().await?;
            return Some([&b"retry: 2000\n"[..], &event("hello", &json!(digest))].concat().into());
        }
        loop {
            let due = if self.pending.is_empty() {
                self.sent_at + KEEP_ALIVE
            } else {
                self.batched_at + BATCH_INTERVAL
            };
            tokio::select! {
                // In this order, so that many updates delay neither the end nor a batch.
                biased;
                () = self.site.stopping.cancelled() => return None,
                () = sleep_until(due) => {
                    if self.pending.is_empty() {
                        return Some(Bytes::from_static(b": still here\n\n"));
                    }
                    self.batched_at = Instant::now();
                    self.drain();
                    match self.batch() {
                        Batch::Nothing => {}
                        Batch::Update(event) => return Some(event),
                        Batch::Reload => {
                            let digest = self.look().await?;
                            self.batched_at += RELOAD_PAUSE;
                            return Some(event("reload", &json!(digest)));
                        }
                    }
                }
                () = sleep_until(self.pauses_due) => {
                    self.pauses_due = Instant::now() + PAUSE_POLL;
                    let paused = self.site.serving.service_state.paused_until();
                    self.pending.service |= !is_same(&self.paused, &paused);
                    self.paused = paused;
                }
                update = self.updates.recv() => match update {
                    Ok(update) => self.pending.add(update),
                    Err(RecvError::Lagged(_)) => self.resubscribe(),
                    Err(RecvError::Closed) => return None,
                },
            }
        }
    }

    /// Takes the updates that came meanwhile into the batch.
    fn drain(&mut self) {
        loop {
            match self.updates.try_recv() {
                Ok(update) => self.pending.add(update),
                Err(TryRecvError::Lagged(_)) => self.resubscribe(),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    fn resubscribe(&mut self) {
        self.updates = self.updates.resubscribe();
        self.pending.missed = true;
    }

    /// Takes note of what the page shows after it was loaded just now; returns a digest of that.
    /// `None` if it can't be rendered.
    async fn look(&mut self) -> Option<String> {
        let subject = self.subject.clone();
        let rendered = self.site.renderer.render(move |serving| look(serving, &subject));
        let (overview, parts, digest) = rendered.await?;
        (self.offers, self.unseen) = (overview.offers, overview.counts.unseen);
        self.parts = parts.into_iter().map(|(id, part)| (id, part.into_string())).collect();
        Some(digest)
    }

    fn batch(&mut self) -> Batch {
        let pending = std::mem::take(&mut self.pending);
        if pending.missed {
            return Batch::Reload;
        }
        let site = Arc::clone(&self.site);
        let serving = &site.serving;
        let now = serving.clock.now();
        let (parts, rows) = match self.subject.clone() {
            Subject::All(filter) => {
                let rows = self.changed_rows(&pending);
                if rows.len() > MAX_BATCH_ROWS {
                    return Batch::Reload;
                }
                let rows: Vec<Value> = rows
                    .into_iter()
                    .map(|(offer, row)| row_json(serving, &offer, row, now))
                    .collect();
                let known = serving.store.with(|file| file.offers.len());
                let counts = self.offers.counts(known, self.unseen);
                (page::parts(serving, &filter, &counts, now), rows)
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
        Batch::Update(event("update", &json!({"parts": parts, "rows": rows})))
    }

    /// The rows of the offers that changed, `None` for those that left the page. Costs as much as
    /// there are changes, however many offers there are.
    fn changed_rows(&mut self, pending: &Pending) -> Vec<(OfferId, Option<Row>)> {
        let (serving, mut rows, mut was_removed) = (&self.site.serving, Vec::new(), false);
        serving.store.with(|file| {
            for offer in &pending.offers {
                let record = file.offers.get(offer).map(|record| &**record);
                was_removed |= record.is_none();
                match (self.offers.update(offer, record), record) {
                    (RowChange::Listed, Some(record)) => {
                        rows.push((offer.clone(), Some(Row::of(offer, record))));
                    }
                    (RowChange::Listed | RowChange::Removed, _) => rows.push((offer.clone(), None)),
                    (RowChange::None, _) => {}
                }
            }
        });
        // Counting goes through all offers. Without one of these the count can't have changed.
        if pending.service || was_removed || self.unseen > 0 {
            self.unseen = count_unseen(serving);
        }
        rows
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

/// Whether the same publishers are paused until the same time. The time is computed from two clocks,
/// and so differs a little each time.
fn is_same(before: &PausedUntil, now: &PausedUntil) -> bool {
    fn ends(paused: &PausedUntil) -> Vec<(Option<&PublisherId>, Timestamp)> {
        let publishers =
            paused.publishers.iter().map(|(publisher, it)| (Some(publisher), it.until));
        paused.all.iter().map(|it| (None, it.until)).chain(publishers).collect()
    }
    let (before, now) = (ends(before), ends(now));
    before.len() == now.len()
        && before.iter().zip(&now).all(|((who, until), (who_now, until_now))| {
            let difference = until_now.duration_since(*until).abs();
            who == who_now && difference < SignedDuration::from_secs(1)
        })
}

/// What a page shows that is loaded now, and a digest of it.
fn look(serving: &Serving, subject: &Subject) -> (Overview, Parts, String) {
    let now = serving.clock.now();
    match subject {
        Subject::All(filter) => {
            let overview = Overview::of(serving, filter);
            let digest = page::content_digest(serving, filter, &overview);
            let parts = page::parts(serving, filter, &overview.counts, now);
            (overview, parts, digest)
        }
        Subject::One(offer) => {
            let digest = offer_page::content_digest(serving, offer);
            (Overview::default(), offer_page::parts(serving, offer, now), digest)
        }
    }
}

fn row_json(serving: &Serving, offer: &OfferId, row: Option<Row>, now: Timestamp) -> Value {
    let key = key(offer);
    let Some(mut row) = row else { return json!([key, null]) };
    row.next = serving.service_state.next(offer);
    json!([key, table::tr(&row, now).into_string()])
}

/// An event. JSON has no line breaks of its own.
fn event(name: &str, data: &Value) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}
