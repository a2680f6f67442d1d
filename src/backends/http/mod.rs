//! One request and its answer, whatever the API.
//!
//! | module | what it is |
//! |---|---|
//! | `call` | a request without its token |
//! | `client_parts` | what a client is made of |
//! | `settings` | timeouts, concurrency and retries of a client |
//! | `executor` | one request and its answer: permits, pauses, timeouts, tokens, retries |
//! | `response` | an answer's JSON, or the error it is |
//! | `advice` | what to do about a refusal |
//! | `error_message` | the message in an error body, causes included |
//! | `any_case` | keys of JSON compared without case |
//! | `lenient` | JSON that may be anything, read without keeping more than is used |
//! | `transport` | HTTP over a socket, or a router in this process |
//! | `endpoint` | the only origin that requests may go to |
//! | `pages` | paged lists, read whole |
//! | `login` | which token to use, and which was refused |
//! | `token`, `redact` | the secret, and keeping it out of every text |
//! | `retry`, `retry_after`, `pause` | when to ask again |
//! | `fair_queue`, `permits` | permits to send, shared fairly among publishers |

pub(crate) mod advice;
pub(crate) mod any_case;
pub(crate) mod call;
mod client_parts;
pub(crate) mod endpoint;
pub(crate) mod error_message;
pub(crate) mod executor;
mod fair_queue;
pub(crate) mod lenient;
mod login;
mod measured;
mod pages;
mod pause;
pub(crate) mod permits;
pub(crate) mod redact;
pub(crate) mod response;
mod retry;
mod retry_after;
pub(crate) mod settings;
pub(crate) mod token;
pub(crate) mod transport;

pub use call::CallName;
pub use client_parts::ClientParts;
pub use endpoint::{Endpoint, EndpointError};
pub use measured::Measured;
pub use permits::Permits;
pub use retry::RetryPolicy;
pub use retry_after::retry_after;
pub use settings::Settings;
pub use token::{
    AnonymousToken, EnvToken, FileToken, Token, TokenError, TokenPurpose, TokenSource,
};
#[cfg(feature = "otlp")]
pub(crate) use transport::install_crypto;
pub use transport::{
    Dropped, HttpTransport, InProcessTransport, MAX_BODY, Transport, TransportError,
};
