//! One run of git: its timeout, its output, its end.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

use super::environment::{Environment, UsersConfiguration, Variables};
use super::error::GitError;
use super::remote::Remote;
use super::said::Said;
use crate::disk::{Disk as _, RealDisk};

/// Limit for the output of git that is kept, in bytes: far more than any output golive needs.
const MOST: usize = 4 * 1024 * 1024;

/// How long a program that git left behind may hold the output open. The one that ssh keeps for the
/// next connection does so for minutes.
const AFTERMATH: Duration = Duration::from_millis(500);

/// The git program and its limits.
#[derive(Clone, Debug)]
pub(super) struct Tools {
    /// The path of git.
    pub(super) program: PathBuf,
    /// golive's environment.
    pub(super) environment: Variables,
    /// Timeout for a command without network.
    pub(super) patience: Duration,
    /// Timeout for a fetch. A silent one is bounded separately, so that a large repository has the
    /// time it needs.
    pub(super) fetch_patience: Duration,
}

impl Tools {
    /// git from `PATH`, with this process's environment.
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
    environment: Environment,
    patience: Duration,
    fetch_patience: Duration,
    remote: Remote,
    /// The repository, absolute.
    repository: PathBuf,
    /// The file that replaces the user's `~/.gitconfig`.
    global: PathBuf,
}

impl Git {
    /// `global` is the file that replaces the user's `~/.gitconfig`.
    pub(super) fn new(tools: Tools, remote: Remote, repository: &Path, global: PathBuf) -> Self {
        let Tools { program, environment, patience, fetch_patience } = tools;
        let environment = Environment::new(environment, &remote, repository, &global);
        let repository = repository.to_owned();
        Self { program, environment, patience, fetch_patience, remote, repository, global }
    }

    /// The command line for git in the clone.
    fn command(&self, arguments: &[&str], variables: &Variables) -> Command {
        let mut command = Command::new(&self.program);
        let mut option = OsString::from("--git-dir=");
        option.push(&self.repository);
        command.arg(option).args(arguments).env_clear().envs(variables);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        // A process group, so that all children of git can be killed with it.
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
        self.finish(what, self.command(arguments, &self.environment.local()), self.patience).await
    }

    /// Runs a command that reaches the remote to its end.
    pub(super) async fn run_remote(
        &self,
        what: &'static str,
        arguments: &[&str],
    ) -> Result<String, GitError> {
        let command = self.command(arguments, &self.remote_variables().await?);
        self.finish(what, command, self.fetch_patience).await
    }

    /// The environment of a command that reaches the remote. The user's configuration is read each
    /// time: a token in it may have changed.
    pub(super) async fn remote_variables(&self) -> Result<Variables, GitError> {
        let list = ["config", "--list", "--includes", "--null"];
        let command = self.command(&list, self.environment.reading());
        let listed = self.finish("config", command, self.patience).await?;
        let users = UsersConfiguration::parse(&listed);
        let (path, text) = (&self.global, users.file());
        let now = RealDisk.read(path).map_err(GitError::files("read", path))?;
        match text {
            Some(text) if now.as_deref() != Some(text.as_bytes()) => {
                RealDisk.write(path, text.as_bytes()).map_err(GitError::files("write", path))?;
            }
            None if now.is_some() => {
                RealDisk.remove(path).map_err(GitError::files("remove", path))?;
            }
            Some(_) | None => {}
        }
        Ok(self.environment.remote(&users))
    }

    /// Like [`Self::run`], for a command that changes files of the clone: its standard input is the
    /// clone's lock, so that the clone stays locked if golive is killed and git isn't.
    pub(super) async fn run_locked(
        &self,
        what: &'static str,
        arguments: &[&OsStr],
        lock: &File,
    ) -> Result<String, GitError> {
        let mut command = self.command(&[], &self.environment.local());
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
        let (status, stdout, said) = ended?;
        if status.success() {
            return Ok(stdout);
        }
        let said = said.sentence(&self.remote);
        let said = if said.is_empty() { format!("nothing ({status})") } else { said };
        Err(GitError::Failed { what, said })
    }

    async fn end(&self, mut command: Command) -> Result<(ExitStatus, String, Said), GitError> {
        let child = command.spawn().map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                return GitError::Missing(self.program.clone());
            }
            GitError::Start(error)
        })?;
        let mut running = Running::new(child);
        let (mut stdout, mut said) = (Vec::new(), Said::default());
        let status = running.wait(&mut stdout, &mut said).await;
        let stdout = String::from_utf8_lossy(&stdout).into_owned();
        Ok((status.map_err(GitError::Start)?, stdout, said))
    }
}

/// A child process; dropping it kills the whole process group, unless it has ended.
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

    async fn wait(&mut self, out: &mut Vec<u8>, said: &mut Said) -> io::Result<ExitStatus> {
        let (stdout, stderr) = (self.child.stdout.take(), self.child.stderr.take());
        let keep = |bytes: &[u8]| {
            let room = MOST.saturating_sub(out.len());
            out.extend_from_slice(&bytes[..bytes.len().min(room)]);
        };
        let reading =
            async { tokio::join!(read(stdout, keep), read(stderr, |bytes| said.hear(bytes))) };
        let mut reading = std::pin::pin!(reading);
        let status = tokio::select! {
            status = self.child.wait() => {
                self.forget();
                // The rest in the pipes arrives at once; don't wait for other processes that hold
                // them open.
                drop(tokio::time::timeout(AFTERMATH, &mut reading).await);
                return status;
            }
            _ = &mut reading => self.child.wait().await,
        };
        self.forget();
        status
    }

    /// The child has ended: its group's number may be reused.
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
            // The child may have just ended. It was not waited for, so the number can't be reused
            // yet.
            rustix::process::kill_process_group(group, rustix::process::Signal::KILL).ok();
        }
    }
}

/// Reads all output of a program.
async fn read(from: Option<impl AsyncRead + Unpin>, mut hear: impl FnMut(&[u8])) {
    let Some(mut from) = from else { return };
    let mut buffer = [0; 4096];
    // A pipe that fails has no more output.
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        hear(&buffer[..count]);
    }
}
