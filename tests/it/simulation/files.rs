//! A disk that loses what was not flushed at a power loss.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use golive::disk::{Disk, LockFile};

use super::random::Rng;
use super::schedule::{Effect, Fault, When};
use super::sim::{Process, Sim};

/// A file's content: as processes read it, and as it is on the device.
#[derive(Clone, Debug)]
struct Inode {
    seen: Arc<Vec<u8>>,
    durable: Arc<Vec<u8>>,
}

impl Inode {
    fn is_flushed(&self) -> bool {
        Arc::ptr_eq(&self.seen, &self.durable)
    }
}

/// A change of the folder that is not on the device yet.
#[derive(Clone, Debug)]
enum PendingChange {
    Created(PathBuf, usize),
    Renamed(PathBuf, PathBuf),
    Removed(PathBuf),
}

type Names = BTreeMap<PathBuf, usize>;

/// One folder of one machine.
#[derive(Debug, Default)]
pub(crate) struct Files {
    inodes: Vec<Inode>,
    names: Names,
    durable: Names,
    /// In order: a journaling file system persists them in order.
    pending: Vec<PendingChange>,
    locked_by: Option<u32>,
    holder: Vec<u8>,
}

impl Files {
    pub(crate) fn read(&self, path: &Path) -> Option<Arc<Vec<u8>>> {
        self.names.get(path).map(|inode| Arc::clone(&self.inodes[*inode].seen))
    }

    fn write(&mut self, path: &Path, bytes: &[u8]) {
        let content = Arc::new(bytes.to_vec());
        if let Some(inode) = self.names.get(path) {
            self.inodes[*inode].seen = content;
            return;
        }
        self.names.insert(path.to_owned(), self.inodes.len());
        self.pending.push(PendingChange::Created(path.to_owned(), self.inodes.len()));
        self.inodes.push(Inode { seen: content, durable: Arc::default() });
    }

    fn flush(&mut self, path: &Path) -> io::Result<()> {
        let inode = *self.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        let inode = &mut self.inodes[inode];
        inode.durable = Arc::clone(&inode.seen);
        Ok(())
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let inode = self.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        self.names.insert(to.to_owned(), inode);
        self.pending.push(PendingChange::Renamed(from.to_owned(), to.to_owned()));
        Ok(())
    }

    pub(crate) fn remove(&mut self, path: &Path) {
        if self.names.remove(path).is_some() {
            self.pending.push(PendingChange::Removed(path.to_owned()));
        }
    }

    fn flush_folder(&mut self) {
        self.durable.clone_from(&self.names);
        self.pending.clear();
    }

    /// The names after a power loss that kept the first `kept` pending changes.
    fn names_after(&self, kept: usize) -> Names {
        let mut names = self.durable.clone();
        for renaming in &self.pending[..kept] {
            match renaming {
                PendingChange::Created(path, inode) => {
                    names.insert(path.clone(), *inode);
                }
                PendingChange::Renamed(from, to) => {
                    if let Some(inode) = names.remove(from) {
                        names.insert(to.clone(), inode);
                    }
                }
                PendingChange::Removed(path) => {
                    names.remove(path);
                }
            }
        }
        names
    }

    /// Everything that a file may be after a power loss now; an `Err` is a file that may be torn.
    pub(crate) fn after_power_loss(&self, path: &Path) -> Vec<Result<Arc<Vec<u8>>, ()>> {
        let mut contents = Vec::new();
        let mut last = None;
        for kept in 0..=self.pending.len() {
            let inode = self.names_after(kept).get(path).copied();
            if inode == last {
                continue;
            }
            last = inode;
            let inode = inode.map(|inode| &self.inodes[inode]);
            contents.extend(inode.map(|inode| {
                if inode.is_flushed() { Ok(Arc::clone(&inode.seen)) } else { Err(()) }
            }));
        }
        contents
    }

    /// Loses a random part of what is not flushed, and all locks.
    pub(crate) fn lose_power(&mut self, rng: &mut Rng) {
        self.names = self.names_after(rng.number(self.pending.len() + 1));
        self.flush_folder();
        for inode in &mut self.inodes {
            if !inode.is_flushed() {
                let part = inode.seen.len() * rng.number(5) / 4;
                inode.seen = match rng.number(3) {
                    0 => Arc::clone(&inode.durable),
                    1 => Arc::new(inode.seen[..part.min(inode.seen.len())].to_vec()),
                    _ => Arc::clone(&inode.seen),
                };
                inode.durable = Arc::clone(&inode.seen);
            }
        }
        self.locked_by = None;
    }

