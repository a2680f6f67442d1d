//! Reads the status file; the errors of reading and writing it.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::{MarketplaceRecord, SCHEMA_VERSION, StatusFile, upgrade};
use crate::disk::Disk;
use crate::marketplace::{PublisherId, clean_line, is_harmful};

/// Why the status file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// golive didn't write this content. The file is left as it is.
    #[error(
        "{}:{line}:{column}: the status file is broken: {what}; fix it or move it away \
         (golive then asks the marketplace again, and knows of no launch that was in doubt)",
        path.display()
    )]
    Broken {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// The problem.
        what: String,
    },
    /// The file was written by a newer golive. It is left as it is.
    #[error(
        "{}: the status file has schema {found}, this golive knows up to {SCHEMA_VERSION}; use a newer golive",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u64,
    },
    /// Its records of a publisher's offers are about another marketplace. The file is left as it is.
    #[error(
        "{}: what it knows of the offers of {} is about {}, and this run is about {}; nothing was \
         sent: name another file with --status or GOLIVE_STATUS, or, if these offers have moved, \
         delete this one (golive then asks the marketplace again, and knows of no launch that was in \
         doubt)",
        path.display(), elsewhere.publisher, elsewhere.recorded, elsewhere.wanted
    )]
    OtherMarketplace {
        /// The file.
        path: PathBuf,
        /// The publisher and the two marketplaces.
        elsewhere: Box<Elsewhere>,
    },
    /// It can't be read.
    #[error("cannot read the status file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// It is a link, a folder, a pipe or a device.
    #[error(
        "the status file {} isn't a regular file, and golive would put one in its place; name the \
         file itself with --status or GOLIVE_STATUS",
        path.display()
    )]
    NoFile {
        /// The file.
        path: PathBuf,
    },
    /// It is marked read-only.
    #[error(
        "the status file {} is read-only, and nothing is sent without it; make it writable, or \
         name another one with --status or GOLIVE_STATUS",
        path.display()
    )]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// It can't be written.
    #[error(
        "cannot write the status file {}, and nothing more is sent without it; make room for it and \
         let golive write there, or give it another place with --status FILE or GOLIVE_STATUS",
        path.display()
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
}

/// A publisher whose offers are on record at another marketplace than the run's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// The publisher.
    pub publisher: PublisherId,
    /// The marketplace on record.
    pub recorded: MarketplaceRecord,
    /// The run's marketplace.
    pub wanted: MarketplaceRecord,
}

/// Reads a status file, for which no lock is needed; `None` if there is none.
pub fn read(disk: &dyn Disk, path: &Path) -> Result<Option<StatusFile>, StoreError> {
    let bytes =
        disk.read(path).map_err(|source| StoreError::Read { path: path.to_owned(), source })?;
    bytes.map(|bytes| parse(path, &bytes)).transpose()
}

/// Refuses to replace a file that is marked read-only or isn't a regular file. The rename that
/// replaces it needs no permission on the file itself, and would replace a link, not its target.
pub fn refuse_unfit(path: &Path) -> Result<(), StoreError> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => Err(StoreError::NoFile { path: path.to_owned() }),
        Ok(found) if found.permissions().readonly() => {
            Err(StoreError::ReadOnly { path: path.to_owned() })
        }
        // Reading the file reports such an error.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Parses a status file's content; `path` is for the error.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<StatusFile, StoreError> {
    #[derive(Deserialize)]
    struct Probe {
        schema: u64,
    }
    let broken =
        |line, column, what| StoreError::Broken { path: path.to_owned(), line, column, what };
    let newer = |found| StoreError::Newer { path: path.to_owned(), found };
    let parsed = match serde_json::from_slice::<StatusFile>(bytes) {
        Ok(file) if file.schema == 1 => upgrade::from_schema_1(bytes),
        // A file of another version need not match this one's types.
        Err(error) => match serde_json::from_slice(bytes) {
            Ok(Probe { schema: 1 }) => upgrade::from_schema_1(bytes),
            Ok(Probe { schema }) if schema > u64::from(SCHEMA_VERSION) => {
                return Err(newer(schema));
            }
            Ok(_) | Err(_) => Err(error),
        },
        Ok(file) => Ok(file),
    };
    let mut file = parsed.map_err(|error| {
        let what = error.to_string();
        // serde_json ends its message with the position; here it comes first.
        let what = what.split(" at line ").next().unwrap_or(&what);
        let what = clean_line(what);
        broken(error.line().max(1), column(bytes, &error), what)
    })?;
    if file.schema > SCHEMA_VERSION {
        return Err(newer(file.schema.into()));
    }
    if file.schema != SCHEMA_VERSION {
        return Err(broken(1, 1, format!("schema {} was never in use", file.schema)));
    }
    if may_be_harmful(bytes) {
        file = cleaned(bytes).map_err(|error| broken(1, 1, clean_line(&error.to_string())))?;
    }
    Ok(file)
}

