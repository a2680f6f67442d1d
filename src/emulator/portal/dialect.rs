//! How the portal words its answers about an offer: what the seed says, else the profile.

use http::{Method, StatusCode};
use jiff::Timestamp;

use super::error;
use crate::backends::portal::wire::API_VERSION;
use crate::emulator::ids::bytes_of;
use crate::emulator::model::stage::{IdleStatus, Refusal, Stage};
use crate::emulator::model::{Behaviour, Offer};
use crate::emulator::reply::Reply;
use crate::emulator::seed::Profile;
use crate::emulator::seed::answers::{OfferIds, SecondGolive, Slots, StatusWords, StepNames};
use crate::emulator::seed::offer::{Casing, Kind, OperationHeader};

/// An answer that has an offer's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StatusIn {
    OfferStatus,
    Offer,
    OfferList,
}

#[derive(Clone, Copy)]
pub(super) struct Dialect<'a>(pub &'a Behaviour);

impl<'a> Dialect<'a> {
    pub(super) fn header(self) -> OperationHeader {
        let default = self.0.by_profile(OperationHeader::Relative, OperationHeader::Both);
        self.0.entry.header.unwrap_or(default)
    }

    pub(super) fn step_names(self) -> StepNames {
        let default = self.0.by_profile(StepNames::Id, StepNames::Title);
        self.0.answers.step_names.unwrap_or(default)
    }

    /// Whether a GET of an offer has an entity tag.
    pub(super) fn etags(self) -> bool {
        self.0.answers.etags.unwrap_or(self.0.by_profile(false, true))
    }

    /// Whether *offer status* says which publication it is about.
    pub(super) fn status_has_publication(self) -> bool {
        self.0.answers.publishing_version.unwrap_or(self.0.by_profile(true, false))
    }

    /// The publishing version in a submission or an operation. The reference has it there, and not
    /// in *offer status*.
    pub(super) fn publishing_version(self, number: u64) -> Option<u64> {
        let shown = self.status_has_publication() || self.0.profile == Profile::Documented;
        shown.then_some(number)
    }

