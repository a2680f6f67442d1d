//! One run of git: its environment, its time, its output, its end.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

use super::error::GitError;
use super::remote::Remote;
use crate::marketplace::clean_line;

/// How much of what git prints is kept. The end says why it failed.
const KEPT: usize = 16 * 1024;

/// How many lines of that are shown.
const LINES: usize = 4;

/// How long a program that git left behind may hold its output open. One that ssh keeps for the next
/// connection does so for minutes.
const AFTERMATH: Duration = Duration::from_millis(500);

/// Hands user name and password to git, and to nobody who wants to store or erase them.
const HELPER: &str = "!f() { if test \"$1\" = get; then \
     printf 'username=%s\\npassword=%s\\n' \"$WATCHED_USER\" \"$WATCHED_PASSWORD\"; fi; }; f";

/// What of git's own variables would make it work elsewhere than in the clone.
const ELSEWHERE: [&str; 12] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_GRAFT_FILE",
    "GIT_CONFIG",
    "GIT_TEMPLATE_DIR",
];

/// What systemd says to golive alone. A child that answered in its place would keep it alive.
const OF_SYSTEMD: [&str; 6] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
];

/// Which git is run, and how.
#[derive(Clone, Debug)]
pub(super) struct Tools {
    /// The program.
    pub(super) program: PathBuf,
    /// The environment of golive.
    pub(super) environment: BTreeMap<OsString, OsString>,
    /// How long a run may take that works on this machine alone.
    pub(super) patience: Duration,
    /// How long a fetch may take. That it is silent is bounded otherwise, so that a large repository
    /// has the time that it needs.
    pub(super) fetch_patience: Duration,
}

impl Tools {
    /// The git on the path, with the environment of this process.
    pub(super) fn of_this_process() -> Self {
        Self {
            program: PathBuf::from("git"),
            environment: std::env::vars_os().collect(),
            patience: Duration::from_mins(2),
            fetch_patience: Duration::from_mins(30),
        }
    }
}

/// Runs git in one clone.
pub(super) struct Git {
    program: PathBuf,
    environment: BTreeMap<OsString, OsString>,
    patience: Duration,
    fetch_patience: Duration,
    remote: Remote,
    /// The repository, absolute.
    repository: PathBuf,
}

impl Git {
    pub(super) fn new(tools: Tools, remote: Remote, repository: &Path) -> Self {
        let Tools { program, environment, patience, fetch_patience } = tools;
        let environment = prepared(environment, &remote, repository);
        let repository = repository.to_owned();
        Self { program, environment, patience, fetch_patience, remote, repository }
    }

    /// Sets a variable of every run from now on, unless it is set.
    pub(super) fn default_variable(&mut self, name: &str, value: &str) {
        self.environment.entry(name.into()).or_insert_with(|| value.into());
    }

    /// Whether a variable is set.
    pub(super) fn has_variable(&self, name: &str) -> bool {
        self.environment.contains_key(OsStr::new(name))
    }

    /// How git is started in the clone.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        let mut option = OsString::from("--git-dir=");
        option.push(&self.repository);
        command.arg(option).args(arguments).env_clear().envs(&self.environment);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        // So that all that git started can be ended with it.
        #[cfg(unix)]
        command.process_group(0);
        command
    }

    /// Runs git to its end. `what` names the command in errors.
    pub(super) async fn run(
        &self,
        what: &'static str,
        arguments: &[&str],
    ) -> Result<String, GitError> {
        self.finish(what, self.command(arguments), self.patience).await
    }

    /// Runs a fetch to its end.
    pub(super) async fn run_fetch(&self, arguments: &[&str]) -> Result<String, GitError> {
        self.finish("fetch", self.command(arguments), self.fetch_patience).await
    }

    /// The same, for a command that changes files of the clone: it holds the clone's lock as its
    /// standard input, so that it is still locked if golive is killed and git is not.
    pub(super) async fn run_locked(
        &self,
        what: &'static str,
        arguments: &[&OsStr],
        lock: &File,
    ) -> Result<String, GitError> {
        let mut command = self.command(&[]);
        let stdin = lock.try_clone().map_err(GitError::Start)?;
        command.args(arguments).stdin(stdin);
        self.finish(what, command, self.patience).await
    }

    async fn finish(
        &self,
        what: &'static str,
        command: Command,
        patience: Duration,
    ) -> Result<String, GitError> {
        let ended = tokio::time::timeout(patience, self.end(command)).await;
        let Ok(ended) = ended else {
            return Err(GitError::TimedOut { what, after: patience });
        };
        let (status, stdout, stderr) = ended?;
        if status.success() {
            return Ok(stdout);
        }
        let said = self.said(&stderr);
        let said = if said.is_empty() { format!("nothing ({status})") } else { said };
        Err(GitError::Failed { what, said })
    }

    async fn end(&self, mut command: Command) -> Result<(ExitStatus, String, String), GitError> {
        let child = command.spawn().map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                return GitError::Missing(self.program.clone());
            }
            GitError::Start(error)
        })?;
        let mut running = Running::new(child);
        let (mut stdout, mut stderr) = (Tail::default(), Tail::default());
        let status = running.wait(&mut stdout, &mut stderr).await;
        Ok((status.map_err(GitError::Start)?, stdout.text(), stderr.text()))
    }

    /// What git said of a failure, in one line that may be shown.
    fn said(&self, stderr: &str) -> String {
        let told = |line: &&str| !line.is_empty() && !line.starts_with("hint:");
        let lines: Vec<&str> = stderr.lines().map(str::trim).filter(told).collect();
        let last = lines[lines.len().saturating_sub(LINES)..].join("; ");
        self.remote.scrub(&clean_line(&self.remote.scrub(&last)))
    }
}

