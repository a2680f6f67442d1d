//! What can go wrong when the marketplace is asked, told apart by what it means for the caller.

use std::fmt;
use std::time::Duration;

/// The longest pause that is believed where the marketplace asks for one. A longer one is taken as
/// this.
pub const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a call got no good answer. Texts from outside are already cleaned; a token is never in it.
#[derive(Debug, thiserror::Error)]
pub enum MarketplaceError {
    /// No connection was made, so the request was not sent.
    #[error("cannot connect to the marketplace at {origin}")]
    NotSent {
        /// Scheme, host and port that were tried.
        origin: String,
        /// What the transport said.
        #[source]
        source: Source,
    },
    /// The request may have been sent and acted on, but no usable answer came back: a timeout, a
    /// reset, a cut, endless or unreadable body.
    #[error("the answer to {request} was lost: {what}")]
    Lost {
        /// Method and path of the request.
        request: String,
        /// What happened, in words.
        what: String,
        /// What the transport said.
        #[source]
        source: Option<Source>,
    },
    /// An answer came, with a status that is no success.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// No token could be had.
    #[error("no token for the marketplace: {0}")]
    Token(String),
    /// An operation's URL leads elsewhere than to the configured marketplace and offer.
    #[error("ForeignOperationUrl: {0}")]
    ForeignOperationUrl(String),
}

/// An answer that is no success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Method and path of the request.
    pub request: String,
    /// What the answer means for whoever asked.
    pub kind: RefusalKind,
    /// The answer in a few words, e.g. `409 Conflict`.
    pub answer: String,
    /// The error's code, where the body has one.
    pub code: Option<String>,
    /// The error's message, where the body has one, as plain text.
    pub message: Option<String>,
    /// How long the marketplace asks us to wait.
    pub retry_after: Option<Duration>,
    /// The id of the request at the marketplace, for a support case.
    pub request_id: Option<String>,
    /// Whether the request was not sent at all. Then the message says why, and which earlier answer
    /// the status is taken from.
    pub is_unsent: bool,
    /// Whether no later request of this process can fare better; see
    /// [`MarketplaceError::is_final`].
    pub is_final: bool,
    /// What a person can do about it, where the backend knows: the marketplace's own words are often
    /// of little help.
    pub advice: Option<&'static str>,
}

impl Refusal {
    /// What is said of another request that is not sent because of this answer.
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

/// What a refusal means for whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The request itself is at fault: nothing was started.
    Invalid,
    /// The token is missing, has expired, or is meant for another service.
    Unauthenticated,
    /// The token is good, but not for this publisher or offer.
    Forbidden,
    /// There is no such publisher, offer or operation, or the token may not see it.
    NotFound,
    /// The offer is in another state than the request assumes.
    Conflict,
    /// Too many requests: nothing was started.
    Throttled,
    /// The marketplace takes no requests for a while: nothing was started.
    Unavailable,
    /// The marketplace failed, at any time before or after it acted.
    Failed,
    /// Anything else: it says nothing of what became of the request.
    Other,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_unsent {
            let why = self.message.as_deref().unwrap_or_default();
            return write!(f, "{} was not sent: {why}", self.request);
        }
        // A gateway's page begins with the status itself, in its title and once more in its heading.
        let (number, reason) = self.answer.split_once(' ').unwrap_or((&self.answer, ""));
        let message = self.message.as_deref().map(|text| without_status(text, &self.answer));
        if let Some(message) = message.filter(|text| text.starts_with(number)) {
            return write!(f, "{} was answered {message}", self.request);
        }
        let message = message.filter(|text| !text.is_empty());
        write!(f, "{} was answered {number} {reason}", self.request)?;
        // A code that only repeats the status says nothing more.
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

/// A message without the status that it begins with.
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
    /// What the refusal means, where an answer came.
    #[must_use]
    pub fn kind(&self) -> Option<RefusalKind> {
        self.refusal().map(|refusal| refusal.kind)
    }

    /// Whether asking again is of no use while this process runs: the token was refused (401), and
    /// its source has no other one and will have none. Whoever follows an operation can end at once.
    ///
    /// It is false where somebody may still renew the token, and where no token could
    /// be had ([`MarketplaceError::Token`]), which may be a passing trouble.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.refusal().is_some_and(|refusal| refusal.is_final)
    }

    /// What a person can do about it, where that is known.
    #[must_use]
    pub fn advice(&self) -> Option<&'static str> {
        self.refusal()?.advice
    }

    /// How long the marketplace asks us to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.refusal()?.retry_after
    }

    fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::NotSent { .. }
            | Self::Lost { .. }
            | Self::Token(_)
            | Self::ForeignOperationUrl(_) => None,
        }
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
