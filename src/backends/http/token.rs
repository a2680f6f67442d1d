//! The bearer token and its sources.

mod file;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use super::endpoint::Endpoint;
use super::redact::Redactor;
use crate::marketplace::MarketplaceError;

pub use file::FileToken;

/// What a token is for, as messages about it say it.
#[derive(Clone, Debug)]
pub struct TokenPurpose {
    /// Where it is given: `GOLIVE_TOKEN`.
    name: String,
    /// The service that it must be for: `https://cloudpartner.azure.com`.
    resource: &'static str,
}

impl TokenPurpose {
    /// A token that is given there, for a service.
    #[must_use]
    pub fn new(name: impl Into<String>, resource: &'static str) -> Self {
        Self { name: name.into(), resource }
    }

    /// The token of the variable `GOLIVE_TOKEN`, for the Cloud Partner Portal.
    #[must_use]
    pub fn portal() -> Self {
        Self::new("GOLIVE_TOKEN", Endpoint::DEFAULT)
    }

    fn wrong_variable(&self, what: &str) -> MarketplaceError {
        let Self { name, resource } = self;
        let how = how_to_print_a_token(resource);
        MarketplaceError::Token(format!("{name}{what}; set it, for example to the output of {how}"))
    }
}

/// The command that prints a token for a service.
pub(super) fn how_to_print_a_token(resource: &str) -> String {
    format!("`az account get-access-token --resource {resource} --query accessToken --output tsv`")
}

/// Why a text isn't a valid token. The text itself is never shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Nothing but white space.
    #[error("the token is empty")]
    Empty,
    /// White space inside: a message, or several lines.
    #[error("the token has white space in it, so that it is something else, or more than a token")]
    Space,
    /// A character that no token has: a control character, or one outside ASCII.
    #[error("the token has a character in it that no token has")]
    Character,
    /// Recognizably something else.
    #[error("this isn't a valid token: {0}")]
    Lookalike(&'static str),
}

/// Names the thing that was given instead of a token, from mistakes seen in CI; `None` if the text
/// may be a token, which is opaque.
fn lookalike(text: &str) -> Option<&'static str> {
    let lower = text.to_ascii_lowercase();
    let begins = |starts: &[&str]| starts.iter().any(|start| lower.starts_with(start));
    let within = |start, end| lower.len() > 1 && lower.starts_with(start) && lower.ends_with(end);
    Some(match lower.as_str() {
        "null" | "none" | "nil" | "undefined" | "nan" => {
            "it is the word that a program prints for no value, so that the command before it failed"
        }
        "bearer" => "the word Bearer stands alone",
        _ if begins(&["bearer ", "bearer\t", "bearer:", "authorization:"]) => {
            "it begins as a header does; leave out Bearer, golive adds it"
        }
        _ if begins(&["$", "%{", "{{", "#{", "@microsoft.keyvault("]) || within('%', '%') => {
            "it is the name of a variable, or a command, that was not replaced by its value"
        }
        _ if begins(&["\"", "'", "`"]) || text.ends_with(['"', '\'', '`']) => {
            "it has quotes around it; leave them out (az prints none with --output tsv)"
        }
        _ if begins(&["{", "["]) => "it looks like JSON; take the token out of it",
        _ if begins(&["<"]) => "it looks like HTML, XML or a placeholder",
        _ if begins(&["-----begin"]) => "it looks like a key or a certificate (PEM)",
        _ if begins(&["https://", "http://"]) => "it looks like a URL",
        _ if uuid::Uuid::try_parse(text).is_ok() => {
            "it looks like a GUID, as ids of tenants, clients and secrets are"
        }
        _ if is_client_secret(text) => {
            "it looks like a client secret, which gets a token but is none"
        }
        _ => return None,
    })
}

/// Entra marks client secrets so that leaks are found: a digit and `Q~` after three characters, and
/// 40 or somewhat fewer characters in all.
fn is_client_secret(text: &str) -> bool {
    let is_marked = text.as_bytes().get(3).is_some_and(u8::is_ascii_digit);
    is_marked && text.get(4..6) == Some("Q~") && (37..=40).contains(&text.len())
}

/// A bearer token. Its text is never shown: `Debug` redacts it, and there is no `Display`.
#[derive(Clone)]
pub struct Token(Arc<Inner>);

struct Inner {
    secret: SecretString,
    header: HeaderValue,
    redactor: Redactor,
}

