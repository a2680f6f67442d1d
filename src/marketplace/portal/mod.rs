//! The Cloud Partner Portal API (`api-version=2017-10-31`), golive's default marketplace.
//!
//! | module | what it is |
//! |---|---|
//! | `backend` | [`PortalClient`] is a [`Backend`](super::Backend): it asks until it knows the state |
//! | `interpret`, `stage` | pure: from answers to the state of an offer |
//! | `model` | what the portal answers, in types |
//! | `client` | the calls |
//! | `call` | a request before it has a token |
//! | `settings` | how a client behaves |
//! | `exchange` | one request and its answer: turns, pauses, timeouts, tokens, repeats |
//! | `answer` | an answer's JSON, or the error it is |
//! | `complaint` | what the body of an error says, its causes included |
//! | `any_case` | keys of JSON compared without case |
//! | `lenient` | JSON that may be anything, read without keeping more than is used |
//! | `translate` | wire types → golive's types, every text cleaned, every length bounded |
//! | `transport` | HTTP over a socket, or a router in this process |
//! | `endpoint`, `location` | where requests may go, and nowhere else |
//! | `pages` | lists that come in pages, read whole |
//! | `login` | which token to use, and which was refused |
//! | `token`, `redact` | the secret, and keeping it out of every text |
//! | `retry`, `retry_after`, `pause` | when to ask again |
//! | `line`, `turns` | who may ask now: publishers share the requests in flight |

mod answer;
mod any_case;
mod backend;
mod call;
mod client;
mod complaint;
mod endpoint;
mod exchange;
mod interpret;
mod lenient;
mod line;
mod location;
mod login;
mod model;
mod pages;
mod pause;
mod redact;
mod retry;
mod retry_after;
mod settings;
mod stage;
mod token;
mod translate;
mod transport;
mod turns;
pub mod wire;

#[cfg(test)]
mod tests;

pub use call::CallName;
pub use client::PortalClient;
pub(crate) use endpoint::is_loopback;
pub use endpoint::{Endpoint, EndpointError};
pub use location::OperationUrl;
pub use model::{
    ETag, Offer, OfferStatus, OfferSummary, Operation, PolledOperation, Slot, StatusReport,
    Submission,
};
pub use retry::{RetryPolicy, full_jitter};
pub use retry_after::retry_after;
pub use settings::Settings;
pub use token::{AnonymousToken, EnvToken, FileToken, Token, TokenError, TokenSource};
#[cfg(feature = "otlp")]
pub(crate) use transport::install_crypto;
pub use transport::{HttpTransport, InProcessTransport, MAX_BODY, Transport, TransportError};
