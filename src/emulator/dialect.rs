//! The one place where the profiles differ: every choice about answers, made from the profile and
//! from what the seed says otherwise.

use std::sync::Arc;

use http::{Method, StatusCode};
use jiff::Timestamp;

use super::behaviour::{Casing, Header, Kind, OfferSeed};
use super::ids::bytes_of;
use super::model::Offer;
use super::operation::Pace;
use super::reply::Reply;
use super::response_overrides::{
    AfterFailure, CancelGolive, Lag, Numbers, OfferIds, Profile, ResponseOverrides, SecondGolive,
    Slots, Stale, StepNames, UnchangedPublish, Words,
};
use super::seed::Seed;
use super::stage::{Refused, Stage};
use super::undocumented::UndocumentedFields;
use crate::backends::portal::wire::API_VERSION;

/// How the marketplace behaves about one offer: its entry in the seed, with every gap filled.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Behaviour {
    pub entry: Arc<OfferSeed>,
    pub dialect: Dialect,
    pub pace: Pace,
}

impl Behaviour {
    pub(super) fn new(seed: &Seed, entry: Arc<OfferSeed>) -> Self {
        Self { dialect: Dialect::new(seed, &entry), pace: seed.pace(&entry), entry }
    }
}

/// A place where an offer's status is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    Status,
    Document,
    List,
}

/// What a word names, for its spelling.
#[derive(Clone, Copy)]
enum WordKind {
    Offer,
    Operation,
}

/// Every choice about the answers on one offer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Dialect {
    profile: Profile,
    casing: Casing,
    status_words: Words,
    document_words: Words,
    list_words: Words,
    list_status: Option<String>,
    busy: StatusCode,
    second_golive: SecondGolive,
    after_failed_publish: AfterFailure,
    after_failed_golive: AfterFailure,
    cancel_golive: CancelGolive,
    unchanged_publish: UnchangedPublish,
    pub header: Header,
    pub step_names: StepNames,
    pub numbers: Numbers,
    pub publishing_version: bool,
    pub etags: bool,
    pub stale: Option<Stale>,
    pub lag: Lag,
    pub slots: Slots,
    pub shared_id: bool,
    pub golive_type: String,
    pub publish_in_sign_off: Option<String>,
    pub offer_ids: OfferIds,
}

/// What the profiles choose, where they differ and a seed can choose otherwise.
struct Choices {
    casing: Casing,
    header: Header,
    status_words: Words,
    step_names: StepNames,
    numbers: Numbers,
    publishing_version: bool,
    etags: bool,
    after_failed_publish: AfterFailure,
    after_failed_golive: AfterFailure,
    second_golive: SecondGolive,
    cancel_golive: CancelGolive,
    unchanged_publish: UnchangedPublish,
}

impl Profile {
    fn choices(self) -> Choices {
        match self {
            Self::Field => Choices {
                casing: Casing::Camel,
                header: Header::Relative,
                // The sign-off is told by its step alone.
                status_words: Words { sign_off: Some("running".to_owned()), ..Words::default() },
                step_names: StepNames::Id,
                numbers: Numbers::One,
                publishing_version: true,
                etags: false,
                after_failed_publish: AfterFailure::Fallback,
                after_failed_golive: AfterFailure::Failed,
                second_golive: SecondGolive::Refuse(409),
                cancel_golive: CancelGolive::Ignored,
                unchanged_publish: UnchangedPublish::Ignored,
            },
            Self::Documented => Choices {
                casing: Casing::Mixed,
                header: Header::Both,
                status_words: Words::default(),
                step_names: StepNames::Title,
                numbers: Numbers::Small,
                publishing_version: false,
                etags: true,
                after_failed_publish: AfterFailure::Failed,
                after_failed_golive: AfterFailure::Failed,
                second_golive: SecondGolive::Refuse(400),
                cancel_golive: CancelGolive::Ends,
                unchanged_publish: UnchangedPublish::Publishes,
            },
        }
    }
}

