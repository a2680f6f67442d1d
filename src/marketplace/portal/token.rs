//! The secret that every request carries, and where it comes from.

mod file;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use super::redact::Redactor;
use crate::marketplace::MarketplaceError;

pub use file::FileToken;

/// The command that prints a token.
const HOW_TO_PRINT_ONE: &str = "`az account get-access-token \
     --resource https://cloudpartner.azure.com --query accessToken --output tsv`";

/// What to do where no token is to be had.
fn how_to_set_it() -> String {
    format!("set it, for example to the output of {HOW_TO_PRINT_ONE}")
}

/// Why a text is no token. The text itself is never shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Nothing but white space.
    #[error("the token is empty")]
    Empty,
    /// A character that no token has: white space inside, a control character, or anything but
    /// ASCII.
    #[error("the token has white space in it, or a character that no token has")]
    Character,
}

/// A bearer token. Its text is never shown: not by `Debug`, and there is no `Display`.
#[derive(Clone)]
pub struct Token(Arc<Inner>);

struct Inner {
    secret: SecretString,
    header: HeaderValue,
    redactor: Redactor,
}

impl Token {
    /// Takes a token; white space around it is dropped.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        Self::build(text, Redactor::new(text))
    }

    /// A text that stands where a token belongs but is no secret, so that it is not hidden in
    /// messages.
    fn not_secret(text: &str) -> Result<Self, TokenError> {
        Self::build(text, Redactor::nothing())
    }

    fn build(text: &str, redactor: Redactor) -> Result<Self, TokenError> {
        if text.is_empty() {
            return Err(TokenError::Empty);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::Character);
        }
        let mut header =
            HeaderValue::from_str(&format!("Bearer {text}")).map_err(|_| TokenError::Character)?;
        header.set_sensitive(true);
        Ok(Self(Arc::new(Inner { secret: text.into(), header, redactor })))
    }

    /// The value of the `Authorization` header, marked sensitive.
    pub(super) fn header(&self) -> HeaderValue {
        self.0.header.clone()
    }

    /// What keeps this token out of texts.
    pub(super) fn redactor(&self) -> &Redactor {
        &self.0.redactor
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.0.secret.expose_secret() == other.0.secret.expose_secret()
    }
}

impl Eq for Token {}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Where tokens come from.
#[async_trait]
pub trait TokenSource: fmt::Debug + Send + Sync {
    /// A token for the marketplace.
    ///
    /// `rejected` is a token of this source that was answered 401. A source that caches must not
    /// give that one again if it can get another; one that cannot gives it again, and the request
    /// is not repeated. Many requests may report the same token at once: a source that already
    /// has a newer one gives that.
    async fn token(&self, rejected: Option<&Token>) -> Result<Token, MarketplaceError>;

    /// Whether somebody else renews its tokens, so that there may be a good one later although there
    /// is none now. Where nobody does, a refused token is the end.
    fn is_renewed_by_others(&self) -> bool {
        false
    }
}

/// The token of the environment variable `GOLIVE_TOKEN`. There is only the one.
#[derive(Clone, Debug)]
pub struct EnvToken(Option<Token>);

impl EnvToken {
    /// Takes the variable's value as the caller read it; a value that is no token is an error now,
    /// an absent one when the first token is wanted.
    pub fn new(value: Option<&str>) -> Result<Self, MarketplaceError> {
        let token = value.map(Token::new).transpose().map_err(|error| {
            MarketplaceError::Token(format!("GOLIVE_TOKEN: {error}; {}", how_to_set_it()))
        })?;
        Ok(Self(token))
    }
}

#[async_trait]
impl TokenSource for EnvToken {
    async fn token(&self, _rejected: Option<&Token>) -> Result<Token, MarketplaceError> {
        self.0.clone().ok_or_else(|| {
            MarketplaceError::Token(format!("GOLIVE_TOKEN is not set; {}", how_to_set_it()))
        })
    }
}

/// For a marketplace that knows no secrets, the emulator: always the same word.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnonymousToken;

#[async_trait]
impl TokenSource for AnonymousToken {
    async fn token(&self, _rejected: Option<&Token>) -> Result<Token, MarketplaceError> {
        Token::not_secret("anonymous").map_err(|error| MarketplaceError::Token(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_form_of_a_token_shows_it() {
        let source = EnvToken::new(Some(" s3cr3t-s3cr3t\n")).unwrap();
        let token = source.token(None).await.unwrap();
        assert_eq!(format!("{token:?} {source:?}"), "Token(…) EnvToken(Some(Token(…)))");
        assert!(token.header().is_sensitive());
        assert_eq!(token.header().to_str().unwrap(), "Bearer s3cr3t-s3cr3t");
        assert_eq!(source.token(Some(&token)).await.unwrap(), token);
    }

    #[tokio::test]
    async fn what_is_no_token_says_how_to_get_one() {
        for bad in ["", " \n", "s3cr3t\nx", "s3cr3t é", "s3cr3t x", "\u{1b}s3cr3t"] {
            let error = EnvToken::new(Some(bad)).unwrap_err().to_string();
            assert!(error.contains("GOLIVE_TOKEN"), "{error}");
            assert!(error.contains("az account get-access-token --resource https://cloudpartner"));
            assert!(!error.contains("s3cr3t"), "{error}");
        }
        let absent = EnvToken::new(None).unwrap().token(None).await.unwrap_err().to_string();
        assert!(absent.contains("GOLIVE_TOKEN is not set"), "{absent}");
        assert!(AnonymousToken.token(None).await.is_ok());
    }
}