/// Whether a string in the JSON may contain a control character or another one that does harm when
/// it is shown. golive writes none, so only a file that was tampered with is parsed twice.
fn may_be_harmful(json: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(json) else { return false };
    let mut escaped = None;
    for (at, _) in text.match_indices('\\') {
        // The second of two backslashes begins no escape.
        if escaped == Some(at) {
            continue;
        }
        escaped = Some(at + 1);
        // Only quotes, backslashes and slashes are harmless.
        if !matches!(json.get(at + 1), Some(b'"' | b'\\' | b'/')) {
            return true;
        }
    }
    text.lines().any(is_harmful)
}

/// The file with all texts made safe to show. A status file may come from a repository, so its texts
/// are trusted no more than the marketplace's.
fn cleaned(json: &[u8]) -> serde_json::Result<StatusFile> {
    fn clean(value: &mut Value) {
        match value {
            Value::String(text) if is_harmful(text) => *text = clean_line(text),
            Value::Array(values) => values.iter_mut().for_each(clean),
            Value::Object(map) => map.values_mut().for_each(clean),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut value: Value = serde_json::from_slice(json)?;
    clean(&mut value);
    if value.get("schema") == Some(&1.into()) {
        return upgrade::from_schema_1(value.to_string().as_bytes());
    }
    serde_json::from_value(value)
}

/// The column of an error, from 1, in characters; `serde_json` counts bytes.
fn column(bytes: &[u8], error: &serde_json::Error) -> usize {
    let line = bytes.split(|byte| *byte == b'\n').nth(error.line().saturating_sub(1));
    let line = line.unwrap_or_default();
    let before = &line[..error.column().min(line.len())];
    String::from_utf8_lossy(before).chars().count().max(1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::marketplace::OfferId;
    use crate::status::record::tests::record;

    #[test]
    fn broken_and_newer_files_are_told_apart() {
        let path = Path::new("golive.status.json");
        let error = |text: &str| parse(path, text.as_bytes()).unwrap_err().to_string();
        let cut = error("{\"schema\": 1,\n \"offers\": {");
        assert!(
            cut.starts_with("golive.status.json:2:12: the status file is broken: EOF"),
            "{cut}"
        );
        let newer = error("{\"schema\": 2,\n \"offers\": {");
        assert!(newer.starts_with("golive.status.json:2:12: "), "{newer}");
        assert!(error("").contains(":1:1: "), "{}", error(""));
        let wide = error("{\"schema\": 1, \"見出し\": 2}");
        assert!(wide.starts_with("golive.status.json:1:19: "), "characters, not bytes: {wide}");
        assert!(error("{\"schema\": 7, \"new\": []}").contains("schema 7"));
        assert!(
            error("{\"schema\": 0, \"offers\": {}, \"updatedAt\": \"2026-01-01T00:00:00Z\"}")
                .contains("never in use")
        );
        assert!(error("\u{1b}[31m").contains("broken"));
        let record = serde_json::to_string(&record()).unwrap();
        let twice = format!("{{\"offers\": {{\"a/vm\": {record},\n \"A/VM\": {record}}}}}");
        assert!(error(&twice).contains(":2:"), "{}", error(&twice));
        assert!(error(&twice).contains("duplicate entry"), "{}", error(&twice));
    }

    #[test]
    fn texts_that_would_do_harm_are_cleaned() {
        let path = Path::new("golive.status.json");
        let offer: OfferId = "contoso/vm".parse().unwrap();
        let message = |text: &str| {
            let mut file = StatusFile::empty("2026-01-01T00:00:00Z".parse().unwrap());
            file.offers.insert(offer.clone(), Arc::new(record()));
            let mut file = serde_json::to_value(file).unwrap();
            file["offers"]["contoso/vm"]["message"] = text.into();
            let mut file = parse(path, file.to_string().as_bytes()).unwrap();
            file.offers.remove(&offer).unwrap().message.clone()
        };
        for (written, read) in [
            ("\u{1b}[2Jrun\nFORGED", "run FORGED"),
            ("\u{9b}31mred \u{202e}exe\u{7f}", "red exe"),
            ("a\u{2028}b", "a b"),
            // What golive itself writes stays as it is.
            ("it said \"no\" at C:\\new …  twice", "it said \"no\" at C:\\new …  twice"),
        ] {
            assert_eq!(message(written), read);
        }
    }
}
