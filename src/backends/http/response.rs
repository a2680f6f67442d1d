//! An HTTP answer: its JSON, or the error it stands for.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderName, LOCATION};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;
use serde_json::value::RawValue;
use url::Url;

use super::any_case;
use super::error_message::ErrorMessage;
use super::lenient;
use super::redact::Cleaner;
use crate::marketplace::{MarketplaceError, Refusal, RefusalKind};

/// Limit for the message about an unreadable answer, in characters.
const MAX_MESSAGE: usize = 1_000;

/// Limit for a list, all pages together, in elements. The largest publishers have some thousand
/// offers.
pub(crate) const MAX_ELEMENTS: usize = 100_000;

/// Limit for the log lines about skipped elements of one list; further ones are only counted.
const MAX_SKIPS_TOLD: usize = 5;

/// Headers with the marketplace's own id of a request, best first.
const REQUEST_ID_HEADERS: [HeaderName; 6] = [
    HeaderName::from_static("x-ms-request-id"),
    HeaderName::from_static("x-ms-correlation-request-id"),
    HeaderName::from_static("x-ms-correlation-id"),
    HeaderName::from_static("request-id"),
    HeaderName::from_static("ms-requestid"),
    HeaderName::from_static("ms-correlationid"),
];

/// Whether to retry a failed read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// A retry would fail the same way.
    Never,
    /// The answer isn't JSON or has no end: perhaps a gateway's page. Retry a few times.
    Broken,
    /// The marketplace, or the connection to it, failed. Retry with backoff.
    Transient,
}

/// A call that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Boxed because it is large and failures are rare.
    pub(crate) error: MarketplaceError,
    pub(crate) repeat: Repeat,
}

impl Failure {
    pub(crate) fn new(error: MarketplaceError, repeat: Repeat) -> Self {
        Self { error, repeat }
    }

    /// An answer with an error status.
    pub(crate) fn refused(status: StatusCode, refusal: Refusal) -> Self {
        let repeat = match status.as_u16() {
            408 | 429 | 500 | 502 | 503 | 504 => Repeat::Transient,
            _ => Repeat::Never,
        };
        Self::new(MarketplaceError::Refused(Box::new(refusal)), repeat)
    }

    pub(crate) fn last(error: MarketplaceError) -> Self {
        Self::new(error, Repeat::Never)
    }
}

/// A page of a list.
#[derive(Debug)]
pub(crate) struct Page<T> {
    /// The elements that were kept.
    pub(crate) elements: Vec<T>,
    /// The number of elements in the answer, skipped ones included.
    pub(crate) count: usize,
    /// The link to the next page, as the answer spells it.
    pub(crate) next: Option<String>,
}

/// An answer, with what error messages about it need.
#[derive(Debug)]
pub(crate) struct ApiResponse {
    /// Method and path of the request.
    pub(crate) request: String,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) retry_after: Option<Duration>,
    /// Cleans every text taken from this answer.
    pub(crate) cleaner: Cleaner,
    /// Advice for the user, given the status.
    pub(crate) advice: Option<String>,
}

impl ApiResponse {
    /// The single value of the body; the reference prints some inside an array.
    pub(crate) fn one<T: DeserializeOwned>(&self, expected: &str) -> Result<T, Failure> {
        let body = self.json_text()?;
        let read = |error: serde_json::Error| self.unread(expected, &error);
        match body.as_bytes().first() {
            Some(b'{') => any_case::from_str(&body).map_err(read),
            Some(b'[') => {
                let mut first = None;
                let count = lenient::each(&body, |_, element| {
                    first.get_or_insert(element);
                    Ok::<_, &str>(())
                });
                match (first, count.map_err(read)?) {
                    (None, _) => Err(self.broken("the array that should hold it is empty")),
                    (Some(element), 1) => any_case::from_str(element).map_err(read),
                    (Some(_), more) => Err(self.misshapen(expected, &format!("{more} values"))),
                }
            }
            _ => Err(self.neither(expected, &body)),
        }
    }

    /// The elements of the body: an array, or one inside `{"value": …}`, a page. An element that
    /// has the wrong shape or that `keep` rejects is skipped and logged: one odd offer must not
    /// hide all others. If no element has the right shape, the answer isn't the expected list, and
    /// that is an error.
    pub(crate) fn many<W: DeserializeOwned, T>(
        &self,
        expected: &str,
        keep: impl Fn(W) -> Result<T, String>,
    ) -> Result<Page<T>, Failure> {
        let body = self.json_text()?;
        let (list, next) = match body.as_bytes().first() {
            Some(b'[') => (&*body, None),
            Some(b'{') => self.page(expected, &body)?,
            _ => return Err(self.neither(expected, &body)),
        };
        let (mut kept, mut readable, mut skipped) = (Vec::new(), 0_usize, 0_usize);
        let count = lenient::each(list, |at, element| {
            if at == MAX_ELEMENTS {
                return Err("it is too long to be one");
            }
            let value = any_case::from_str(element)
                .map_err(|error| self.cleaner.line(&serde_json::Error::to_string(&error), 200));
            readable += usize::from(value.is_ok());
            match value.and_then(&keep) {
                Ok(value) => kept.push(value),
                Err(why) => {
                    skipped += 1;
                    if skipped <= MAX_SKIPS_TOLD {
                        let request = self.request.as_str();
                        tracing::warn!(request, at, why, "an element of a list is skipped");
                    }
                }
            }
            Ok(())
        });
        let count = count.map_err(|error| self.unread(expected, &error))?;
        if skipped > MAX_SKIPS_TOLD {
            let more = skipped - MAX_SKIPS_TOLD;
            tracing::warn!(request = self.request, more, "more elements of the list are skipped");
        }
        if readable == 0 && count > 0 {
            return Err(self.misshapen(expected, "none of its elements can be read"));
        }
        Ok(Page { elements: kept, count, next })
    }

