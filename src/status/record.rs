//! The model of the status file. Fields stand in alphabetical order of their JSON names, so that
//! keys are written in sorted order.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::marketplace::MarketplaceRecord;
use super::phase::{Phase, Reason};
use super::{Intent, OperationRecord};
use crate::manifest::DesiredState;
use crate::marketplace::{ChangedTime, OfferId, OperationKind, PublisherId, Release};

/// The version of the file's format that this golive reads and writes.
pub const SCHEMA_VERSION: u32 = 2;

/// Entries by name. A duplicate name, as after a failed merge, is an error: the later entry would
/// hide the other one, and with it an intent.
pub(super) fn each_once<'de, D, K, T>(deserializer: D) -> Result<BTreeMap<K, T>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord + fmt::Display,
    T: Deserialize<'de>,
{
    struct Entries<K, T>(PhantomData<(K, T)>);

    impl<'de, K, T> Visitor<'de> for Entries<K, T>
    where
        K: Deserialize<'de> + Ord + fmt::Display,
        T: Deserialize<'de>,
    {
        type Value = BTreeMap<K, T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("entries by their names")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut known = BTreeMap::new();
            while let Some((name, entry)) = entries.next_entry::<K, T>()? {
                if known.contains_key(&name) {
                    return Err(A::Error::custom(format!("duplicate entry {name}")));
                }
                known.insert(name, entry);
            }
            Ok(known)
        }
    }

    deserializer.deserialize_map(Entries(PhantomData))
}

fn shared<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<OfferId, Arc<OfferRecord>>, D::Error> {
    let offers = each_once::<D, OfferId, OfferRecord>(deserializer)?;
    Ok(offers.into_iter().map(|(offer, record)| (offer, Arc::new(record))).collect())
}

/// The length of an offer's history of finished operations.
const HISTORY_LENGTH: usize = 10;

/// golive's last knowledge of every offer it manages. A cache, never an authority: deleting the
/// file costs requests, not correctness.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StatusFile {
    /// The marketplace of each publisher's offers: a file belongs to one, and a run against another
    /// refuses it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "each_once")]
    pub marketplace: BTreeMap<PublisherId, MarketplaceRecord>,
    /// Every offer, by name (`publisher/offer`).
    #[serde(deserialize_with = "shared")]
    pub offers: BTreeMap<OfferId, Arc<OfferRecord>>,
    /// The version of this format.
    pub schema: u32,
    /// The commit of the manifests that were last reconciled, if they came from git.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceRecord>,
    /// When the file was last written (UTC).
    pub updated_at: Timestamp,
}

impl StatusFile {
    /// A file without records.
    #[must_use]
    pub fn empty(now: Timestamp) -> Self {
        let (marketplace, offers) = (BTreeMap::new(), BTreeMap::new());
        Self { marketplace, offers, schema: SCHEMA_VERSION, source: None, updated_at: now }
    }
}

/// A commit of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourceRecord {
    /// The branch; `None` for the repository's default branch.
    pub branch: Option<String>,
    /// The commit's full id.
    pub commit: String,
    /// The repository's URL, without user name and password.
    pub url: String,
}

/// golive's last knowledge of one offer.
// What most offers don't have is boxed: there may be very many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OfferRecord {
    /// How many requests were sent to bring the current release to its desired state.
    pub attempts: u32,
    /// The last error, until it is resolved.
    pub error: Option<ErrorRecord>,
    /// The last ten finished operations, the oldest first.
    pub history: Vec<OperationRecord>,
    /// The request that is about to be sent, or may have been.
    pub intent: Option<Box<Intent>>,
    /// The manifest that asks for this offer.
    pub manifest: ManifestRecord,
    /// The phase and its reason, as a sentence for people.
    pub message: String,
    /// When golive will check the offer again (UTC).
    pub next_check_at: Option<Timestamp>,
    /// The marketplace's last answer about the offer.
    pub observed: Option<ObservationRecord>,
    /// The running operation, or the last one with its final steps.
    pub operation: Option<Box<OperationRecord>>,
    /// The offer's phase.
    pub phase: Phase,
    /// Why the offer is in this phase.
    pub reason: Reason,
    /// The permanently refused request, while neither manifest nor offer has changed since.
    #[serde(default)]
    pub refused: Option<Box<RefusedRecord>>,
    /// When phase and reason last changed (UTC).
    pub since: Timestamp,
}

