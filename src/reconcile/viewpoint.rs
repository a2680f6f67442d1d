//! How the status file names the files that manifests are in.

use std::path::{Path, PathBuf};

/// The status file's folder, from which files are seen: their names then hold wherever the
/// repository is checked out.
#[derive(Clone, Debug)]
pub struct Viewpoint {
    folder: PathBuf,
    /// The process's folder. To ask for it is a system call, too much for each file.
    current: PathBuf,
}

impl Viewpoint {
    /// The folder of the status file with this path.
    #[must_use]
    pub fn of(status_path: &Path) -> Self {
        // Where there is no such folder any more, names stay as they were given.
        let current = std::env::current_dir().unwrap_or_default();
        let folder = current.join(crate::disk::folder_of(status_path));
        Self { folder, current }
    }

    /// A file's path from there, with forward slashes.
    #[must_use]
    pub fn name(&self, file: &Path) -> String {
        let relative = pathdiff::diff_paths(self.current.join(file), &self.folder);
        let path = relative.unwrap_or_else(|| file.to_owned());
        let parts: Vec<_> =
            path.components().map(|part| part.as_os_str().to_string_lossy()).collect();
        parts.join("/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_from_the_status_file() {
        let name =
            |status: &str, file: &str| Viewpoint::of(Path::new(status)).name(Path::new(file));
        assert_eq!(name("golive.status.json", "offers/vm.yaml"), "offers/vm.yaml");
        assert_eq!(name("./golive.status.json", "./offers/./vm.yaml"), "offers/vm.yaml");
        assert_eq!(name("state/golive.status.json", "offers/vm.yaml"), "../offers/vm.yaml");
        assert_eq!(name("/a/b/golive.status.json", "/a/offers/vm.yaml"), "../offers/vm.yaml");
        let current = std::env::current_dir().unwrap();
        let absolute = current.join("offers/vm.yaml");
        assert_eq!(name("golive.status.json", absolute.to_str().unwrap()), "offers/vm.yaml");
    }
}
