//! Reads many files at once.

use std::path::Path;

use super::file::FileManifests;
use super::load::load_file;

/// A thread is worth its start only for this many files.
const MIN_FILES_PER_THREAD: usize = 64;

/// Reads files on all cores, in order. Nearly all the time goes to system calls and libyaml, file
/// by file, so that a second core halves it.
pub(crate) fn load_files<P: AsRef<Path> + Sync>(paths: &[P]) -> Vec<FileManifests> {
    let load = |paths: &[P]| -> Vec<FileManifests> {
        paths.iter().map(|path| load_file(path.as_ref())).collect()
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.min(paths.len().div_ceil(MIN_FILES_PER_THREAD));
    if threads <= 1 {
        return load(paths);
    }
    std::thread::scope(|scope| {
        let chunks = paths.chunks(paths.len().div_ceil(threads));
        let threads: Vec<_> = chunks.map(|chunk| scope.spawn(move || load(chunk))).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| match thread.join() {
            Ok(files) => files,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        threads.into_iter().flat_map(join).collect()
    })
}