    fn try_lock(&mut self, process: u32) -> bool {
        *self.locked_by.get_or_insert(process) == process
    }

    fn unlock(&mut self, process: u32) {
        if self.locked_by == Some(process) {
            self.locked_by = None;
        }
    }
}

/// The files as one process sees them.
#[derive(Clone, Debug)]
pub(crate) struct SimDisk {
    pub(crate) sim: Arc<Sim>,
    pub(crate) process: Arc<Process>,
}

impl SimDisk {
    /// Performs an effect, with its fault: done, done in part, or refused.
    fn effect<T>(
        &self,
        what: &str,
        act: impl FnOnce(&mut Files) -> io::Result<T>,
        in_part: impl FnOnce(&mut Files),
    ) -> io::Result<T> {
        let gone = || Err(io::Error::other("the process is gone"));
        let Some((_, fault)) = self.sim.effect(&self.process, what, Effect::File) else {
            return gone();
        };
        let refused = || Err(io::Error::new(io::ErrorKind::StorageFull, "no space left"));
        let done = match fault {
            Some(Fault::Crash(crash, When::Before)) => {
                self.sim.crash(&self.process, crash);
                return gone();
            }
            Some(Fault::Fails) => return refused(),
            Some(Fault::Slow(delay)) => {
                self.sim.clock.sleep(delay);
                act(&mut self.sim.files())
            }
            Some(Fault::FailsButDone) => {
                in_part(&mut self.sim.files());
                self.sim.check_files();
                return refused();
            }
            _ => act(&mut self.sim.files()),
        };
        self.sim.check_files();
        if let Some(Fault::Crash(crash, When::After)) = fault {
            self.sim.crash(&self.process, crash);
            return gone();
        }
        done
    }
}

fn name(path: &Path) -> &str {
    if path.extension().is_some_and(|it| it == "new") { "the temporary file" } else { "the file" }
}

impl Disk for SimDisk {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let read = |files: &mut Files| Ok(files.read(path).map(|bytes| bytes.to_vec()));
        self.effect("read", read, |_| ())
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let half = &bytes[..bytes.len() / 2];
        let write = |files: &mut Files, bytes: &[u8]| {
            files.write(path, bytes);
            Ok(())
        };
        let what = format!("write {}", name(path));
        self.effect(&what, |files| write(files, bytes), |files| drop(write(files, half)))
    }

    fn flush(&self, path: &Path) -> io::Result<()> {
        self.effect(&format!("flush {}", name(path)), |files| files.flush(path), |_| ())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let rename = |files: &mut Files| files.rename(from, to);
        self.effect("rename", rename, |files| drop(rename(files)))
    }

    fn flush_folder(&self, _: &Path) -> io::Result<()> {
        let flush = |files: &mut Files| {
            files.flush_folder();
            Ok(())
        };
        self.effect("flush the folder", flush, |_| ())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let remove = |files: &mut Files| {
            files.remove(path);
            Ok(())
        };
        self.effect("remove", remove, |_| ())
    }

    fn open_lock(&self, _: &Path) -> io::Result<Box<dyn LockFile>> {
        self.effect("open the lock", |_| Ok(()), |_| ())?;
        Ok(Box::new(SimLock { disk: self.clone() }))
    }
}

/// The lock beside the status file.
#[derive(Debug)]
struct SimLock {
    disk: SimDisk,
}

impl LockFile for SimLock {
    fn try_lock(&mut self) -> io::Result<bool> {
        Ok(self.disk.sim.files().try_lock(self.disk.process.number))
    }

    fn read(&mut self, _: u64) -> io::Result<Vec<u8>> {
        Ok(self.disk.sim.files().holder.clone())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let write = |files: &mut Files| {
            bytes.clone_into(&mut files.holder);
            Ok(())
        };
        self.disk.effect("say who holds the lock", write, |_| ())
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.sim.files().unlock(self.disk.process.number);
    }
}
