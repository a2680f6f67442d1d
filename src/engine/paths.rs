//! How the status file names manifest files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::manifest::Diagnostic;

/// Converts manifest paths to paths relative to the status file's folder. Such names hold wherever
/// the repository is checked out.
#[derive(Clone, Debug)]
pub struct StatusRelativePaths {
    folder: PathBuf,
    /// The process's current folder. Cached, because a system call for each file costs too much.
    current: PathBuf,
    /// The checkout that golive made, as a prefix of the manifests' paths. Its location on this
    /// machine is of no use to anyone, so its files are named relative to the repository.
    checkout: Option<PathBuf>,
}

impl StatusRelativePaths {
    /// Paths relative to the folder of this status file.
    #[must_use]
    pub fn of(status_path: &Path) -> Self {
        // If the current folder no longer exists, names stay as they were given.
        let current = std::env::current_dir().unwrap_or_default();
        let folder = current.join(crate::disk::folder_of(status_path));
        Self { folder, current, checkout: None }
    }

    /// The same, with manifests in a checkout that golive made.
    #[must_use]
    pub fn in_checkout(self, checkout: PathBuf) -> Self {
        Self { checkout: Some(checkout), ..self }
    }

    /// A file's path relative to the status file's folder, or to its repository, with forward
    /// slashes.
    #[must_use]
    pub fn name(&self, file: &Path) -> String {
        let inside = self.inside(file).map(Path::to_owned);
        let seen = || pathdiff::diff_paths(self.current.join(file), &self.folder);
        let path = inside.or_else(seen).unwrap_or_else(|| file.to_owned());
        let parts: Vec<_> =
            path.components().map(|part| part.as_os_str().to_string_lossy()).collect();
        parts.join("/")
    }

    /// The path of the file that [`Self::name`] gave this name.
    #[must_use]
    pub fn find(&self, name: &str) -> PathBuf {
        self.checkout.as_ref().unwrap_or(&self.folder).join(name)
    }

    /// A file's path for messages: as the user gave it, or relative to its repository.
    #[must_use]
    pub fn shown<'a>(&self, file: &'a Path) -> &'a Path {
        match self.inside(file) {
            Some(all) if all.as_os_str().is_empty() => Path::new("."),
            Some(inside) => inside,
            None => file,
        }
    }

    /// The diagnostics of manifests, with file paths for messages.
    pub(crate) fn named(&self, problems: Arc<Vec<Diagnostic>>) -> Arc<Vec<Diagnostic>> {
        if self.checkout.is_none() {
            return problems;
        }
        let mut named = Arc::unwrap_or_clone(problems);
        for problem in &mut named {
            let related = problem.related.iter_mut().map(|related| &mut related.file);
            for file in related.chain([&mut problem.file]) {
                *file = self.shown(file).to_owned();
            }
        }
        Arc::new(named)
    }

    fn inside<'a>(&self, file: &'a Path) -> Option<&'a Path> {
        file.strip_prefix(self.checkout.as_ref()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_from_the_status_file() {
        let name = |status: &str, file: &str| {
            StatusRelativePaths::of(Path::new(status)).name(Path::new(file))
        };
        assert_eq!(name("golive.status.json", "offers/vm.yaml"), "offers/vm.yaml");
        assert_eq!(name("./golive.status.json", "./offers/./vm.yaml"), "offers/vm.yaml");
        assert_eq!(name("state/golive.status.json", "offers/vm.yaml"), "../offers/vm.yaml");
        assert_eq!(name("/a/b/golive.status.json", "/a/offers/vm.yaml"), "../offers/vm.yaml");
        let current = std::env::current_dir().unwrap();
        let absolute = current.join("offers/vm.yaml");
        assert_eq!(name("golive.status.json", absolute.to_str().unwrap()), "offers/vm.yaml");
    }
    #[test]
    fn files_of_a_checkout_are_named_as_in_their_repository() {
        let tree = Path::new("state/golive.status.git/.tree");
        let paths = StatusRelativePaths::of(Path::new("state/golive.status.json"));
        let paths = paths.in_checkout(tree.to_owned());
        let file = tree.join("offers/vm.yaml");
        assert_eq!(paths.name(&file), "offers/vm.yaml");
        assert_eq!(paths.find("offers/vm.yaml"), file);
        assert_eq!(paths.shown(&file), Path::new("offers/vm.yaml"));
        assert_eq!(paths.shown(tree), Path::new("."));
        assert_eq!(paths.shown(Path::new("a.yaml")), Path::new("a.yaml"));
    }
}
