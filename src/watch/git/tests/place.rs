//! A remote, somebody who pushes to it, and a golive that follows it: all in one folder.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::super::{Changed, GitError, GitSettings, GitSource, Source as _, Tools};
use crate::disk::{Disk as _, RealDisk};
use crate::watch::ServiceState;

/// How long a test waits for what must come. Only a test that fails takes as long.
const PATIENCE: Duration = Duration::from_mins(1);

pub(super) struct Place {
    folder: TempDir,
    pub(super) service_state: Arc<ServiceState>,
    pub(super) url: Option<String>,
    pub(super) branch: Option<String>,
    pub(super) dir: PathBuf,
    pub(super) poll: Duration,
    pub(super) tools: Tools,
}

/// A place, or none where there is no git.
pub(super) fn git_or_skip() -> Option<Place> {
    let found = Command::new("git").arg("--version").stdout(Stdio::null()).status();
    if found.is_err() {
        eprintln!("skipped: there is no git on this machine");
        return None;
    }
    Some(Place::new())
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["home", "work", "outside"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let (service_state, _) = ServiceState::new();
        let environment = environment(folder.path());
        let tools = Tools {
            program: PathBuf::from("git"),
            environment,
            patience: PATIENCE,
            fetch_patience: PATIENCE,
        };
        let place = Self {
            folder,
            service_state,
            url: None,
            branch: None,
            dir: PathBuf::new(),
            poll: Duration::from_millis(5),
            tools,
        };
        place.configure("");
        place.git(&["init", "--quiet", "--initial-branch=main"]);
        let remote = place.remote();
        place.git(&[
            "init",
            "--quiet",
            "--bare",
            "--initial-branch=main",
            remote.to_str().unwrap(),
        ]);
        place.git(&["remote", "add", "origin", remote.to_str().unwrap()]);
        place
    }

    /// Makes remote and work tree anew, with this hash.
    pub(super) fn make_remote_anew(&self, format: &str) {
        for folder in [self.remote(), self.work(".git")] {
            std::fs::remove_dir_all(folder).unwrap();
        }
        let (format, remote) = (format!("--object-format={format}"), self.remote());
        let remote = remote.to_str().unwrap();
        for (option, place) in [("--bare", remote), ("--quiet", ".")] {
            self.git(&["init", "--quiet", "--initial-branch=main", option, &format, place]);
        }
        self.git(&["remote", "add", "origin", remote]);
    }

    /// Where the remote repository is.
    pub(super) fn remote(&self) -> PathBuf {
        self.folder.path().join("remote.git")
    }

    pub(super) fn url(&self) -> String {
        format!("file://{}", self.remote().display())
    }

    /// A file of the user's home.
    pub(super) fn home(&self, name: &str) -> PathBuf {
        self.folder.path().join("home").join(name)
    }

    /// A file of who pushes.
    pub(super) fn work(&self, name: &str) -> PathBuf {
        self.folder.path().join("work").join(name)
    }

    /// Writes the user's configuration of git.
    pub(super) fn configure(&self, text: &str) {
        let text = format!(
            "[user]\n name = a\n email = a@example.com\n[commit]\n gpgSign = false\n{text}"
        );
        RealDisk.write(&self.home("gitconfig"), text.as_bytes()).unwrap();
    }

    /// Runs git as who pushes, and returns what it prints.
    pub(super) fn git(&self, arguments: &[&str]) -> String {
        self.git_in(arguments, &environment(self.folder.path()))
    }

    /// The same, where the user's configuration is of no effect.
    pub(super) fn git_plainly(&self, arguments: &[&str]) -> String {
        let mut environment = environment(self.folder.path());
        environment.insert("GIT_CONFIG_GLOBAL".into(), "".into());
        environment.insert("HOME".into(), "".into());
        for name in
            ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"]
        {
            environment.insert(name.into(), "a".into());
        }
        self.git_in(arguments, &environment)
    }

    fn git_in(&self, arguments: &[&str], environment: &BTreeMap<OsString, OsString>) -> String {
        let mut command = Command::new("git");
        command.args(arguments).current_dir(self.work("")).env_clear();
        command.envs(environment).stdin(Stdio::null());
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {text}{errors}");
        text.trim().to_owned()
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        let path = self.work(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        RealDisk.write(&path, text.as_bytes()).unwrap();
    }

    /// A hook that the user has for all repositories.
    pub(super) fn hook(&self, name: &str, script: &str) {
        self.write(&format!("hooks/{name}"), &format!("#!/bin/sh\n{script}\n"));
        self.script_rights(&self.work(&format!("hooks/{name}")));
    }

    /// Makes a file a program.
    pub(super) fn script_rights(&self, path: &Path) {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let _ = (self, path);
    }

    /// A file that is none of golive's business.
    pub(super) fn outside(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join("outside").join(name);
        RealDisk.write(&path, text.as_bytes()).unwrap();
        path
    }

    pub(super) fn remove(&self, name: &str) {
        self.git(&["rm", "-r", "--quiet", "--force", "--ignore-unmatch", name]);
        std::fs::remove_file(self.work(name)).ok();
    }

    /// Commits a file with all others that were written, pushes to `main`, and returns the commit.
    pub(super) fn commit(&self, name: &str, text: &str) -> String {
        self.commit_with(name, text, |arguments| self.git(arguments))
    }

    /// The same, where the user's configuration is of no effect.
    pub(super) fn commit_plainly(&self, name: &str, text: &str) -> String {
        self.commit_with(name, text, |arguments| self.git_plainly(arguments))
    }

    fn commit_with(&self, name: &str, text: &str, git: impl Fn(&[&str]) -> String) -> String {
        self.write(name, text);
        git(&["add", "--all"]);
        git(&["commit", "--quiet", "--allow-empty", "-m", "x"]);
        git(&["push", "--quiet", "--force", "origin", "HEAD:main"]);
        git(&["rev-parse", "HEAD"])
    }

    pub(super) fn clone_folder(&self) -> PathBuf {
        self.folder.path().join("golive.status.git")
    }

    /// The checkout.
    pub(super) fn root(&self) -> PathBuf {
        self.clone_folder().join(".tree")
    }

    /// A file of the checkout.
    pub(super) fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.root().join(name)).ok()
    }

    pub(super) async fn open(&self) -> Result<GitSource, GitError> {
        let settings = GitSettings {
            url: self.url.clone().unwrap_or_else(|| self.url()),
            branch: self.branch.clone(),
            dir: self.dir.clone(),
            folder: self.clone_folder(),
            poll: self.poll,
            secrets: vec!["CONTOSO_TOKEN".to_owned()],
        };
        let (service_state, random) =
            (Arc::clone(&self.service_state), fastrand::Rng::with_seed(1));
        GitSource::open_with(settings, self.tools.clone(), service_state, random).await
    }

    pub(super) async fn source(&self) -> GitSource {
        self.open().await.unwrap()
    }

    pub(super) async fn changed(&self, source: &mut GitSource) -> Changed {
        let waited = tokio::time::timeout(PATIENCE, source.changed()).await;
        waited.unwrap_or_else(|_| panic!("nothing changed; {:?}", self.problem()))
    }

    /// Several looks find nothing to tell.
    pub(super) async fn stays_silent(&self, source: &mut GitSource) {
        let waited = tokio::time::timeout(Duration::from_millis(200), source.changed()).await;
        assert_eq!(waited.ok(), None);
    }

    pub(super) fn problem(&self) -> Option<String> {
        self.service_state.service().source_problem
    }

    /// Waits until the board shows a problem with these words, while nothing changes.
    pub(super) async fn until_problem(&self, source: &mut GitSource, words: &str) {
        let shown = async {
            while !self.problem().is_some_and(|problem| problem.contains(words)) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            shown = tokio::time::timeout(PATIENCE, shown) => {
                assert!(shown.is_ok(), "the service_state shows {:?}, not {words:?}", self.problem());
            }
            changed = source.changed() => panic!("{changed:?}, and not {words:?}"),
        }
    }
}

/// No home, no configuration of the machine, and the path to find git.
fn environment(folder: &Path) -> BTreeMap<OsString, OsString> {
    let mut environment: BTreeMap<OsString, OsString> = ["PATH", "SystemRoot"]
        .into_iter()
        .filter_map(|name| Some((name.into(), std::env::var_os(name)?)))
        .collect();
    let home = folder.join("home");
    environment.insert("GIT_CONFIG_GLOBAL".into(), home.join("gitconfig").into());
    environment.insert("GIT_CONFIG_NOSYSTEM".into(), "1".into());
    environment.insert("HOME".into(), home.into());
    environment
}
