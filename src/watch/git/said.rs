//! git's message about a failure. The lines around the first `fatal:` or `error:` name the cause;
//! the rest is mostly generic advice.

use std::collections::VecDeque;
use std::mem;

use super::remote::Remote;
use crate::marketplace::clean_line;

/// Limit for a line, in bytes. A longer one is not shown at all: half of a password can't be
/// recognized and redacted.
const LONGEST: usize = 16 * 1024;

/// How many lines are kept before the cause (ssh and the server print before git does), and after
/// it; without a cause, the last lines.
const BEFORE: usize = 3;
const AFTER: usize = 2;

/// Limits for a shown line, in characters: for the one with the cause, and for the others.
const SHOWN: (usize, usize) = (400, 120);

/// Reads git's output, and keeps a few lines of it.
#[derive(Debug, Default)]
pub(super) struct Said {
    line: Vec<u8>,
    is_too_long: bool,
    before: VecDeque<String>,
    /// The cause and the lines after it.
    cause: Vec<String>,
}

impl Said {
    pub(super) fn hear(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                // Progress lines overwrite themselves.
                b'\n' | b'\r' => self.end_line(),
                _ if self.line.len() < LONGEST => self.line.push(*byte),
                _ => self.is_too_long = true,
            }
        }
    }

    fn end_line(&mut self) {
        let line = mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let line = line.trim();
        if mem::take(&mut self.is_too_long) || is_noise(line) {
            return;
        }
        if !self.cause.is_empty() || is_cause(line) {
            if self.cause.len() <= AFTER {
                self.cause.push(line.to_owned());
            }
            return;
        }
        self.before.push_back(line.to_owned());
        if self.before.len() > BEFORE {
            self.before.pop_front();
        }
    }

    /// The message as one line that is safe to show.
    pub(super) fn sentence(mut self, remote: &Remote) -> String {
        self.end_line();
        let (cause, other) = SHOWN;
        let shown = |line: &String| {
            let most = if is_cause(line) { cause } else { other };
            let line = remote.scrub(&clean_line(&remote.scrub(line)));
            let short: String = line.chars().take(most).collect();
            if short.len() < line.len() { format!("{short}…") } else { short }
        };
        let lines: Vec<_> = self.before.iter().chain(&self.cause).map(shown).collect();
        lines.join("; ")
    }
}

/// A line without the prefix (`remote:`) that git adds to a server's output.
fn unmarked(line: &str) -> &str {
    line.strip_prefix("remote:").unwrap_or(line).trim()
}

/// Whether a line names the cause. Servers write `ERROR:`.
fn is_cause(line: &str) -> bool {
    let line = unmarked(line);
    let begins =
        |word: &str| line.get(..word.len()).is_some_and(|it| it.eq_ignore_ascii_case(word));
    begins("fatal:") || begins("error:")
}

/// Whether a line has no information about the cause: advice, progress, a rule of dashes.
fn is_noise(line: &str) -> bool {
    let line = unmarked(line);
    let is_advice = line.starts_with("hint:")
        || line.starts_with("Please make sure you have the correct access rights")
        || line == "and the repository exists.";
    is_advice || is_progress(line) || !line.contains(char::is_alphanumeric)
}

/// Whether it is a progress line: `Counting objects:  10% (1/10)`, `Enumerating objects: 5, done.`,
/// `Total 3 (delta 0), …`
fn is_progress(line: &str) -> bool {
    let counted = line.rsplit_once("s: ").is_some_and(|(_, count)| {
        let count = count.trim_start();
        let is_number = count.starts_with(|first: char| first.is_ascii_digit());
        is_number && (count.contains('%') || count.ends_with("done."))
    });
    counted || (line.starts_with("Total ") && line.contains("(delta "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        let mut said = Said::default();
        text.as_bytes().chunks(7).for_each(|bytes| said.hear(bytes));
        said.sentence(&Remote::parse("https://me:s3cr3t@host/a").unwrap())
    }

    #[test]
    fn the_cause_is_kept_whatever_follows() {
        let dubious = "fatal: detected dubious ownership in repository at '/srv/offers/.git'\n\
            To add an exception for this directory, call:\n\n\
            \tgit config --global --add safe.directory /srv/offers/.git\n\
            fatal: Could not read from remote repository.\n\n\
            Please make sure you have the correct access rights\nand the repository exists.\n";
        let text = said(dubious);
        assert!(text.starts_with("fatal: detected dubious ownership in repository at"), "{text}");
        assert!(text.ends_with("--add safe.directory /srv/offers/.git"), "{text}");
        let long = format!("{}{dubious}{}", "before\n".repeat(9999), "after\n".repeat(99_999));
        assert!(said(&long).contains("fatal: detected dubious"), "{}", said(&long));
        assert!(
            said(&format!("{}\nfatal: no\n{}", "x".repeat(99_999), "y".repeat(99_999)))
                == "fatal: no"
        );
    }

    #[test]
    fn what_the_server_and_ssh_say_before_is_kept_without_noise() {
        for (text, shown) in [
            (
                "git@host: Permission denied (publickey).\r\nfatal: Could not read from remote repository.\n\n\
                 Please make sure you have the correct access rights\nand the repository exists.\n",
                "git@host: Permission denied (publickey).; fatal: Could not read from remote repository.",
            ),
            (
                "remote: Enumerating objects: 5, done.        \nremote: Counting objects:  20% (1/5)   \r\
                 remote: Counting objects: 100% (5/5), done.\nremote: Total 5 (delta 0), reused 0\n\
                 Receiving objects:  50% (1/2)\rfatal: early EOF\n",
                "fatal: early EOF",
            ),
            (
                "remote: \nremote: ========\nremote: ERROR: no such project\nremote: \nremote: ask an owner\n\
                 hint: no\nremote: hint: no\nfatal: repository not found\nmore\nmore",
                "remote: ERROR: no such project; remote: ask an owner; fatal: repository not found",
            ),
            ("one\ntwo\nthree\nfour", "two; three; four"),
            ("\n \r\n", ""),
            ("fatal: https://me:s3cr3t@host/a: s3cr3t", "fatal: https://host/a: …"),
        ] {
            assert_eq!(said(text), shown);
        }
    }

    #[test]
    fn a_long_line_is_cut_once_it_has_no_password() {
        let text = said(&format!("fatal: {}s3cr3t", "x".repeat(390)));
        assert!(text.len() < 420 && !text.contains("s3c") && text.ends_with('…'), "{text}");
    }
}