    /// The array in a one-page answer, and the link to the next page.
    fn page<'a>(
        &self,
        expected: &str,
        body: &'a str,
    ) -> Result<(&'a str, Option<String>), Failure> {
        #[derive(Deserialize)]
        struct Page<'a> {
            #[serde(borrow)]
            value: &'a RawValue,
            #[serde(rename = "nextLink", default, deserialize_with = "lenient::text")]
            next: Option<String>,
            #[serde(rename = "@nextLink", default, deserialize_with = "lenient::text")]
            at_next: Option<String>,
            #[serde(rename = "@odata.nextLink", default, deserialize_with = "lenient::text")]
            odata_next: Option<String>,
        }
        let page: Page<'_> =
            any_case::from_str(body).map_err(|error| self.unread(expected, &error))?;
        let mut links: Vec<_> =
            [page.next, page.at_next, page.odata_next].into_iter().flatten().collect();
        links.retain(|link| !link.trim().is_empty());
        links.dedup();
        if links.len() > 1 {
            return Err(self.misshapen(expected, "it names two different next pages"));
        }
        Ok((page.value.get(), links.pop()))
    }

    /// The body without byte order mark and surrounding white space; an empty one is an error.
    /// Invalid UTF-8 and lone surrogate escapes, as in a message that was cut, become U+FFFD before
    /// parsing.
    fn json_text(&self) -> Result<Cow<'_, str>, Failure> {
        let body = self.body.as_ref();
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii();
        if body.is_empty() {
            return Err(self.broken("the body is empty"));
        }
        Ok(lenient::with_whole_characters(String::from_utf8_lossy(body)))
    }

    fn neither(&self, expected: &str, body: &str) -> Failure {
        match serde_json::from_str::<IgnoredAny>(body) {
            Ok(_) => self.misshapen(expected, "it is neither an object nor an array"),
            Err(error) => self.unread(expected, &error),
        }
    }

    fn unread(&self, expected: &str, error: &serde_json::Error) -> Failure {
        match error.classify() {
            Category::Data => self.misshapen(expected, &error.to_string()),
            Category::Syntax | Category::Eof | Category::Io => {
                let begins = String::from_utf8_lossy(&self.body[..self.body.len().min(4_096)]);
                let begins = self.cleaner.html(&begins, 100);
                let what = format!("the body is not JSON ({error}); it reads {begins:?}");
                self.broken(&self.cleaner.line(&what, MAX_MESSAGE))
            }
        }
    }

    /// Valid JSON of another shape: a retry would give the same.
    pub(crate) fn misshapen(&self, expected: &str, why: &str) -> Failure {
        let why = self.cleaner.line(why, 200);
        Failure::last(self.lost(&format!("the JSON is not {expected}: {why}")))
    }

    /// Whether the status is 200. Another success status doesn't answer a read, whatever the body
    /// says.
    pub(crate) fn answers_a_read(&self) -> Result<(), Failure> {
        if self.status == StatusCode::OK {
            return Ok(());
        }
        Err(self.broken(&format!("it was answered {}, not 200", self.status.as_u16())))
    }

    fn broken(&self, what: &str) -> Failure {
        Failure::new(self.lost(what), Repeat::Broken)
    }

    fn lost(&self, what: &str) -> MarketplaceError {
        MarketplaceError::lost(&self.request, what)
    }

    /// The values of a header that are valid text.
    pub(crate) fn texts(&self, name: &HeaderName) -> impl Iterator<Item = &str> {
        self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok())
    }

    /// Builds the refusal from an answer with an error status.
    pub(crate) fn refusal(&self) -> Refusal {
        let ErrorMessage { code, message } = if self.status.is_redirection() {
            ErrorMessage { code: None, message: Some(self.redirection()) }
        } else {
            let reason = self.status.canonical_reason().unwrap_or_default();
            ErrorMessage::read(&self.body, reason, &self.cleaner)
        };
        let request_id = REQUEST_ID_HEADERS
            .iter()
            .find_map(|name| self.texts(name).next())
            .map(|id| self.cleaner.line(id, 100));
        Refusal {
            request: self.request.clone(),
            kind: kind(self.status),
            answer: in_words(self.status),
            code,
            message,
            retry_after: self.retry_after,
            request_id,
            is_unsent: false,
            is_final: false,
            advice: self.advice.clone(),
        }
    }

    fn redirection(&self) -> String {
        let target = self.texts(&LOCATION).next().and_then(|text| Url::parse(text).ok());
        let target = target.map_or("another place".to_owned(), |url| {
            self.cleaner.line(&url.origin().ascii_serialization(), 200)
        });
        format!("it redirects to {target}, which golive does not follow")
    }
}

/// What an error status means for the caller.
fn kind(status: StatusCode) -> RefusalKind {
    match status.as_u16() {
        400 | 422 => RefusalKind::Invalid,
        401 => RefusalKind::Unauthenticated,
        403 => RefusalKind::Forbidden,
        404 => RefusalKind::NotFound,
        409 | 412 | 423 => RefusalKind::Conflict,
        429 => RefusalKind::Throttled,
        503 => RefusalKind::Unavailable,
        500.. => RefusalKind::Failed,
        _ => RefusalKind::Other,
    }
}

/// The status with its reason phrase, e.g. `409 Conflict`.
fn in_words(status: StatusCode) -> String {
    let reason = status.canonical_reason().unwrap_or_default();
    format!("{} {reason}", status.as_str()).trim_end().to_owned()
}
