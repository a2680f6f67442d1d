//! Text from outside, made safe to show anywhere.

/// One line without control characters.
#[must_use]
pub fn clean_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// HTML as plain text.
#[must_use]
pub fn plain_text(html: &str) -> String {
    clean_line(html)
}
