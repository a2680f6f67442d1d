//! What to do about a file as a whole: another thing for one that lies in a folder, for one that is named
//! on the command line, and for a pipe.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::pipe;

/// How golive came to read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// It lies in a folder that is walked, and can be left out.
    Found,
    /// It is named on the command line, and is read in any case.
    Named,
    /// Standard input, or another pipe: what is in it comes from a program.
    Piped,
}

impl Given {
    pub(super) fn of(path: &Path, named: &BTreeSet<PathBuf>) -> Self {
        if !named.contains(path) {
            Self::Found
        } else if pipe::is_pipe(path) {
            Self::Piped
        } else {
            Self::Named
        }
    }
}

/// What to do, where that depends on how the file is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hint {
    /// Another tool's file.
    Foreign,
    /// There is nothing in it.
    Empty,
    /// It is larger than a manifest may be.
    TooLarge,
    /// It is text, and not UTF-8.
    Encoding,
    /// A Git LFS pointer.
    Lfs,
    /// A symbolic link that became a text.
    Link,
    /// A symbolic link that leads nowhere.
    Dangling,
    /// gzip.
    Compressed,
    /// git-crypt.
    Encrypted,
    /// Bytes that are no text.
    Binary,
}

impl Hint {
    pub(super) fn text(self, given: Given) -> &'static str {
        match (self, given) {
            (Self::Foreign, Given::Found) => {
                "name the folder of the manifests, or list this file in a .goliveignore"
            }
            (Self::Foreign | Self::Binary, Given::Named) => {
                "a file that is named is read in any case: name another file, or the folder of the \
                 manifests"
            }
            (Self::Foreign | Self::Binary, Given::Piped) => {
                "golive reads what the program before the pipe writes: let it write manifests alone"
            }
            (Self::Empty, Given::Found) => {
                "write a manifest, remove the file, or list it in a .goliveignore"
            }
            (Self::Empty, Given::Named) => "write a manifest, or name another file",
            (Self::Empty, Given::Piped) => {
                "the program before the pipe wrote nothing: see whether it failed"
            }
            (Self::TooLarge, Given::Found) => {
                "split it: one manifest is a few hundred bytes; \
                 or list it in a .goliveignore where it holds none"
            }
            (Self::TooLarge, Given::Named) => {
                "split it: one manifest is a few hundred bytes; or name another file"
            }
            (Self::TooLarge, Given::Piped) => {
                "let the program before the pipe write less, or write files: one manifest is a few \
                 hundred bytes"
            }
            (Self::Encoding, Given::Found | Given::Named) => "save the file as UTF-8",
            (Self::Encoding, Given::Piped) => "let the program before the pipe write UTF-8",
            (Self::Lfs, Given::Found | Given::Named) => {
                "git lfs pull brings the file; in a workflow, check out with lfs: true \
                 (golive watch --git fetches none)"
            }
            (Self::Lfs, Given::Piped) => {
                "git lfs pull brings the file, before the program before the pipe reads it"
            }
            (Self::Link, Given::Found | Given::Named) => {
                "put the manifest itself here, or check out with core.symlinks=true \
                 (golive watch --git follows no links)"
            }
            (Self::Link, Given::Piped) => {
                "let the program before the pipe write the file that the path names"
            }
            (Self::Dangling, Given::Found) => "remove the link, or restore what it points to",
            (Self::Dangling, Given::Named | Given::Piped) => {
                "restore what it points to, or name another file"
            }
            (Self::Compressed, Given::Found | Given::Named) => "unpack it with gunzip",
            (Self::Compressed, Given::Piped) => "let the program before the pipe unpack it: gunzip",
            (Self::Encrypted, Given::Found | Given::Named) => "git-crypt unlock decrypts it",
            (Self::Encrypted, Given::Piped) => {
                "git-crypt unlock decrypts it, before the program before the pipe reads it"
            }
            (Self::Binary, Given::Found) => {
                "restore it; or list it in a .goliveignore where it holds no manifest"
            }
        }
    }
}