impl OfferRecord {
    /// The operation, while it runs.
    #[must_use]
    pub fn running(&self) -> Option<&OperationRecord> {
        self.operation.as_deref().filter(|operation| !operation.status.is_finished())
    }

    /// Whether the history has an operation whose end is unknown: another one started before golive
    /// saw it.
    #[must_use]
    pub fn has_loose_ends(&self) -> bool {
        self.history.iter().any(|operation| !operation.status.is_finished())
    }

    /// Replaces the current operation, which moves to the history. The same operation, seen again or
    /// with an id at last, keeps its start. An id of an earlier attempt is dropped: polling it may
    /// return that attempt.
    pub fn begin(&mut self, mut operation: OperationRecord) {
        let Some(previous) = self.operation.take() else {
            self.operation = Some(Box::new(operation));
            return;
        };
        if operation.is_same(&previous) {
            operation.adopted = previous.adopted;
            if operation.id == previous.id || previous.id.is_none() {
                operation.location = operation.location.or(previous.location);
            }
            operation.manifest_digest = previous.manifest_digest;
            operation.request_id = previous.request_id.or(operation.request_id);
            operation.started_at = previous.started_at;
            if previous.id.is_none() && operation.has_shared_id() {
                operation.forget_id();
            }
        } else {
            self.history.push(*previous);
            let surplus = self.history.len().saturating_sub(HISTORY_LENGTH);
            self.history.drain(..surplus);
        }
        let runs = !operation.status.is_finished();
        if runs && self.history.iter().any(|it| it.id.is_some() && it.id == operation.id) {
            operation.forget_id();
        }
        self.operation = Some(Box::new(operation));
    }
}

/// An offer's manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ManifestRecord {
    /// A digest of the manifest's content; comments and layout do not matter.
    pub digest: String,
    /// The file, relative to the status file's folder.
    pub file: String,
    /// The desired state.
    pub state: DesiredState,
}

/// The marketplace's answer about an offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObservationRecord {
    /// When it answered (UTC).
    pub at: Timestamp,
    /// When the offer last changed, in the marketplace's words.
    pub changed_time: Option<ChangedTime>,
    /// A fingerprint of the offer's entry in the publisher's list: while it is the same, the record is
    /// current. `None` if that is not certain enough.
    #[serde(default)]
    pub fingerprint: Option<String>,
    /// The release in production, if golive knows it.
    pub live: Option<Release>,
    /// The release in preview, if golive knows it.
    pub preview: Option<Release>,
    /// The marketplace's own id of the offer, if it has one besides the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// The offer's status, in the marketplace's words.
    pub status: String,
}

/// The last error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ErrorRecord {
    /// When it happened (UTC).
    pub at: Timestamp,
    /// The error as a sentence, then a hint if there is one.
    pub message: String,
}

impl ErrorRecord {
    /// An error and its time.
    #[must_use]
    pub fn new(at: Timestamp, message: String) -> Self {
        Self { at, message }
    }
}

