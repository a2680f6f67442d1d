//! Hints about a file as a whole. They depend on whether the file was found in a folder, is named on
//! the command line, or is a pipe.

/// How golive came to read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InputKind {
    /// The file is in a folder that is walked, and can be left out.
    InFolder,
    /// The file is named on the command line, and is read in any case.
    Named,
    /// Standard input or another pipe: a program wrote it.
    Piped,
}

/// What is wrong with the file; [`FileHint::text`] says what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileHint {
    /// Another tool's file.
    Foreign,
    /// An empty file.
    Empty,
    /// A file larger than [`MAX_FILE_BYTES`](super::input::MAX_FILE_BYTES).
    TooLarge,
    /// Text in another encoding than UTF-8.
    Encoding,
    /// A Git LFS pointer.
    Lfs,
    /// A symbolic link that was checked out as text.
    Link,
    /// A symbolic link that leads nowhere.
    Dangling,
    /// gzip.
    Compressed,
    /// git-crypt.
    Encrypted,
    /// Not text.
    Binary,
}

impl FileHint {
    pub(super) fn text(self, input: InputKind) -> &'static str {
        match (self, input) {
            (Self::Foreign, InputKind::InFolder) => {
                "name the folder of the manifests, or list this file in a .goliveignore"
            }
            (Self::Foreign | Self::Binary, InputKind::Named) => {
                "a file that is named is read in any case: name another file, or the folder of the \
                 manifests"
            }
            (Self::Foreign | Self::Binary, InputKind::Piped) => {
                "golive reads what the program before the pipe writes: let it write manifests alone"
            }
            (Self::Empty, InputKind::InFolder) => {
                "write a manifest, remove the file, or list it in a .goliveignore"
            }
            (Self::Empty, InputKind::Named) => "write a manifest, or name another file",
            (Self::Empty, InputKind::Piped) => {
                "the program before the pipe wrote nothing: see whether it failed"
            }
            (Self::TooLarge, InputKind::InFolder) => {
                "split it: one manifest is a few hundred bytes; \
                 or list it in a .goliveignore where it holds none"
            }
            (Self::TooLarge, InputKind::Named) => {
                "split it: one manifest is a few hundred bytes; or name another file"
            }
            (Self::TooLarge, InputKind::Piped) => {
                "let the program before the pipe write less, or write files: one manifest is a few \
                 hundred bytes"
            }
            (Self::Encoding, InputKind::InFolder | InputKind::Named) => "save the file as UTF-8",
            (Self::Encoding, InputKind::Piped) => "let the program before the pipe write UTF-8",
            (Self::Lfs, InputKind::InFolder | InputKind::Named) => {
                "git lfs pull brings the file; in a workflow, check out with lfs: true \
                 (golive watch --git fetches none)"
            }
            (Self::Lfs, InputKind::Piped) => {
                "git lfs pull brings the file, before the program before the pipe reads it"
            }
            (Self::Link, InputKind::InFolder | InputKind::Named) => {
                "put the manifest itself here, or check out with core.symlinks=true \
                 (golive watch --git follows no links)"
            }
            (Self::Link, InputKind::Piped) => {
                "let the program before the pipe write the file that the path names"
            }
            (Self::Dangling, InputKind::InFolder) => {
                "remove the link, or restore what it points to"
            }
            (Self::Dangling, InputKind::Named | InputKind::Piped) => {
                "restore what it points to, or name another file"
            }
            (Self::Compressed, InputKind::InFolder | InputKind::Named) => "unpack it with gunzip",
            (Self::Compressed, InputKind::Piped) => {
                "let the program before the pipe unpack it: gunzip"
            }
            (Self::Encrypted, InputKind::InFolder | InputKind::Named) => {
                "git-crypt unlock decrypts it"
            }
            (Self::Encrypted, InputKind::Piped) => {
                "git-crypt unlock decrypts it, before the program before the pipe reads it"
            }
            (Self::Binary, InputKind::InFolder) => {
                "restore it; or list it in a .goliveignore if it is not a manifest"
            }
        }
    }
}
