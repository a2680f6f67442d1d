//! A tree of manifests, and what was written to the status file.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::Advice;

/// A folder of manifests, one a file.
pub(crate) struct Tree {
    folder: tempfile::TempDir,
    files: Vec<PathBuf>,
}

/// The name of an offer, of this many publishers.
pub(crate) fn name(number: usize, publishers: usize) -> String {
    format!("publisher-{}/offer-{number}", number % publishers)
}

impl Tree {
    /// With this many offers, of which the first few are to be in preview and the others live.
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

    /// Where the manifests are.
    pub(crate) fn offers(&self) -> PathBuf {
        self.folder.path().join("offers")
    }

    /// The status file, beside the manifests.
    pub(crate) fn status(&self) -> PathBuf {
        self.folder.path().join("golive.status.json")
    }

    /// Where a run's standard error goes.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// The names of all files, each with a NUL behind it, for `xargs -0`.
    pub(crate) fn list(&self) -> PathBuf {
        let list = self.folder.path().join("list");
        let names = self.files.iter().flat_map(|path| {
            let name = path.as_os_str().as_encoded_bytes();
            name.iter().copied().chain([0])
        });
        std::fs::write(&list, names.collect::<Vec<u8>>()).unwrap();
        list
    }

    /// Lets the system forget the content of the files. What their names are it still knows.
    pub(crate) fn forget(&self) {
        for path in &self.files {
            let file = File::open(path).unwrap();
            // What is not on the disk yet would stay.
            file.sync_data().unwrap();
            rustix::fs::fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        }
    }
}

/// What golive wrote.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    pub(crate) bytes: u64,
    pub(crate) flushes: u64,
}

/// Reads it out of a log (`-vv --log-format json`).
pub(crate) fn written(log: &Path) -> Written {
    let text = std::fs::read_to_string(log).unwrap();
    let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok());
    lines.fold(Written::default(), |sum, line: serde_json::Value| {
        let is = |message| line["target"] == "golive::disk" && line["message"] == message;
        let bytes = if is("written") { line["bytes"].as_u64().unwrap() } else { 0 };
        Written { bytes: sum.bytes + bytes, flushes: sum.flushes + u64::from(is("flushed")) }
    })
}