/// A request that the marketplace refused (400 or 422). It is not repeated for the same release
/// until the manifest or the offer changes, or the user asks for a retry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RefusedRecord {
    /// A fingerprint of the offer's entry in the publisher's list.
    #[serde(default)]
    pub fingerprint: Option<String>,
    /// The operation it should have started.
    pub kind: OperationKind,
    /// The digest of the manifest for which it was sent.
    pub manifest_digest: String,
    /// The marketplace's answer, as a sentence.
    pub message: String,
    /// The release it was for.
    pub release: Release,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::marketplace::StepStatus;
    use crate::marketplace::{AttemptMark, Fence, Message, OperationStatus, RequestId, Step};

    /// A record with everything in it.
    pub(crate) fn record() -> OfferRecord {
        let at: Timestamp = "2026-11-01T09:00:00Z".parse().unwrap();
        let message =
            Message { at: None, level: crate::marketplace::Level::Error, text: "no".to_owned() };
        let step = Step {
            estimate: Some("~2-5 days".to_owned()),
            id: "live".to_owned(),
            messages: vec![message.clone()],
            name: "Live".to_owned(),
            progress: Some(42),
            status: StepStatus::InProgress,
        };
        OfferRecord {
            attempts: 1,
            error: Some(ErrorRecord::new(at, "no".to_owned())),
            history: Vec::new(),
            intent: Some(Box::new(Intent {
                at,
                attempt: 1,
                deadline: at,
                fence: Some(Fence("\"1\"".to_owned())),
                kind: OperationKind::GoLive,
                known: Some(vec![AttemptMark::new(
                    "a",
                    &OperationStatus::Succeeded,
                    "2026-10-30T00:00:00Z",
                )]),
                manifest_digest: "sha256:00".to_owned(),
                release: Release::from(2),
                request_id: RequestId::from_random([7; 16]),
            })),
            manifest: ManifestRecord {
                digest: "sha256:00".to_owned(),
                file: "vm.yaml".to_owned(),
                state: DesiredState::Live,
            },
            message: "golive runs".to_owned(),
            next_check_at: Some(at),
            observed: Some(ObservationRecord {
                at,
                changed_time: Some(ChangedTime("2026-10-31T00:00:00.1234567Z".to_owned())),
                fingerprint: Some("running 2 2026-10-31T00:00:00.1234567Z".to_owned()),
                live: Some(Release::from(1)),
                preview: Some(Release::from(2)),
                product: Some("5d3a7f2e-0b1c-4c6e-9a52-1f2e3d4c5b6a".to_owned()),
                status: "running".to_owned(),
            }),
            operation: Some(operation("a").into()),
            phase: Phase::InProgress,
            reason: Reason::GoLiveRunning,
            refused: Some(Box::new(RefusedRecord {
                fingerprint: None,
                kind: OperationKind::GoLive,
                manifest_digest: "sha256:00".to_owned(),
                message: "no".to_owned(),
                release: Release::from(2),
            })),
            since: at,
        }
        .with_step(step)
    }

    impl OfferRecord {
        fn with_step(mut self, step: Step) -> Self {
            if let Some(operation) = &mut self.operation {
                operation.steps.push(step);
            }
            self
        }
    }

    fn operation(id: &str) -> OperationRecord {
        let start = "2026-11-01T09:00:00Z".parse().unwrap();
        OperationRecord {
            id: Some(id.to_owned()),
            location: Some("/api/publishers/contoso/offers/vm/operations/a".to_owned()),
            manifest_digest: "sha256:00".to_owned(),
            progress: Some(42),
            release: Some(Release::from(2)),
            ..OperationRecord::new(OperationKind::GoLive, OperationStatus::Running, start)
        }
    }

    #[test]
    fn the_history_keeps_the_last_ten() {
        let mut record = record();
        for number in 0..15 {
            record.begin(operation(&format!("op-{number}")));
        }
        let ids: Vec<_> = record.history.iter().filter_map(|op| op.id.as_deref()).collect();
        assert_eq!((ids.len(), ids[0], ids[9]), (HISTORY_LENGTH, "op-4", "op-13"));
    }

    #[test]
    fn an_operation_that_is_named_later_is_the_same_one() {
        let mut record = record();
        record.begin(OperationRecord { id: None, ..operation("x") });
        record.begin(operation("b"));
        assert_eq!(record.history.len(), 1, "only the first went to the history");
    }

    #[test]
    fn an_operation_that_is_seen_anew_keeps_what_it_was_started_for() {
        let mut record = record();
        let seen = OperationRecord {
            adopted: true,
            manifest_digest: "sha256:11".to_owned(),
            started_at: "2026-11-02T09:00:00Z".parse().unwrap(),
            ..operation("a")
        };
        record.begin(seen);
        let kept = record.operation.unwrap();
        assert_eq!((kept.adopted, kept.manifest_digest), (false, "sha256:00".to_owned()));
        assert_eq!(kept.started_at, "2026-11-01T09:00:00Z".parse().unwrap());
    }

    #[test]
    fn an_operation_may_have_a_shared_id_and_one_of_its_own() {
        let mut record = record();
        record.operation = Some(operation("contoso$vm$2$production").into());
        record.begin(operation("d138eccc"));
        assert!(record.history.is_empty(), "it is the same one");
        // The next attempt has the shared id again, which names the one before it.
        let ended = record.operation.as_mut().unwrap();
        ended.id = Some("contoso$vm$2$production".to_owned());
        ended.status = OperationStatus::Failed;
        record.begin(operation("contoso$vm$2$production"));
        let again = record.operation.unwrap();
        assert_eq!((again.id, again.location, record.history.len()), (None, None, 1));
    }
}
