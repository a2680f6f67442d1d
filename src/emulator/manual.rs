//! The portal, by another hand: what people do to offers without golive.

use jiff::Timestamp;

use super::dialect::Behaviour;
use super::model::Offer;
use super::operation::Ending;
use super::stage::Refused;

/// Something done to an offer by another hand. Refused where the marketplace would refuse it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManualAction {
    /// Changes the draft: another `ETag`.
    Edit,
    /// Starts a publish, also of a draft that nobody changed: the hand changed it on its way.
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
    /// Ends the running operation well, at once, also where a step blocks it.
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

/// Why a hand could not do something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManualActionError {
    /// There is no such offer.
    #[error("there is no offer {0}")]
    NoOffer(String),
    /// The marketplace does not allow it now; why, in words.
    #[error("{0}")]
    Refused(String),
}

/// Does it. Deleting is the world's business, not the offer's.
pub(super) fn act(
    hand: ManualAction,
    offer: &mut Offer,
    behaviour: &Behaviour,
    last_number: u64,
    now: Timestamp,
) -> Result<(), Refused> {
    match hand {
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
            offer.stamp += 1;
        }
        ManualAction::ShowStatus(text) => {
            offer.shown = text;
            offer.stamp += 1;
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
) -> Result<(), Refused> {
    let running = offer.running().ok_or(Refused::NothingRuns)?;
    let done = match ending {
        Ending::Succeeded => running.count,
        Ending::Failed | Ending::Canceled => running.done(now),
    };
    offer.end(ending, now, done, behaviour);
    Ok(())
}
