//! A token in a file that another process renews.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;

use super::{Token, TokenPurpose, TokenSource, how_to_print_a_token};
use crate::backends::http::Endpoint;
use crate::marketplace::MarketplaceError;

/// Limit for the token file, in bytes.
const MAX_LENGTH: u64 = 64 * 1024;

/// The token in a file that may be replaced at any time: golive reads it again when the file has
/// changed, and when its token was answered 401.
#[derive(Debug)]
pub struct FileToken {
    path: PathBuf,
    purpose: TokenPurpose,
    known: Mutex<Option<Known>>,
}

#[derive(Debug)]
struct Known {
    token: Token,
    stamp: Stamp,
}

/// Identifies a version of the file.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    /// The inode: a replacement may have the same time and length.
    file: u64,
}

impl Stamp {
    fn of(found: &Metadata) -> Self {
        #[cfg(unix)]
        let file = std::os::unix::fs::MetadataExt::ino(found);
        #[cfg(not(unix))]
        let file = 0;
        Self { modified: found.modified().ok(), length: found.len(), file }
    }
}

impl FileToken {
    /// The token of the file that the variable `GOLIVE_TOKEN_FILE` names, for the Cloud Partner
    /// Portal. It isn't read yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self::of(TokenPurpose::new("GOLIVE_TOKEN_FILE", Endpoint::DEFAULT), path)
    }

    /// A source for this file, which isn't read yet.
    #[must_use]
    pub fn of(purpose: TokenPurpose, path: PathBuf) -> Self {
        Self { path, purpose, known: Mutex::new(None) }
    }

    fn current(&self, rejected: Option<&Token>) -> Result<Token, MarketplaceError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let usable = known.as_ref().filter(|known| Some(&known.token) != rejected);
        let now = self.find().map(|found| Stamp::of(&found));
        if let (Some(known), Ok(now)) = (usable, &now)
            && known.stamp == *now
        {
            return Ok(known.token.clone());
        }
        let usable = usable.map(|known| known.token.clone());
        match self.read() {
            Ok(read) => {
                let token = read.token.clone();
                *known = Some(read);
                Ok(token)
            }
            // The file may be missing for a moment while it is replaced: the known token is still
            // good.
            Err(error) => usable.ok_or(error),
        }
    }

    /// Finds the file's metadata. Opening a pipe or a device could block for ever.
    fn find(&self) -> io::Result<Metadata> {
        let found = std::fs::metadata(&self.path)?;
        if found.is_file() { Ok(found) } else { Err(io::Error::other("it isn't a regular file")) }
    }

    fn read(&self) -> Result<Known, MarketplaceError> {
        let unreadable =
            |error: io::Error| self.wrong(&format!("cannot read {}: {error}", self.path.display()));
        self.find().map_err(unreadable)?;
        let file = File::open(&self.path).map_err(unreadable)?;
        // Taken from the open file, which may be newer than the one found.
        let stamp = Stamp::of(&file.metadata().map_err(unreadable)?);
        let mut bytes = Vec::new();
        file.take(MAX_LENGTH + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        let text = str::from_utf8(&bytes).ok().filter(|_| bytes.len() as u64 <= MAX_LENGTH);
        let Some(text) = text else {
            return Err(self.wrong(&format!("{} holds something else", self.path.display())));
        };
        let token = Token::new(text)
            .map_err(|error| self.wrong(&format!("{}: {error}", self.path.display())))?;
        Ok(Known { token, stamp })
    }

    fn wrong(&self, what: &str) -> MarketplaceError {
        let (name, how) = (&self.purpose.name, how_to_print_a_token(self.purpose.resource));
        MarketplaceError::Token(format!(
            "{name}: {what}; have the file renewed, for example with the output of {how}"
        ))
    }
}

#[async_trait]
impl TokenSource for FileToken {
    async fn token(&self, rejected: Option<&Token>) -> Result<Token, MarketplaceError> {
        self.current(rejected)
    }

    fn is_renewed_by_others(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{self, Disk as _, RealDisk};

    struct Fixture {
        _folder: tempfile::TempDir,
        path: PathBuf,
        source: FileToken,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("token");
            Self { _folder: folder, path: path.clone(), source: FileToken::new(path) }
        }

        fn write(&self, text: impl AsRef<[u8]>) {
            disk::replace(&RealDisk, &self.path, text.as_ref()).unwrap();
        }

        async fn token(&self, rejected: Option<&Token>) -> Result<Token, String> {
            self.source.token(rejected).await.map_err(|error| error.to_string())
        }
    }

    fn token(text: &str) -> Token {
        Token::new(text).unwrap()
    }

    #[tokio::test]
    async fn a_file_that_changes_is_read_again() {
        let place = Fixture::new();
        for text in ["one\n", "two\n", " three ", "four"] {
            place.write(text);
            assert_eq!(place.token(None).await, Ok(token(text)));
            assert_eq!(place.token(None).await, Ok(token(text)));
        }
        assert!(!format!("{:?}", place.source).contains("four"));
    }

    #[tokio::test]
    async fn a_token_that_was_refused_is_read_again() {
        let place = Fixture::new();
        place.write("one");
        let one = place.token(None).await.unwrap();
        assert_eq!(place.token(Some(&one)).await, Ok(one.clone()));
        place.write("two");
        let two = place.token(Some(&one)).await.unwrap();
        assert_eq!(two, token("two"));
        // Another request that was refused meanwhile gets the new one.
        assert_eq!(place.token(Some(&one)).await, Ok(two));
    }

    #[tokio::test]
    async fn a_file_that_is_being_replaced_costs_nothing_while_the_token_is_good() {
        let place = Fixture::new();
        place.write("one");
        let one = place.token(None).await.unwrap();
        for half in [None, Some(""), Some("a b")] {
            RealDisk.remove(&place.path).unwrap();
            if let Some(half) = half {
                place.write(half);
            }
            assert_eq!(place.token(None).await, Ok(one.clone()));
            let error = place.token(Some(&one)).await.unwrap_err();
            assert!(error.contains("GOLIVE_TOKEN_FILE"), "{error}");
        }
        place.write("another");
        assert_eq!(place.token(None).await, Ok(token("another")));
    }

    #[tokio::test]
    async fn an_invalid_file_says_what_to_do_and_shows_nothing() {
        let long = "s3cr3t".repeat(20_000);
        let cases: [(&[u8], &str); 5] = [
            (b"", "the token is empty"),
            (b"\n", "the token is empty"),
            (b"s3cr3t s3cr3t", "the token has white space"),
            (b"s3cr3t\xff", "holds something else"),
            (long.as_bytes(), "holds something else"),
        ];
        for (bytes, what) in cases {
            let place = Fixture::new();
            place.write(bytes);
            let error = place.token(None).await.unwrap_err();
            assert!(error.contains(what) && !error.contains("s3cr3t"), "{error}");
            assert!(error.contains("az account get-access-token --resource https://cloudpartner"));
        }
        let place = Fixture::new();
        let error = place.token(None).await.unwrap_err();
        assert!(error.contains("GOLIVE_TOKEN_FILE: cannot read "), "{error}");
        std::fs::create_dir(&place.path).unwrap();
        let error = place.token(None).await.unwrap_err();
        assert!(error.contains("it isn't a regular file"), "{error}");
    }
}
