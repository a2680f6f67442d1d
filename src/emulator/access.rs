//! Who may see what: the token decides.

use super::request::ApiRequest;
use super::seed::Seed;

/// What a request's token opens.
#[derive(Clone, Copy)]
pub(super) struct Access<'a> {
    seed: &'a Seed,
    token: &'a str,
}

impl<'a> Access<'a> {
    /// Fails with a message if the token is missing or unknown. A seed without tokens accepts any
    /// token.
    pub(super) fn of(seed: &'a Seed, request: &'a ApiRequest) -> Result<Self, &'static str> {
        let header = request.header("authorization").and_then(|value| value.split_once(' '));
        let bearer = header.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let token = bearer.map(|(_, token)| token.trim()).filter(|token| !token.is_empty());
        let token = token.ok_or("there is no bearer token in the Authorization header")?;
        let mut known = seed.token.iter().chain(seed.accounts.values()).peekable();
        if known.peek().is_none() || known.any(|own| own.is(token)) {
            return Ok(Self { seed, token });
        }
        Err("the token is not valid, or it has expired")
    }

    /// Whether a publisher belongs to the token's account.
    pub(super) fn owns(self, publisher: &str) -> bool {
        let mut accounts = self.seed.accounts.iter();
        let own = accounts.find(|(name, _)| name.eq_ignore_ascii_case(publisher));
        own.is_none_or(|(_, token)| token.is(self.token))
    }

    /// Whether a publisher is open to the token.
    pub(super) fn opens(self, publisher: &str) -> bool {
        let is_publisher = |own: &String| own.eq_ignore_ascii_case(publisher);
        self.owns(publisher) && !self.seed.forbidden.iter().any(is_publisher)
    }
}
