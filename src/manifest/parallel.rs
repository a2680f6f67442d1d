//! Reading many files at once.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::file::FileManifests;
use super::load::load_file;

/// Reads files on all cores. Most of the time is spent in system calls and libyaml, file by file
/// and independent of each other, so that a second core halves it; a thread takes a run of files
/// at a time, since one file is less work than handing it over.
pub(crate) fn load_files<P: AsRef<Path> + Sync>(paths: &[P]) -> Vec<FileManifests> {
    const RUN: usize = 64;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.min(paths.len().div_ceil(RUN));
    if threads <= 1 {
        return paths.iter().map(|path| load_file(path.as_ref())).collect();
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let mut runs = Vec::new();
        loop {
            let start = next.fetch_add(RUN, Ordering::Relaxed);
            let Some(rest) = paths.get(start..).filter(|rest| !rest.is_empty()) else { break };
            let run = rest.iter().take(RUN).map(|path| load_file(path.as_ref()));
            runs.push((start, run.collect::<Vec<_>>()));
        }
        runs
    };
    let mut runs = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut runs = work();
        for other in others {
            match other.join() {
                Ok(more) => runs.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        runs
    });
    runs.sort_by_key(|(start, _)| *start);
    runs.into_iter().flat_map(|(_, run)| run).collect()
}
