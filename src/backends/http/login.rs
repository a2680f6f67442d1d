//! A client's tokens: which one to use, which one the marketplace has refused, and which ones to
//! redact.

use std::sync::{Arc, Mutex, PoisonError};

use super::redact::Cleaner;
use super::response::Failure;
use super::token::{Token, TokenSource};
use crate::marketplace::{MarketplaceError, Refusal};

/// A token source, and the last token that the marketplace refused.
pub(crate) struct Login {
    source: Arc<dyn TokenSource>,
    refused: Mutex<Option<RefusedToken>>,
    cleaner: Mutex<Cleaner>,
}

/// The last token that was answered 401. It isn't sent again: every request would get the same
/// answer.
struct RefusedToken {
    token: Token,
    refusal: Refusal,
}

impl Login {
    pub(crate) fn new(source: Arc<dyn TokenSource>) -> Self {
        Self { source, refused: Mutex::default(), cleaner: Mutex::default() }
    }

    /// A token that wasn't refused yet. If the source has none, the error stands for the answer
    /// that `request` would get.
    pub(crate) async fn token(&self, request: &str) -> Result<Token, Failure> {
        let token = self.ask(None).await?;
        if !self.is_refused(&token) {
            return Ok(token);
        }
        let fresh = self.ask(Some(&token)).await?;
        let Some(refusal) = self.refusal_of(&fresh) else { return Ok(fresh) };
        let why = format!("the token was refused, and there is no other: {refusal}");
        let unsent = Refusal { is_final: self.is_final(), ..refusal.unsent(request, why) };
        Err(Failure::last(MarketplaceError::Refused(Box::new(unsent))))
    }

    /// A token other than the one just refused, if the source has one.
    pub(crate) async fn another(&self, refused: &Token) -> Result<Option<Token>, Failure> {
        let fresh = self.ask(Some(refused)).await?;
        Ok(Some(fresh).filter(|fresh| !self.is_refused(fresh)))
    }

    /// Whether the marketplace has refused this token.
    pub(crate) fn is_refused(&self, token: &Token) -> bool {
        self.refusal_of(token).is_some()
    }

    /// Records that the marketplace answered 401 to this token.
    pub(crate) fn refuse(&self, token: &Token, refusal: Refusal) {
        let refused = RefusedToken { token: token.clone(), refusal };
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(refused);
    }

    /// Whether retrying is futile once a token and its successor were refused.
    pub(crate) fn is_final(&self) -> bool {
        !self.source.is_renewed_by_others()
    }

    /// A cleaner that redacts every recently used token.
    pub(crate) fn cleaner(&self) -> Cleaner {
        self.cleaner.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn ask(&self, rejected: Option<&Token>) -> Result<Token, Failure> {
        let token = self.source.token(rejected).await.map_err(Failure::last)?;
        self.cleaner.lock().unwrap_or_else(PoisonError::into_inner).learn(&token);
        Ok(token)
    }

    fn refusal_of(&self, token: &Token) -> Option<Refusal> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.as_ref().filter(|refused| refused.token == *token).map(|it| it.refusal.clone())
    }
}
