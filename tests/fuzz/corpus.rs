//! The committed inputs, and the folder of new failing ones.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A committed input.
pub(crate) struct Seed {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
}

/// A target's inputs, sorted by name.
pub(crate) fn read(target: &str) -> Vec<Seed> {
    let entries = fs::read_dir(folder(target)).expect("a folder of inputs");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let seed = |path: PathBuf| Seed { bytes: fs::read(&path).expect("an input"), path };
    paths.into_iter().map(seed).collect()
}

/// The names of all folders of inputs, sorted.
pub(crate) fn targets() -> Vec<String> {
    let entries = fs::read_dir(folder("")).expect("the folders of inputs");
    let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("a plain name");
    let mut names: Vec<_> = entries.map(|entry| name(entry.expect("an entry"))).collect();
    names.sort();
    names
}

/// A target's folder of inputs.
pub(crate) fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target)
}

/// Saves a failing input, named by its hash.
pub(crate) fn keep(target: &str, input: &[u8]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz").join(target);
    fs::create_dir_all(&folder).expect("a folder");
    let mut hash = DefaultHasher::new();
    input.hash(&mut hash);
    let path = folder.join(format!("{:016x}", hash.finish()));
    let mut file = File::create(&path).expect("a file");
    file.write_all(input).expect("written");
    path
}

/// Whether the long run has a target.
pub(crate) fn has_long_run(target: &str) -> bool {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/Cargo.toml");
    let manifest = fs::read_to_string(manifest).expect("the fuzz package");
    manifest.contains(&format!("\nname = \"{target}\"\n"))
}