impl Token {
    /// Checks a token; drops surrounding white space, and the byte order mark that some shells
    /// write.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let text = text.trim_start_matches('\u{feff}').trim();
        Self::build(text, Redactor::new(text))
    }

    /// A placeholder that isn't secret, so that messages don't redact it.
    fn not_secret(text: &str) -> Result<Self, TokenError> {
        Self::build(text, Redactor::nothing())
    }

    fn build(text: &str, redactor: Redactor) -> Result<Self, TokenError> {
        if text.is_empty() {
            return Err(TokenError::Empty);
        }
        if let Some(what) = lookalike(text) {
            return Err(TokenError::Lookalike(what));
        }
        if text.contains(char::is_whitespace) {
            return Err(TokenError::Space);
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
    pub(crate) fn header(&self) -> HeaderValue {
        self.0.header.clone()
    }

    /// Redacts this token from texts.
    pub(crate) fn redactor(&self) -> &Redactor {
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

/// A source of tokens.
#[async_trait]
pub trait TokenSource: fmt::Debug + Send + Sync {
    /// Returns a token for the marketplace.
    ///
    /// `rejected` is a token of this source that was answered 401. A source that caches must not
    /// return that one again if it can get another; one that can't returns it again, and the
    /// request isn't repeated. Many requests may report the same token at once: a source that
    /// already has a newer one returns that.
    async fn token(&self, rejected: Option<&Token>) -> Result<Token, MarketplaceError>;

    /// Whether another process renews its tokens, so that a good one may appear later. If not, a
    /// refused token is final.
    fn is_renewed_by_others(&self) -> bool {
        false
    }
}

/// The token of an environment variable, which never changes.
#[derive(Clone, Debug)]
pub struct EnvToken {
    token: Option<Token>,
    purpose: TokenPurpose,
}

impl EnvToken {
    /// The token of the variable `GOLIVE_TOKEN`, for the Cloud Partner Portal.
    pub fn new(value: Option<&str>) -> Result<Self, MarketplaceError> {
        Self::of(TokenPurpose::portal(), value)
    }

    /// Takes a variable's value as the caller read it; an invalid value is an error now, an absent
    /// one when the first token is needed.
    pub fn of(purpose: TokenPurpose, value: Option<&str>) -> Result<Self, MarketplaceError> {
        let token = value.map(Token::new).transpose();
        let token = token.map_err(|error| purpose.wrong_variable(&format!(": {error}")))?;
        Ok(Self { token, purpose })
    }
}

#[async_trait]
impl TokenSource for EnvToken {
    async fn token(&self, _rejected: Option<&Token>) -> Result<Token, MarketplaceError> {
        self.token.clone().ok_or_else(|| self.purpose.wrong_variable(" is not set"))
    }
}

/// The token source for the emulator, which has no secrets: always the same placeholder.
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
        let shown = format!("{token:?} {source:?}");
        assert!(shown.starts_with("Token(…) EnvToken { token: Some(Token(…)), "), "{shown}");
        assert!(token.header().is_sensitive());
        assert_eq!(token.header().to_str().unwrap(), "Bearer s3cr3t-s3cr3t");
        assert_eq!(source.token(Some(&token)).await.unwrap(), token);
    }

    #[test]
    fn an_invalid_token_is_described_and_not_shown() {
        let cases = [
            ("\"s3cr3t\"", "quotes"),
            ("'s3cr3t'", "quotes"),
            ("s3cr3t\"", "quotes"),
            ("`s3cr3t`", "quotes"),
            ("null", "no value"),
            ("None\n", "no value"),
            ("undefined", "no value"),
            ("{\"accessToken\": \"s3cr3t\"}", "JSON"),
            ("[\"s3cr3t\"]", "JSON"),
            ("Bearer s3cr3t", "leave out Bearer"),
            ("bearer\ts3cr3t", "leave out Bearer"),
            ("Authorization: Bearer s3cr3t", "leave out Bearer"),
            ("Bearer ", "stands alone"),
            ("$S3CR3T", "variable"),
            ("${S3CR3T}", "variable"),
            ("${{ secrets.S3CR3T }}", "variable"),
            ("$(s3cr3t)", "variable"),
            ("$(az account get-access-token)", "variable"),
            ("%S3CR3T%", "variable"),
            ("{{ s3cr3t }}", "variable"),
            ("#{s3cr3t}#", "variable"),
            ("<!DOCTYPE html><p>s3cr3t", "HTML"),
            ("<token>", "placeholder"),
            ("-----BEGIN PRIVATE KEY-----\ns3cr3t", "PEM"),
            ("https://login.microsoftonline.com/s3cr3t", "URL"),
            ("5ec2e700-0000-4000-8000-00005ec2e700", "GUID"),
            ("s3c8Q~r3tr3tr3tr3tr3tr3tr3tr3tr3tr3tr3tx", "client secret"),
            ("ERROR: s3cr3t please run az login", "white space"),
            ("s3cr3t\ns3cr3t", "white space"),
            ("s3cr3t\u{7f}", "a character"),
            ("s3cr3t\0", "a character"),
            ("s3cr3té", "a character"),
        ];
        for (text, what) in cases {
            let error = Token::new(text).unwrap_err().to_string();
            assert!(error.contains(what), "{text:?}: {error}");
            let shows = ["s3c", "5ec2"].iter().any(|part| error.to_lowercase().contains(part));
            assert!(!shows, "{error}");
        }
    }

    #[test]
    fn unusual_tokens_are_accepted() {
        for text in [
            "any",
            "secret-token",
            "x",
            "%",
            "nullable",
            "eyJ0.eyJh.c2ln",
            "a/b+c==",
            "100%",
            "bearer1",
            "it's",
            "a$b",
            "q~",
            "~!@#^&*()_+-=|;:,.?",
            "\u{feff}eyJ0.eyJh.c2ln\r\n",
        ] {
            assert!(Token::new(text).is_ok(), "{text}");
        }
    }

    #[tokio::test]
    async fn an_invalid_token_says_how_to_get_one() {
        for bad in ["", " \n", "s3cr3t\nx", "s3cr3t é", "s3cr3t x", "\u{1b}s3cr3t"] {
            let error = EnvToken::new(Some(bad)).unwrap_err().to_string();
            assert!(error.contains("GOLIVE_TOKEN"), "{error}");
            assert!(error.contains("az account get-access-token --resource https://cloudpartner"));
            assert!(!error.contains("s3cr3t"), "{error}");
        }
        let absent = EnvToken::new(None).unwrap().token(None).await.unwrap_err().to_string();
        assert!(absent.contains("GOLIVE_TOKEN is not set"), "{absent}");
        let purpose = TokenPurpose::new("CONTOSO_TOKEN", "https://graph.microsoft.com");
        let absent =
            EnvToken::of(purpose, None).unwrap().token(None).await.unwrap_err().to_string();
        assert!(absent.contains("CONTOSO_TOKEN is not set; "), "{absent}");
        assert!(absent.contains("--resource https://graph.microsoft.com "), "{absent}");
        assert!(AnonymousToken.token(None).await.is_ok());
    }
}
