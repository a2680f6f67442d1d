//! What people do to offers in the portal, without golive.

use jiff::Timestamp;

use super::operation::Ending;
use super::stage::Refusal;
use super::{Behaviour, Offer};

/// What somebody else does to an offer. Refused where the marketplace would refuse it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManualAction {
    /// Changes the draft: another `ETag`.
    Edit,
    /// Starts a publish, also of a draft that nobody changed: this changes it.
    StartPublish,
    /// Publishes: a newer version is in preview, waiting for sign-off, at once. As `StartPublish`,
    /// also of a draft that nobody changed.
    Publish,
    /// Starts a golive.
    StartGoLive,
    /// Goes live, at once.
    GoLive,
    /// Ends the running operation as canceled, at once.
    Cancel,
    /// Ends the running operation as succeeded, at once, also where a step blocks it.
    Finish,
    /// Ends the running operation as failed, at once, with this message (HTML).
    Fail(String),
    /// From now on, asking for any of the operations there are answers 404.
    Expire,
    /// From now on, shows this text as the offer's status; `None` shows the true one again.
    ShowStatus(Option<String>),
    /// Deletes the offer, for this run: a memory file does not remember that something is gone.
    Delete,
}

/// Why a manual action failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManualActionError {
    /// There is no such offer.
    #[error("there is no offer {0}")]
    NoOffer(String),
    /// The marketplace does not allow it now; why, in words.
    #[error("{0}")]
    Refused(String),
}

/// Does it. [`World`](crate::emulator::world::World) deletes offers, not this.
pub(crate) fn act(
    action: ManualAction,
    offer: &mut Offer,
    behaviour: &Behaviour,
    last_number: u64,
    now: Timestamp,
) -> Result<(), Refusal> {
    match action {
        ManualAction::Edit => offer.edit(now),
        ManualAction::StartPublish => offer.publish(now, last_number, behaviour)?,
        ManualAction::StartGoLive => offer.golive(now, behaviour)?,
        ManualAction::Publish => {
            offer.publish(now, last_number, behaviour)?;
            end(offer, Ending::Succeeded, behaviour, now)?;
        }
        ManualAction::GoLive => {
            offer.golive(now, behaviour)?;
            end(offer, Ending::Succeeded, behaviour, now)?;
        }
        ManualAction::Cancel => offer.cancel_now(now, behaviour)?,
        ManualAction::Finish => end(offer, Ending::Succeeded, behaviour, now)?,
        ManualAction::Fail(html) => {
            if let Some(operation) = offer.operations.last_mut().filter(|last| last.runs()) {
                operation.fail_with(html, now);
            }
            end(offer, Ending::Failed, behaviour, now)?;
        }
        ManualAction::Expire => {
            for operation in &mut offer.operations {
                operation.expired = true;
            }
            offer.changes += 1;
        }
        ManualAction::ShowStatus(text) => {
            offer.shown = text;
            offer.changes += 1;
        }
        ManualAction::Delete => {}
    }
    Ok(())
}

fn end(
    offer: &mut Offer,
    ending: Ending,
    behaviour: &Behaviour,
    now: Timestamp,
) -> Result<(), Refusal> {
    let running = offer.running().ok_or(Refusal::NothingRuns)?;
    let done = match ending {
        Ending::Succeeded => running.count,
        Ending::Failed | Ending::Canceled => running.done(now),
    };
    offer.end(ending, now, done, behaviour);
    Ok(())
}
