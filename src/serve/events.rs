//! What changes on a page, as it changes: server-sent events.
//!
//! | event | data |
//! |---|---|
//! | `hello` | a digest of what the page shows now. A page that shows something else was rendered before, and loads anew |
//! | `update` | `{"parts": {ID: HTML}, "rows": [[KEY, HTML or null]]}`: elements to replace, and rows that changed or left |
//! | `reload` | too much has changed to tell it in pieces |

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{OwnedSemaphorePermit, broadcast, watch};
use tokio::time::{Instant, sleep_until};
use url::form_urlencoded;

use super::Serving;
use super::filter::Filter;
use super::layout::Parts;
use super::overview::{Counts, Overview};
use super::row::{Row, key};
use super::{offer_page, page, table};
use crate::marketplace::OfferId;
use crate::watch::Update;

/// The most event streams at once.
pub(super) const STREAMS: usize = 64;
/// The time between two batches: a person sees no difference, and a thousand changes are a few.
const PACE: Duration = Duration::from_millis(250);
/// The time for which a page that loads anew is left alone.
const REST: Duration = Duration::from_secs(2);
/// The time after which silence is broken, so that a lost connection is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
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

/// One page's stream.
#[derive(Debug)]
struct Listener {
    serving: Serving,
    subject: Subject,
    updates: broadcast::Receiver<Update>,
    stopped: watch::Receiver<()>,
    pending: Pending,
    /// The rows that the page has.
    rows: BTreeSet<OfferId>,
    /// The pieces as they were last sent.
    parts: BTreeMap<&'static str, String>,
    /// Whether the page was greeted.
    greeted: bool,
    /// When something was last sent.
    sent: Instant,
    /// When it was last looked at what is to be sent.
    looked: Instant,
    _place: OwnedSemaphorePermit,
}

/// The stream for a page. It ends when the server stops.
pub(super) fn stream(
    serving: Serving,
    subject: Subject,
    place: OwnedSemaphorePermit,
    stopped: watch::Receiver<()>,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let now = Instant::now();
    let listener = Listener {
        // Before anything is looked at, so that nothing is missed.
        updates: serving.board.subscribe(),
        serving,
        subject,
        stopped,
        pending: Pending::default(),
        rows: BTreeSet::new(),
        parts: BTreeMap::new(),
        greeted: false,
        sent: now,
        looked: now,
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
            return Some(self.hello());
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
                    if let Some(event) = self.batch() {
                        return Some(event);
                    }
                }
                update = self.updates.recv() => match update {
                    Ok(update) => self.pending.add(update),
                    Err(RecvError::Lagged(_)) => self.overlook(),
                    Err(RecvError::Closed) => return None,
                },
            }
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

    fn hello(&mut self) -> Bytes {
        let digest = self.look();
        let mut text = Vec::from("retry: 2000\n");
        text.extend_from_slice(&event("hello", &json!(digest)));
        text.into()
    }

    /// Learns what the page has after it was loaded just now; returns a digest of that.
    fn look(&mut self) -> String {
        let now = self.serving.clock.now();
        let (parts, digest) = match &self.subject {
            Subject::All(filter) => {
                let overview = Overview::of(&self.serving, filter);
                self.rows = overview.rows.iter().map(|row| row.offer.clone()).collect();
                let digest = page::content_digest(&self.serving, filter, &overview);
                (page::parts(&self.serving, filter, &overview.counts, now), digest)
            }
            Subject::One(offer) => (
                offer_page::parts(&self.serving, offer, now),
                offer_page::content_digest(&self.serving, offer),
            ),
        };
        self.parts = parts.into_iter().map(|(id, part)| (id, part.into_string())).collect();
        digest
    }

    /// What is to be sent now, if it is anything that the page shows.
    fn batch(&mut self) -> Option<Bytes> {
        let pending = std::mem::take(&mut self.pending);
        if pending.all {
            return Some(self.reload());
        }
        let now = self.serving.clock.now();
        let (parts, rows) = match self.subject.clone() {
            Subject::All(filter) => {
                let changed = self.changed_rows(&filter, &pending.offers);
                if changed.len() > MAX_ROWS {
                    return Some(self.reload());
                }
                let counts = Counts::of(&self.serving, &filter);
                let rows = changed.into_iter().map(|(offer, row)| self.row(offer, row, now));
                let rows: Vec<Value> = rows.collect();
                (page::parts(&self.serving, &filter, &counts, now), rows)
            }
            Subject::One(offer) => {
                if !pending.service && !pending.offers.contains(&offer) {
                    return None;
                }
                (offer_page::parts(&self.serving, &offer, now), Vec::new())
            }
        };
        let parts = self.changed_parts(parts);
        let is_nothing = parts.is_empty() && rows.is_empty();
        (!is_nothing).then(|| event("update", &json!({"parts": parts, "rows": rows})))
    }

    fn reload(&mut self) -> Bytes {
        let digest = self.look();
        self.looked += REST;
        event("reload", &json!(digest))
    }

    /// The offers whose rows may have changed, with their rows, or without where they left.
    fn changed_rows(
        &self,
        filter: &Filter,
        offers: &BTreeSet<OfferId>,
    ) -> Vec<(OfferId, Option<Row>)> {
        self.serving.store.with(|file| {
            let changed = offers.iter().filter_map(|offer| {
                let record = file.offers.get(offer).filter(|it| filter.admits(offer, it));
                let is_known = record.is_some() || self.rows.contains(offer);
                is_known.then(|| (offer.clone(), record.map(|record| Row::of(offer, record))))
            });
            changed.collect()
        })
    }

    /// A row as it is sent.
    fn row(&mut self, offer: OfferId, row: Option<Row>, now: Timestamp) -> Value {
        let key = key(&offer);
        let Some(mut row) = row else {
            self.rows.remove(&offer);
            return json!([key, null]);
        };
        row.next = self.serving.board.next(&offer);
        self.rows.insert(offer);
        json!([key, table::tr(&row, now).into_string()])
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

/// An event. JSON has no line breaks of its own.
fn event(name: &str, data: &Value) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}