    pub(super) fn golive_type(self) -> &'a str {
        self.0.answers.golive_type.as_deref().unwrap_or("golive")
    }

    pub(super) fn offer_ids(self) -> OfferIds {
        self.0.answers.offer_ids.unwrap_or(OfferIds::Name)
    }

    pub(super) fn slots_missing(self) -> bool {
        self.0.answers.slots == Some(Slots::Missing)
    }

    /// An offer's status in an answer.
    pub(super) fn offer_status(self, place: StatusIn, offer: &Offer) -> String {
        let list_status = self.0.entry.list_status.as_ref();
        if let Some(fixed) = list_status.filter(|_| place == StatusIn::OfferList) {
            return fixed.clone();
        }
        if let Some(shown) = &offer.shown {
            return shown.clone();
        }
        let (stage, answers) = (offer.stage(), &self.0.answers);
        let own = match place {
            StatusIn::OfferStatus => word_for(&answers.status_words, stage),
            StatusIn::Offer => word_for(&answers.document_words, stage),
            StatusIn::OfferList => word_for(&answers.list_words, stage)
                .or_else(|| word_for(&answers.document_words, stage)),
        };
        if let Some(own) = own {
            return own.to_owned();
        }
        let word = match (stage, place, self.0.profile) {
            // There, only the step tells that the offer waits for sign-off.
            (
                Stage::Idle(IdleStatus::WaitingForPublisherReview),
                StatusIn::OfferStatus,
                Profile::Field,
            ) => return "running".to_owned(),
            (Stage::Running(_), ..) => "Running",
            (Stage::Idle(IdleStatus::NeverPublished), ..) => "NeverPublished",
            (Stage::Idle(IdleStatus::NotStarted), ..) => "NotStarted",
            (Stage::Idle(IdleStatus::WaitingForPublisherReview), ..) => "WaitingForPublisherReview",
            (Stage::Idle(IdleStatus::Succeeded), ..) => "Succeeded",
            (Stage::Idle(IdleStatus::Canceled), ..) => "Canceled",
            (Stage::Idle(IdleStatus::Failed), ..) => "Failed",
        };
        match self.casing() {
            Casing::Mixed | Casing::Pascal => with_first(word, char::to_ascii_uppercase),
            Casing::Camel => with_first(word, char::to_ascii_lowercase),
        }
    }

    /// A word of an operation or a step.
    pub(super) fn operation_word(self, word: &str) -> String {
        match self.casing() {
            Casing::Pascal => with_first(word, char::to_ascii_uppercase),
            Casing::Mixed | Casing::Camel => with_first(word, char::to_ascii_lowercase),
        }
    }

    fn casing(self) -> Casing {
        self.0.entry.casing.unwrap_or(self.0.by_profile(Casing::Camel, Casing::Mixed))
    }

    /// A moment, UTC. Field: three fractional digits, no zone. Documented: seven, and `Z`.
    pub(super) fn time(self, at: Timestamp) -> String {
        // The fraction of a moment before 1970 counts backwards; none is shown here.
        let nanoseconds = at.subsec_nanosecond().max(0);
        let seconds = at.strftime("%Y-%m-%dT%H:%M:%S");
        match self.0.profile {
            Profile::Field => format!("{seconds}.{:03}", nanoseconds / 1_000_000),
            Profile::Documented => format!("{seconds}.{:07}Z", nanoseconds / 100),
        }
    }

    /// The entity tag. It changes with the draft, and with each start and end of an operation.
    pub(super) fn etag(self, offer: &Offer) -> String {
        match self.0.profile {
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

    /// Whether the offer was migrated to Partner Center, as its document says it.
    pub(super) fn migration(self) -> &'static str {
        self.0.by_profile("migrated", "notMigrated")
    }

    /// The answer to a PUT that created an offer.
    pub(super) fn created(self) -> StatusCode {
        self.0.by_profile(StatusCode::OK, StatusCode::CREATED)
    }

    /// Whether a PUT creates the publisher that its offer is of. A client of the field can start
    /// from nothing.
    pub(super) fn creates_publishers(self) -> bool {
        self.0.by_profile(true, false)
    }

    /// The refusal of a strict marketplace where `If-Match` is missing, if it refuses that.
    pub(super) fn without_if_match(self, method: &Method, offer: Option<&Offer>) -> Option<Reply> {
        match (self.0.profile, offer) {
            (Profile::Field, Some(offer)) if method == Method::PUT => {
                let message = format!(
                    "Offer ID already exists. If you wanted to update the offer '{}', send the \
                     If-Match header.",
                    offer.id
                );
                Some(error(StatusCode::CONFLICT, "InvalidResourceId", message))
            }
            (Profile::Field, _) => None,
            (Profile::Documented, _) => {
                let message = "the If-Match header is missing: send an ETag or *";
                Some(error(StatusCode::BAD_REQUEST, "BadRequest", message))
            }
        }
    }

    /// Gives an error its final form. Field: not found and invalid are a bare string with the text
    /// of a .NET exception.
    pub(super) fn reword_error(self, reply: Reply) -> Reply {
        let bare = [StatusCode::NOT_FOUND, StatusCode::UNPROCESSABLE_ENTITY];
        if self.0.profile == Profile::Documented || !bare.contains(&reply.status) {
            return reply;
        }
        let status = reply.status.as_u16();
        let exception = format!("Microsoft.Ingestion.Api.Common.Exceptions.Http{status}Exception");
        let text = format!("{exception}: {}", reply.problem.as_deref().unwrap_or_default());
        reply.with_body(&text)
    }

    /// The message about an unknown `api-version`.
    pub(super) fn bad_version(self, given: &str) -> String {
        match self.0.profile {
            Profile::Field => format!("Invalid api version. Allowed values are [{API_VERSION}]."),
            Profile::Documented => format!(
                "The api-version '{given}' is invalid. The supported versions are '{API_VERSION}'."
            ),
        }
    }

    /// The message to a caller who may not see a publisher.
    pub(super) fn forbidden(self) -> &'static str {
        self.0.by_profile(
            "User does not have the required permissions",
            "The service principal has no access to this publisher account: enter its object id in \
             the account's users.",
        )
    }

    /// Whether answers have a correlation id.
    pub(super) fn has_correlation_id(self) -> bool {
        self.0.by_profile(true, false)
    }

    /// The message about an empty slot.
    pub(super) fn empty_slot(self, slot: &str, offer: &Offer) -> String {
        match self.0.profile {
            Profile::Field => format!(
                "There is no {slot} slot deployed for Offer ID '{}', Publisher ID '{}'",
                offer.id, offer.publisher
            ),
            Profile::Documented => "There is no such slot: it is empty.".to_owned(),
        }
    }

    /// The HTTP status of a refusal.
    pub(super) fn refusal_status(self, refusal: Refusal) -> StatusCode {
        let (seeded, default) = match self.0.answers.second_golive {
            Some(SecondGolive::Refuse(status)) => (Some(status), status),
            Some(SecondGolive::Accept) => (None, 409),
            None => (None, self.0.by_profile(409, 400)),
        };
        let status = match refusal {
            Refusal::Busy => self.0.entry.busy.or(seeded).unwrap_or(409),
            Refusal::NotInPreview | Refusal::NothingNewer | Refusal::NotSignedOff => default,
            Refusal::NothingRuns => 400,
        };
        StatusCode::from_u16(status).unwrap_or(StatusCode::CONFLICT)
    }
}

fn word_for(words: &StatusWords, stage: Stage) -> Option<&str> {
    let word = match stage {
        Stage::Running(Kind::Publish) => &words.publish,
        Stage::Running(Kind::GoLive) => &words.golive,
        Stage::Idle(IdleStatus::NeverPublished) => &words.never_published,
        Stage::Idle(IdleStatus::NotStarted) => &words.not_started,
        Stage::Idle(IdleStatus::WaitingForPublisherReview) => &words.sign_off,
        Stage::Idle(IdleStatus::Succeeded) => &words.live,
        Stage::Idle(IdleStatus::Canceled) => &words.canceled,
        Stage::Idle(IdleStatus::Failed) => &words.failed,
    };
    word.as_deref()
}

/// The word with its first letter in another case.
fn with_first(word: &str, case: fn(&char) -> char) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| case(&first)).into_iter().chain(letters).collect()
}
