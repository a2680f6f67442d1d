//! The tokens of a client: which one to use, which one the marketplace has refused, and which ones
//! no text may show.

use std::sync::{Arc, Mutex, PoisonError};

use super::answer::Failure;
use super::redact::Cleaner;
use super::token::{Token, TokenSource};
use crate::marketplace::{MarketplaceError, Refusal};

/// A token source, and what the marketplace said of its tokens.
pub(super) struct Login {
    source: Arc<dyn TokenSource>,
    refused: Mutex<Option<RefusedToken>>,
    cleaner: Mutex<Cleaner>,
}

/// The last token that was answered 401. It is not sent again: every request would be answered so.
struct RefusedToken {
    token: Token,
    /// The answer, in words.
    said: String,
}

impl Login {
    pub(super) fn new(source: Arc<dyn TokenSource>) -> Self {
        Self { source, refused: Mutex::default(), cleaner: Mutex::default() }
    }

    /// A token that was not refused yet. Where the source has none, the error stands for the answer
    /// that `request` would get.
    pub(super) async fn token(&self, request: &str) -> Result<Token, Failure> {
        let token = self.ask(None).await?;
        if self.said_of(&token).is_none() {
            return Ok(token);
        }
        let fresh = self.ask(Some(&token)).await?;
        let Some(said) = self.said_of(&fresh) else { return Ok(fresh) };
        Err(Failure::last(MarketplaceError::Refused(Refusal {
            request: request.to_owned(),
            status: 401,
            code: None,
            message: Some(format!("the token was refused, and there is no other: {said}")),
            retry_after: None,
            request_id: None,
            is_unsent: true,
            is_final: self.is_final(),
        })))
    }

    /// A token other than the one that was just refused, if the source has one.
    pub(super) async fn another(&self, refused: &Token) -> Result<Option<Token>, Failure> {
        let fresh = self.ask(Some(refused)).await?;
        Ok(Some(fresh).filter(|fresh| self.said_of(fresh).is_none()))
    }

    /// Whether the marketplace has refused this token.
    pub(super) fn is_refused(&self, token: &Token) -> bool {
        self.said_of(token).is_some()
    }

    /// The marketplace has answered 401 to this token.
    pub(super) fn refuse(&self, token: &Token, said: String) {
        let refused = RefusedToken { token: token.clone(), said };
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(refused);
    }

    /// Whether nothing can be hoped for once a token and its successor were refused.
    pub(super) fn is_final(&self) -> bool {
        !self.source.is_renewed_by_others()
    }

    /// Hides every token that was used lately.
    pub(super) fn cleaner(&self) -> Cleaner {
        self.cleaner.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn ask(&self, rejected: Option<&Token>) -> Result<Token, Failure> {
        let token = self.source.token(rejected).await.map_err(Failure::last)?;
        self.cleaner.lock().unwrap_or_else(PoisonError::into_inner).learn(&token);
        Ok(token)
    }

    fn said_of(&self, token: &Token) -> Option<String> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.as_ref().filter(|refused| refused.token == *token).map(|it| it.said.clone())
    }
}