/// A child that is ended with all it started, unless it ended by itself.
struct Running {
    child: Child,
    #[cfg(unix)]
    group: Option<rustix::process::Pid>,
}

impl Running {
    fn new(child: Child) -> Self {
        #[cfg(unix)]
        let group = child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
        Self {
            child,
            #[cfg(unix)]
            group,
        }
    }

    async fn wait(&mut self, out: &mut Tail, err: &mut Tail) -> io::Result<ExitStatus> {
        let (stdout, stderr) = (self.child.stdout.take(), self.child.stderr.take());
        let mut reading =
            std::pin::pin!(async { tokio::join!(out.read(stdout), err.read(stderr)) });
        let status = tokio::select! {
            status = self.child.wait() => {
                self.forget();
                // What is still in the pipes comes at once; who else holds them open is not awaited.
                drop(tokio::time::timeout(AFTERMATH, &mut reading).await);
                return status;
            }
            _ = &mut reading => self.child.wait().await,
        };
        self.forget();
        status
    }

    /// It has ended: its group's number may soon be another's.
    fn forget(&mut self) {
        #[cfg(unix)]
        {
            self.group = None;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(group) = self.group {
            // It may have ended just now. It was not waited for, so that the number is still its own.
            rustix::process::kill_process_group(group, rustix::process::Signal::KILL).ok();
        }
    }
}

/// The end of what a program prints.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    async fn read(&mut self, from: Option<impl AsyncRead + Unpin>) {
        let Some(mut from) = from else { return };
        let mut buffer = [0; 4096];
        // A pipe that can't be read any more has no more to say.
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            self.0.extend_from_slice(&buffer[..count]);
            if self.0.len() > 2 * KEPT {
                self.0.drain(..self.0.len() - KEPT);
            }
        }
    }

    fn text(&self) -> String {
        let mut kept = &self.0[self.0.len().saturating_sub(KEPT)..];
        if kept.len() == KEPT {
            // The half of a line may be the half of a password, which nobody would know for one.
            let end = kept.iter().position(|byte| *byte == b'\n');
            kept = &kept[end.unwrap_or(kept.len())..];
        }
        String::from_utf8_lossy(kept).into_owned()
    }
}

/// The environment of git: that of golive, without what is golive's alone, and with what keeps git
/// from asking people, from running programs of the repository, and from writing elsewhere.
fn prepared(
    mut environment: BTreeMap<OsString, OsString>,
    remote: &Remote,
    repository: &Path,
) -> BTreeMap<OsString, OsString> {
    environment.retain(|name, _| {
        let name = name.to_string_lossy().to_ascii_uppercase();
        let is = |known: &[&str]| known.contains(&name.as_str());
        !name.starts_with("GOLIVE_") && !is(&ELSEWHERE) && !is(&OF_SYSTEMD)
    });
    let mut set = |name: &str, value: OsString| environment.insert(name.into(), value);
    set("LC_ALL", "C".into());
    set("GIT_TERMINAL_PROMPT", "0".into());
    set("GIT_ALLOW_PROTOCOL", remote.protocols.into());
    set("GIT_OPTIONAL_LOCKS", "0".into());
    if let Some(login) = &remote.login {
        set("WATCHED_USER", login.user.clone().into());
        set("WATCHED_PASSWORD", login.password.clone().unwrap_or_default().into());
    }
    environment.entry("GCM_INTERACTIVE".into()).or_insert_with(|| "never".into());
    configure(&mut environment, settings(remote, repository));
    environment
}

/// The configuration of every run, over that of the user.
fn settings(remote: &Remote, repository: &Path) -> Vec<(String, OsString)> {
    let mut settings: Vec<(String, OsString)> = [
        // A link of the repository becomes a file that names its target, and leads nowhere.
        ("core.symlinks", "false"),
        // What is read is what was committed.
        ("core.autocrlf", "false"),
        ("core.sparseCheckout", "false"),
        ("core.splitIndex", "false"),
        ("submodule.recurse", "false"),
        // Nothing stays behind in the background.
        ("core.fsmonitor", "false"),
        ("gc.autoDetach", "false"),
        ("maintenance.autoDetach", "false"),
        // Old commits are not kept.
        ("core.logAllRefUpdates", "false"),
        ("credential.interactive", "false"),
    ]
    .map(|(key, value)| (key.to_owned(), value.into()))
    .into();
    // There is no such folder, and so no hook.
    settings.push(("core.hooksPath".to_owned(), repository.join("no-hooks").into()));
    if let Some(login) = &remote.login {
        let key = |name: &str| format!("credential.{}.{name}", login.origin);
        settings.push((key("username"), login.user.clone().into()));
        if login.password.is_some() {
            // The empty one takes those of the user away: what stands in the URL is what counts.
            settings.push((key("helper"), OsString::new()));
            settings.push((key("helper"), HELPER.into()));
        }
    }
    settings
}

/// Adds configuration to what the environment may have already.
fn configure(environment: &mut BTreeMap<OsString, OsString>, settings: Vec<(String, OsString)>) {
    let count = environment.get(OsStr::new("GIT_CONFIG_COUNT"));
    let mut count: usize = count.and_then(|text| text.to_str()?.parse().ok()).unwrap_or_default();
    for (key, value) in settings {
        environment.insert(format!("GIT_CONFIG_KEY_{count}").into(), key.into());
        environment.insert(format!("GIT_CONFIG_VALUE_{count}").into(), value);
        count += 1;
    }
    environment.insert("GIT_CONFIG_COUNT".into(), count.to_string().into());
}
