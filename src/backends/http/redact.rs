//! Redacts the token from every text that is derived from an answer.

use std::collections::HashSet;

use super::token::Token;
use crate::marketplace::text;

/// Replaces a token or a part of one.
const REDACTED: &str = "[token]";

/// Parts of the token from this many bytes on are redacted.
const PART: usize = 16;

/// A token shorter than this is redacted only as a whole word: `test` must not tear holes into
/// other words.
const SHORT: usize = 8;

/// Holds the secrets to redact. Deliberately not `Debug`.
pub(crate) struct Redactor {
    /// The token, raw and percent-encoded.
    whole: Vec<String>,
    /// Every window of [`PART`] bytes of `whole`.
    parts: HashSet<[u8; PART]>,
}

impl Redactor {
    pub(crate) fn new(secret: &str) -> Self {
        if secret.is_empty() {
            return Self::nothing();
        }
        let encoded = url_encoded(secret);
        let mut whole = vec![secret.to_owned(), encoded.to_ascii_lowercase(), encoded];
        whole.sort_by_key(|form| std::cmp::Reverse(form.len()));
        whole.dedup();
        let parts = whole
            .iter()
            .flat_map(|form| form.as_bytes().windows(PART))
            .filter_map(|window| window.try_into().ok())
            .collect();
        Self { whole, parts }
    }

    /// Redacts nothing: there is no secret.
    pub(crate) fn nothing() -> Self {
        Self { whole: Vec::new(), parts: HashSet::new() }
    }

    /// The text without the token. Cut a text only after this: a cut token isn't always found.
    fn hide(&self, mut text: String) -> String {
        for form in &self.whole {
            if form.len() >= SHORT {
                if text.len() >= form.len() && text.contains(form) {
                    text = text.replace(form, REDACTED);
                }
            } else {
                text = replace_words(&text, form);
            }
        }
        self.hide_parts(text)
    }

    fn hide_parts(&self, text: String) -> String {
        if self.parts.is_empty() || text.len() < PART {
            return text;
        }
        let bytes = text.as_bytes();
        let mut secret = vec![false; bytes.len()];
        let mut found = false;
        for (at, window) in bytes.windows(PART).enumerate() {
            // Tokens are ASCII, so a match never splits a character.
            if self.parts.contains(window) {
                secret[at..at + PART].fill(true);
                found = true;
            }
        }
        if !found {
            return text;
        }
        let mut out = String::with_capacity(text.len());
        let mut inside = false;
        for (at, c) in text.char_indices() {
            match (secret[at], inside) {
                (true, false) => out.push_str(REDACTED),
                (true, true) => {}
                (false, _) => out.push(c),
            }
            inside = secret[at];
        }
        out
    }
}

/// Cleans texts from outside and redacts every recently used token. The order matters: clean first,
/// because an invisible character may split a token; then redact; then cut.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cleaner {
    tokens: Vec<Token>,
}

impl Cleaner {
    /// The number of tokens remembered: the current one and its predecessors.
    const REMEMBERED: usize = 3;

    /// Redacts this token too.
    pub(crate) fn learn(&mut self, token: &Token) {
        if !self.tokens.contains(token) {
            if self.tokens.len() == Self::REMEMBERED {
                self.tokens.remove(0);
            }
            self.tokens.push(token.clone());
        }
    }

    /// One clean line of at most `max` characters.
    pub(crate) fn line(&self, raw: &str, max: usize) -> String {
        text::cut(self.hide(text::cleaned(raw)), max)
    }

    /// HTML as one clean line of at most `max` characters. A link keeps its address, unless that
    /// contains a token.
    pub(crate) fn html(&self, raw: &str, max: usize) -> String {
        let may_show = |address: &str| !self.finds(address);
        text::cut(self.hide(text::without_markup(raw, &may_show)), max)
    }

    /// Whether a text contains a token or a part of one, also with any characters percent-encoded:
    /// the text may be part of a URL.
    pub(crate) fn finds(&self, text: &str) -> bool {
        let hidden = |text: &str| self.hide(text.to_owned()) != text;
        let decoded = || percent_encoding::percent_decode_str(text).decode_utf8_lossy();
        hidden(text) || (text.contains('%') && hidden(&decoded()))
    }

    fn hide(&self, text: String) -> String {
        self.tokens.iter().fold(text, |text, token| token.redactor().hide(text))
    }
}

/// Replaces `word` where no letter or digit is next to it.
fn replace_words(text: &str, word: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for (at, _) in text.match_indices(word) {
        let before = text[..at].chars().next_back().is_some_and(char::is_alphanumeric);
        let after = text[at + word.len()..].chars().next().is_some_and(char::is_alphanumeric);
        if !before && !after {
            out.push_str(&text[from..at]);
            out.push_str(REDACTED);
            from = at + word.len();
        }
    }
    out.push_str(&text[from..]);
    out
}

/// A text encoded for a query: everything but unreserved characters (RFC 3986) as `%XX`.
fn url_encoded(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "eyJ0eXAiOiJKV1Qi.eyJhdWQi+k9/x==.c2lnbmF0dXJl_0123456789";

    #[test]
    fn the_token_is_hidden_whole_encoded_and_in_parts() {
        let redactor = Redactor::new(TOKEN);
        let encoded = url_encoded(TOKEN);
        for (text, hidden) in [
            (format!("Bearer {TOKEN} is bad"), "Bearer [token] is bad"),
            (format!("x{TOKEN}y"), "x[token]y"),
            (format!("?t={encoded}&z"), "?t=[token]&z"),
            (format!("?t={}", encoded.to_ascii_lowercase()), "?t=[token]"),
            (format!("{}… was cut", &TOKEN[..30]), "[token]… was cut"),
            (format!("…{}", &TOKEN[20..]), "…[token]"),
            (format!("{TOKEN}{TOKEN}"), "[token][token]"),
            ("nothing to hide é".to_owned(), "nothing to hide é"),
        ] {
            assert_eq!(redactor.hide(text), hidden);
        }
        let split = format!("{}\u{200b}{}", &TOKEN[..9], &TOKEN[9..]);
        let mut cleaner = Cleaner::default();
        for token in [TOKEN, TOKEN, "another-secret"] {
            cleaner.learn(&Token::new(token).unwrap());
        }
        assert_eq!(cleaner.tokens.len(), 2);
        assert_eq!(cleaner.line(&split, 100), "[token]");
        assert_eq!(cleaner.html(&format!("<b>{}</b>{}", &TOKEN[..9], &TOKEN[9..]), 99), "[token]");
        assert_eq!(cleaner.line(&format!("x {TOKEN}"), 5), "x [t…");
        assert!(cleaner.finds(&TOKEN[5..40]) && cleaner.finds("another-secret"));
        let encoded: Vec<_> = TOKEN.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let encoded = encoded.concat();
        assert!(cleaner.finds(&format!("/api/{encoded}")) && !cleaner.finds("100 %, %zz"));
        assert!(!cleaner.finds("nothing") && !format!("{cleaner:?}").contains("secret"));
    }

    #[test]
    fn a_short_token_is_hidden_only_as_a_word() {
        let redactor = Redactor::new("test");
        assert_eq!(redactor.hide("test: a tested test".to_owned()), "[token]: a tested [token]");
        assert_eq!(Redactor::nothing().hide("test".to_owned()), "test");
        assert_eq!(Redactor::new("").hide("test".to_owned()), "test");
    }
}
