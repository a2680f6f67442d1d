//! A tree of manifests, and the writes of the status file.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::Advice;

/// A folder of manifests, one per file.
pub(crate) struct Tree {
    folder: tempfile::TempDir,
    files: Vec<PathBuf>,
}

/// An offer's name; offers are spread over this many publishers.
pub(crate) fn name(number: usize, publishers: usize) -> String {
    format!("publisher-{}/offer-{number}", number % publishers)
}

impl Tree {
    /// Creates manifests; the first `in_preview` want preview, the others live.
    pub(crate) fn new(offers: usize, publishers: usize, in_preview: usize) -> Self {
        let (folder, files) = (tempfile::tempdir().unwrap(), Vec::new());
        let mut tree = Self { folder, files };
        for number in 0..offers {
            let state = if number < in_preview { "preview" } else { "live" };
            let path = tree.write(&name(number, publishers), state);
            tree.files.push(path);
        }
        tree
    }

    /// Writes the manifest of an offer.
    pub(crate) fn write(&self, offer: &str, state: &str) -> PathBuf {
        let path = self.offers().join(format!("{offer}.yaml"));
        let (publisher, offer) = offer.split_once('/').unwrap();
        let text = format!(
            "publisher: {publisher}\noffer: {offer}\nstate: {state}\n\
             labels:\n  team: compute\n  ring: broad\n\
             notify:\n  - release@contoso.example\n"
        );
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The folder of the manifests.
    pub(crate) fn offers(&self) -> PathBuf {
        self.folder.path().join("offers")
    }

    /// The status file, beside the manifests.
    pub(crate) fn status(&self) -> PathBuf {
        self.folder.path().join("golive.status.json")
    }

    /// The file for a run's standard error.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// The names of all files, each followed by NUL, for `xargs -0`.
    pub(crate) fn list(&self) -> PathBuf {
        let list = self.folder.path().join("list");
        let names = self.files.iter().flat_map(|path| {
            let name = path.as_os_str().as_encoded_bytes();
            name.iter().copied().chain([0])
        });
        std::fs::write(&list, names.collect::<Vec<u8>>()).unwrap();
        list
    }

    /// Drops the files' content from the system's cache; their names stay cached.
    pub(crate) fn forget(&self) {
        for path in &self.files {
            let file = File::open(path).unwrap();
            // Unwritten content would stay cached.
            file.sync_data().unwrap();
            rustix::fs::fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        }
    }
}

/// golive's writes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    pub(crate) bytes: u64,
    pub(crate) flushes: u64,
}

/// Reads golive's writes from its log (`-vv --log-format json`).
pub(crate) fn written(log: &Path) -> Written {
    let text = std::fs::read_to_string(log).unwrap();
    let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok());
    lines.fold(Written::default(), |sum, line: serde_json::Value| {
        let is = |message| line["target"] == "golive::disk" && line["message"] == message;
        let bytes = if is("written") { line["bytes"].as_u64().unwrap() } else { 0 };
        Written { bytes: sum.bytes + bytes, flushes: sum.flushes + u64::from(is("flushed")) }
    })
}