impl Dialect {
    fn new(seed: &Seed, entry: &OfferSeed) -> Self {
        let profile = entry.profile.unwrap_or(seed.profile);
        let of = profile.choices();
        let said: ResponseOverrides = entry.answers.clone().or(seed.answers.clone());
        let refusal = said.second_golive.and_then(|second| match second {
            SecondGolive::Accept => None,
            SecondGolive::Refuse(status) => Some(status),
        });
        let busy = entry.busy.or(refusal).and_then(|busy| StatusCode::from_u16(busy).ok());
        Self {
            profile,
            casing: entry.casing.unwrap_or(of.casing),
            status_words: said.status_words.or(of.status_words),
            document_words: said.document_words,
            list_words: said.list_words,
            list_status: entry.list_status.clone(),
            busy: busy.unwrap_or(StatusCode::CONFLICT),
            second_golive: said.second_golive.unwrap_or(of.second_golive),
            after_failed_publish: said.after_failure.unwrap_or(of.after_failed_publish),
            after_failed_golive: said.after_failure.unwrap_or(of.after_failed_golive),
            cancel_golive: said.cancel_golive.unwrap_or(of.cancel_golive),
            unchanged_publish: said.unchanged_publish.unwrap_or(of.unchanged_publish),
            header: entry.header.unwrap_or(of.header),
            step_names: said.step_names.unwrap_or(of.step_names),
            numbers: said.numbers.unwrap_or(of.numbers),
            publishing_version: said.publishing_version.unwrap_or(of.publishing_version),
            etags: said.etags.unwrap_or(of.etags),
            stale: said.stale_after_publish,
            lag: said.lag,
            slots: said.slots.unwrap_or(Slots::Present),
            shared_id: said.shared_id.unwrap_or(false),
            golive_type: said.golive_type.unwrap_or_else(|| "golive".to_owned()),
            publish_in_sign_off: said.publish_in_sign_off,
            offer_ids: said.offer_ids.unwrap_or(OfferIds::Name),
        }
    }

    /// The word for an offer's stage, where it is told.
    pub(super) fn stage(&self, place: Read, stage: Stage) -> String {
        let own = match place {
            Read::Status => self.status_words.of(stage),
            Read::Document => self.document_words.of(stage),
            Read::List => self
                .list_status
                .as_deref()
                .or(self.list_words.of(stage))
                .or(self.document_words.of(stage)),
        };
        own.map_or_else(|| self.spell(stage.word(), WordKind::Offer), str::to_owned)
    }

    /// A submission's or an operation's publishing version, where it is told. The reference has it
    /// there, and not in *offer status*.
    pub(super) fn publishing_version_of(&self, number: u64) -> Option<u64> {
        (self.publishing_version || self.profile == Profile::Documented).then_some(number)
    }

    /// A word that another hand put in the place of an offer's status.
    pub(super) fn shown(&self, place: Read, shown: &str) -> String {
        let own = self.list_status.as_deref().filter(|_| place == Read::List);
        own.unwrap_or(shown).to_owned()
    }

    /// A word of an operation or a step.
    pub(super) fn word(&self, text: &str) -> String {
        self.spell(text, WordKind::Operation)
    }

    fn spell(&self, text: &str, word: WordKind) -> String {
        let mut letters = text.chars();
        let Some(first) = letters.next() else {
            return String::new();
        };
        let first = match (self.casing, word) {
            (Casing::Pascal, _) | (Casing::Mixed, WordKind::Offer) => first.to_ascii_uppercase(),
            (Casing::Camel, _) | (Casing::Mixed, WordKind::Operation) => first.to_ascii_lowercase(),
        };
        std::iter::once(first).chain(letters).collect()
    }

    /// A moment, UTC. Field: three fractional digits, no zone. Documented: seven, and `Z`.
    pub(super) fn time(&self, at: Timestamp) -> String {
        // The fraction of a moment before 1970 counts backwards; none is shown here.
        let nanoseconds = at.subsec_nanosecond().max(0);
        let seconds = at.strftime("%Y-%m-%dT%H:%M:%S");
        match self.profile {
            Profile::Field => format!("{seconds}.{:03}", nanoseconds / 1_000_000),
            Profile::Documented => format!("{seconds}.{:07}Z", nanoseconds / 100),
        }
    }

    /// The entity tag: another one after every change of the draft and after every start and end
    /// of an operation.
    pub(super) fn etag(&self, offer: &Offer) -> String {
        match self.profile {
            Profile::Field => {
                // The revision takes the place of the fraction, so that two changes at one moment
                // have two tags.
                let seconds = offer.changed.strftime("%Y-%m-%dT%H%%3A%M%%3A%S");
                format!("W/\"datetime'{seconds}.{:07}Z'\"", offer.revision % 10_000_000)
            }
            Profile::Documented => {
                let bytes = bytes_of(&format!("etag {} {}", offer.name(), offer.revision));
                format!("\"0x{}\"", hex::encode_upper(&bytes[..8]))
            }
        }
    }

    /// What an offer has beyond the reference.
    pub(super) fn beyond(&self) -> Option<UndocumentedFields> {
        match self.profile {
            Profile::Field => Some(UndocumentedFields::default()),
            Profile::Documented => None,
        }
    }

