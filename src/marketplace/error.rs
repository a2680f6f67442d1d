//! Errors of marketplace requests, distinguished by what they mean for the caller.

use std::fmt;
use std::time::Duration;

/// Limit for a pause that the marketplace asks for; a longer one is cut to this.
pub const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a call failed. Texts from outside are already cleaned, and tokens redacted.
#[derive(Debug, thiserror::Error)]
pub enum MarketplaceError {
    /// No connection was made, so the request was not sent.
    #[error("cannot connect to the marketplace at {origin}")]
    NotSent {
        /// Scheme, host and port of the marketplace.
        origin: String,
        /// The transport's error.
        #[source]
        source: Source,
    },
    /// The request may have been sent and processed, but no usable answer came: a timeout, a reset,
    /// a cut, endless or unreadable body.
    #[error("the answer to {request} was lost: {what}")]
    Lost {
        /// Method and path of the request.
        request: String,
        /// What happened, e.g. a timeout.
        what: String,
        /// The transport's error.
        #[source]
        source: Option<Source>,
    },
    /// The marketplace answered with an error status.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// No token is available.
    #[error("no token for the marketplace: {0}")]
    Token(String),
    /// An operation's URL points outside the configured marketplace and offer.
    #[error("ForeignOperationUrl: {0}")]
    ForeignOperationUrl(String),
}

/// An answer with an error status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Method and path of the request.
    pub request: String,
    /// What the answer means for the caller.
    pub kind: RefusalKind,
    /// The status, e.g. `409 Conflict`.
    pub answer: String,
    /// The error code, if the body has one.
    pub code: Option<String>,
    /// The error message as plain text, if the body has one.
    pub message: Option<String>,
    /// How long the marketplace asks golive to wait.
    pub retry_after: Option<Duration>,
    /// The marketplace's id of the request, for a support case.
    pub request_id: Option<String>,
    /// Whether the request wasn't sent at all. The message then says why, and which earlier answer
    /// the status comes from.
    pub is_unsent: bool,
    /// Whether every later request of this process would fail, too; see
    /// [`MarketplaceError::is_final`].
    pub is_final: bool,
    /// Advice for the user, if the backend has any: the marketplace's own messages are often of
    /// little help.
    pub advice: Option<String>,
}

impl Refusal {
    /// The refusal of another request that isn't sent because of this answer.
    #[must_use]
    pub fn unsent(&self, request: &str, why: String) -> Self {
        Self {
            request: request.to_owned(),
            code: None,
            message: Some(why),
            retry_after: None,
            request_id: None,
            is_unsent: true,
            ..self.clone()
        }
    }
}

/// What a refusal means for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The request itself is wrong: nothing was started.
    Invalid,
    /// The token is missing, has expired, or is meant for another service.
    Unauthenticated,
    /// The token is valid, but lacks access to this publisher or offer.
    Forbidden,
    /// There is no such publisher, offer or operation, or the token may not see it.
    NotFound,
    /// The offer is in another state than the request assumes.
    Conflict,
    /// Too many requests: nothing was started.
    Throttled,
    /// The marketplace temporarily accepts no requests: nothing was started.
    Unavailable,
    /// The marketplace failed, possibly after it processed the request.
    Failed,
    /// Anything else: the outcome of the request is unknown.
    Other,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_unsent {
            let why = self.message.as_deref().unwrap_or_default();
            return write!(f, "{} was not sent: {why}", self.request);
        }
        // A gateway's page begins with the status, in its title and again in its heading.
        let (number, reason) = self.answer.split_once(' ').unwrap_or((&self.answer, ""));
        let message = self.message.as_deref().map(|text| without_status(text, &self.answer));
        if let Some(message) = message.filter(|text| text.starts_with(number)) {
            return write!(f, "{} was answered {message}", self.request);
        }
        let message = message.filter(|text| !text.is_empty());
        write!(f, "{} was answered {number} {reason}", self.request)?;
        // A code that only repeats the status adds nothing.
        let code = self.code.as_ref().filter(|code| {
            let letters = |text: &str| text.replace(' ', "");
            !letters(code).eq_ignore_ascii_case(&letters(reason))
        });
        match (code.map(String::as_str), message) {
            (Some(code), Some(message)) => write!(f, ": {code}: {message}"),
            (Some(text), None) | (None, Some(text)) => write!(f, ": {text}"),
            (None, None) => Ok(()),
        }
    }
}

/// A message without the status at its start.
fn without_status<'a>(mut message: &'a str, answer: &str) -> &'a str {
    while let Some(rest) = message.strip_prefix(answer).filter(|_| answer.contains(' ')) {
        if rest.starts_with(char::is_alphanumeric) {
            break;
        }
        message = rest.trim_start_matches([' ', ':', '-', '–', '.']);
    }
    message
}

impl MarketplaceError {
    /// An answer that is lost for a reason which isn't the transport's error.
    pub(crate) fn lost(request: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Lost { request: request.into(), what: what.into(), source: None }
    }

    /// The refusal's kind, if the marketplace answered.
    #[must_use]
    pub fn kind(&self) -> Option<RefusalKind> {
        self.refusal().map(|refusal| refusal.kind)
    }

    /// Whether retries are futile while this process runs: the token was refused (401), and its
    /// source has no other one and will have none. A caller that follows an operation can end at
    /// once.
    ///
    /// False if another process may still renew the token, and if no token was available
    /// ([`MarketplaceError::Token`]), which may be temporary.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.refusal().is_some_and(|refusal| refusal.is_final)
    }

    /// Advice for the user, if there is any.
    #[must_use]
    pub fn advice(&self) -> Option<&str> {
        self.refusal()?.advice.as_deref()
    }

    /// How long the marketplace asks golive to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.refusal()?.retry_after
    }

    fn refusal(&self) -> Option<&Refusal> {
        if let Self::Refused(refusal) = self { Some(refusal) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_s_page_does_not_repeat_the_status() {
        let shown = |message: &str| {
            let refusal = Refusal {
                request: "GET /x".to_owned(),
                kind: RefusalKind::Failed,
                answer: "502 Bad Gateway".to_owned(),
                code: None,
                message: Some(message.to_owned()),
                retry_after: None,
                request_id: None,
                is_unsent: false,
                is_final: false,
                advice: None,
            };
            refusal.to_string().replace("GET /x was answered ", "")
        };
        assert_eq!(shown("502 Bad Gateway"), "502 Bad Gateway");
        assert_eq!(shown("502 Bad Gateway 502 Bad Gateway nginx"), "502 Bad Gateway: nginx");
        assert_eq!(shown("502 Bad Gateway: no upstream"), "502 Bad Gateway: no upstream");
        assert_eq!(shown("502 - the server is busy"), "502 - the server is busy");
        assert_eq!(shown("502 Bad Gateways"), "502 Bad Gateways");
        assert_eq!(shown("Sign in"), "502 Bad Gateway: Sign in");
    }
}
