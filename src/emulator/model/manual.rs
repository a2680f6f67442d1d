//! What people do to offers in the portal, without golive.

use super::operation::Ending;
use super::stage::Refusal;
use super::{Moment, Offer};

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
    moment: Moment<'_>,
) -> Result<(), Refusal> {
    match action {
        ManualAction::Edit => offer.edit(moment.now),
        ManualAction::StartPublish => offer.publish(moment)?,
        ManualAction::StartGoLive => offer.golive(moment)?,
        ManualAction::Publish => {
            offer.publish(moment)?;
            offer.end_now(Ending::Succeeded, moment)?;
        }
        ManualAction::GoLive => {
            offer.golive(moment)?;
            offer.end_now(Ending::Succeeded, moment)?;
        }
        ManualAction::Cancel => offer.end_now(Ending::Canceled, moment)?,
        ManualAction::Finish => offer.end_now(Ending::Succeeded, moment)?,
        ManualAction::Fail(html) => {
            if let Some(operation) = offer.running_mut() {
                operation.fail_with(html, moment.now);
            }
            offer.end_now(Ending::Failed, moment)?;
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