    /// Whether the offer was migrated to Partner Center, as its document says it.
    pub(super) fn migration(&self) -> &'static str {
        match self.profile {
            Profile::Field => "migrated",
            Profile::Documented => "notMigrated",
        }
    }

    /// The version of a draft that was never published.
    pub(super) fn draft_version(&self) -> u64 {
        match self.profile {
            Profile::Field => 0,
            Profile::Documented => 1,
        }
    }

    /// The answer to a PUT that created an offer.
    pub(super) fn created(&self) -> StatusCode {
        match self.profile {
            Profile::Field => StatusCode::OK,
            Profile::Documented => StatusCode::CREATED,
        }
    }

    /// Whether a PUT creates the publisher that its offer is of. A client of the field can start
    /// from nothing.
    pub(super) fn creates_publishers(&self) -> bool {
        match self.profile {
            Profile::Field => true,
            Profile::Documented => false,
        }
    }

    /// The refusal of a strict marketplace where `If-Match` is missing, if it refuses that.
    pub(super) fn without_if_match(&self, method: &Method, offer: Option<&Offer>) -> Option<Reply> {
        match (self.profile, offer) {
            (Profile::Field, Some(offer)) if method == Method::PUT => {
                let message = format!(
                    "Offer ID already exists. If you wanted to update the offer '{}', send the \
                     If-Match header.",
                    offer.id
                );
                Some(Reply::error(StatusCode::CONFLICT, "InvalidResourceId", message))
            }
            (Profile::Field, _) => None,
            (Profile::Documented, _) => {
                let message = "the If-Match header is missing: send an ETag or *";
                Some(Reply::error(StatusCode::BAD_REQUEST, "BadRequest", message))
            }
        }
    }

    /// An error as it goes out. Field: not found and invalid are a bare string with the text of a
    /// .NET exception.
    pub(super) fn put_error(&self, reply: Reply) -> Reply {
        let bare = match self.profile {
            Profile::Field => {
                [StatusCode::NOT_FOUND, StatusCode::UNPROCESSABLE_ENTITY].contains(&reply.status())
            }
            Profile::Documented => false,
        };
        if !bare {
            return reply;
        }
        let status = reply.status().as_u16();
        let exception = format!("Microsoft.Ingestion.Api.Common.Exceptions.Http{status}Exception");
        let text = format!("{exception}: {}", reply.problem().unwrap_or_default());
        reply.with_body(&text)
    }

    /// What is said of an unknown `api-version`.
    pub(super) fn bad_version(&self, given: &str) -> String {
        match self.profile {
            Profile::Field => format!("Invalid api version. Allowed values are [{API_VERSION}]."),
            Profile::Documented => format!(
                "The api-version '{given}' is invalid. The supported versions are '{API_VERSION}'."
            ),
        }
    }

    /// What is said to a caller who may not see a publisher.
    pub(super) fn forbidden(&self) -> &'static str {
        match self.profile {
            Profile::Field => "User does not have the required permissions",
            Profile::Documented => {
                "The service principal has no access to this publisher account: enter its object \
                 id in the account's users."
            }
        }
    }

    /// Whether answers carry a correlation id.
    pub(super) fn correlates(&self) -> bool {
        match self.profile {
            Profile::Field => true,
            Profile::Documented => false,
        }
    }

    /// What is said of an empty slot.
    pub(super) fn empty_slot(&self, slot: &str, offer: &Offer) -> String {
        match self.profile {
            Profile::Field => format!(
                "There is no {slot} slot deployed for Offer ID '{}', Publisher ID '{}'",
                offer.id, offer.publisher
            ),
            Profile::Documented => "There is no such slot: it is empty.".to_owned(),
        }
    }

    /// The status of a refusal.
    pub(super) fn refusal(&self, refused: Refused) -> StatusCode {
        let second = match self.second_golive {
            SecondGolive::Refuse(status) => StatusCode::from_u16(status).ok(),
            SecondGolive::Accept => None,
        };
        match refused {
            Refused::Busy => self.busy,
            Refused::NotInPreview | Refused::NothingNewer | Refused::NotSignedOff => {
                second.unwrap_or(StatusCode::CONFLICT)
            }
            Refused::NothingRuns => StatusCode::BAD_REQUEST,
        }
    }

    /// Whether a second golive on a release is accepted.
    pub(super) fn accepts_second_golive(&self) -> bool {
        self.second_golive == SecondGolive::Accept
    }

    /// Whether a golive that failed or was canceled can be repeated without another sign-off.
    pub(super) fn repeats_golive(&self) -> bool {
        match self.profile {
            Profile::Field => false,
            Profile::Documented => true,
        }
    }

    /// Whether a cancel that has nothing to end is accepted.
    pub(super) fn accepts_idle_cancel(&self) -> bool {
        match self.profile {
            Profile::Field => true,
            Profile::Documented => false,
        }
    }

    /// Whether a cancel ends what runs.
    pub(super) fn cancels(&self, kind: Kind) -> bool {
        match kind {
            Kind::Publish => true,
            Kind::GoLive => self.cancel_golive == CancelGolive::Ends,
        }
    }

    /// Whether a publish of an unchanged draft has no effect.
    pub(super) fn ignores_unchanged_publish(&self) -> bool {
        self.unchanged_publish == UnchangedPublish::Ignored
    }

    /// What is shown after an operation of this kind failed.
    pub(super) fn after_failure(&self, kind: Kind) -> AfterFailure {
        match kind {
            Kind::Publish => self.after_failed_publish,
            Kind::GoLive => self.after_failed_golive,
        }
    }
}
