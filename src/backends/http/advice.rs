//! Advice on the refusals of an API, whose own messages on 401 and 403 are of little help.

use http::StatusCode;

use super::token::how_to_print_a_token;

pub(crate) struct Advice {
    /// The resource of the API's tokens.
    pub(crate) resource: &'static str,
    pub(crate) forbidden: &'static str,
    pub(crate) not_found: &'static str,
}

impl Advice {
    pub(crate) fn on(&self, status: StatusCode) -> Option<String> {
        match status {
            StatusCode::UNAUTHORIZED => Some(format!(
                "the token has expired or is meant for another service; get one with {}",
                how_to_print_a_token(self.resource)
            )),
            StatusCode::FORBIDDEN => Some(self.forbidden.to_owned()),
            StatusCode::NOT_FOUND => Some(self.not_found.to_owned()),
            _ => None,
        }
    }
}
