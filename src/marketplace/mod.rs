//! golive's model of the marketplace: an offer's state, its releases, running operations, and the
//! interface to an API ([`Backend`]).
//!
//! These types belong to golive, not to one remote API.

mod api;
mod backend;
mod error;
mod id;
mod operation;
mod product_page;
mod release;
mod state;
pub(crate) mod text;
pub(crate) mod text_enum;

pub use api::{Api, UnknownApi};
pub use backend::{Accepted, Backend, Launch, Pause, PausedUntil, Polled, Settling};
pub use error::{MAX_RETRY_AFTER, MarketplaceError, Refusal, RefusalKind};
pub use id::{IdError, OfferId, PublisherId, RequestId};
pub use operation::{
    Level, Message, OperationKind, OperationRef, OperationStatus, Step, StepStatus,
    is_shared_operation_id,
};
pub use product_page::ProductPage;
pub use release::{ChangedTime, Fence, Release, Version};
pub use state::{
    Attempt, AttemptMark, Failed, Followed, Following, Hint, InDoubt, Inquiry, Listing, OfferState,
    Report, Run,
};
pub(crate) use text::is_invisible;
pub use text::{clean_line, is_harmful, plain_text};
