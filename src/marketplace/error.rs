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
    Refused(Refusal),
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
    /// The HTTP status.
    pub status: u16,
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
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_unsent {
            let why = self.message.as_deref().unwrap_or_default();
            return write!(f, "{} was not sent: {why}", self.request);
        }
        // A gateway's page begins with the status itself.
        let status = self.status.to_string();
        if let Some(message) = self.message.as_ref().filter(|text| text.starts_with(&status)) {
            return write!(f, "{} was answered {message}", self.request);
        }
        let reason = http::StatusCode::from_u16(self.status).ok();
        let reason = reason.and_then(|status| status.canonical_reason()).unwrap_or_default();
        write!(f, "{} was answered {} {reason}", self.request, self.status)?;
        // A code that only repeats the status says nothing more.
        let code = self.code.as_ref().filter(|code| {
            let letters = |text: &str| text.replace(' ', "");
            !letters(code).eq_ignore_ascii_case(&letters(reason))
        });
        match (code, &self.message) {
            (Some(code), Some(message)) => write!(f, ": {code}: {message}"),
            (Some(text), None) | (None, Some(text)) => write!(f, ": {text}"),
            (None, None) => Ok(()),
        }
    }
}

impl MarketplaceError {
    /// The HTTP status, where an answer came.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(refusal) => Some(refusal.status),
            Self::NotSent { .. }
            | Self::Lost { .. }
            | Self::Token(_)
            | Self::ForeignOperationUrl(_) => None,
        }
    }

    /// Whether asking again is of no use while this process runs: the token was refused (401), and
    /// its source has no other one and will have none. Whoever follows an operation can end at once.
    ///
    /// It is false where somebody may still renew the token ([`FileToken`]), and where no token could
    /// be had ([`MarketplaceError::Token`]), which may be a passing trouble.
    ///
    /// [`FileToken`]: crate::marketplace::portal::FileToken
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.is_final,
            Self::NotSent { .. }
            | Self::Lost { .. }
            | Self::Token(_)
            | Self::ForeignOperationUrl(_) => false,
        }
    }

    /// What a person can do about it, where that is known: the portal's own words on 401 and 403
    /// are of little help.
    #[must_use]
    pub fn advice(&self) -> Option<&'static str> {
        match self.status()? {
            401 => Some(
                "the token has expired or is meant for another service; get one with \
                 `az account get-access-token --resource https://cloudpartner.azure.com \
                 --query accessToken --output tsv`",
            ),
            403 => Some(
                "the service principal is not on this publisher's account: add it in Partner \
                 Center with the object id that it has in your own tenant (the enterprise \
                 application's, not the app registration's)",
            ),
            404 => Some(
                "there is no such publisher or offer, or this token may not see it: compare the \
                 ids with those that Partner Center shows",
            ),
            _ => None,
        }
    }

    /// How long the marketplace asks us to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) => refusal.retry_after,
            Self::NotSent { .. }
            | Self::Lost { .. }
            | Self::Token(_)
            | Self::ForeignOperationUrl(_) => None,
        }
    }
}
