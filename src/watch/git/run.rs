//! One run of git: its time, its output, its end.

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

/// How much of what git answers is kept: far more than any answer that golive asks for.
const MOST: usize = 4 * 1024 * 1024;

/// How long a program that git left behind may hold its output open. One that ssh keeps for the next
/// connection does so for minutes.
const AFTERMATH: Duration = Duration::from_millis(500);

/// Which git is run, and how.
#[derive(Clone, Debug)]
pub(super) struct Tools {
    /// The program.
    pub(super) program: PathBuf,
    /// The environment of golive.
    pub(super) environment: Variables,
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
    environment: Environment,
    patience: Duration,
    fetch_patience: Duration,
    remote: Remote,
    /// The repository, absolute.
    repository: PathBuf,
    /// The file in the place of the user's `~/.gitconfig`.
    global: PathBuf,
}

impl Git {
    /// `global` is the file in the place of the user's `~/.gitconfig`.
    pub(super) fn new(tools: Tools, remote: Remote, repository: &Path, global: PathBuf) -> Self {
        let Tools { program, environment, patience, fetch_patience } = tools;
        let environment = Environment::new(environment, &remote, repository, &global);
        let repository = repository.to_owned();
        Self { program, environment, patience, fetch_patience, remote, repository, global }
    }

    /// How git is started in the clone.
    fn command(&self, arguments: &[&str], variables: &Variables) -> Command {
        let mut command = Command::new(&self.program);
        let mut option = OsString::from("--git-dir=");
        option.push(&self.repository);
        command.arg(option).args(arguments).env_clear().envs(variables);
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
        self.finish(what, self.command(arguments, &self.environment.local()), self.patience).await
    }

    /// Runs a command that asks the remote to its end.
    pub(super) async fn run_remote(
        &self,
        what: &'static str,
        arguments: &[&str],
    ) -> Result<String, GitError> {
        let command = self.command(arguments, &self.remote_variables().await?);
        self.finish(what, command, self.fetch_patience).await
    }

    /// What a command that asks the remote runs in. The user's configuration is read each time: a
    /// token in it may be a new one.
    pub(super) async fn remote_variables(&self) -> Result<Variables, GitError> {
        let list = ["config", "--list", "--includes", "--null"];
        let command = self.command(&list, self.environment.reading());
        let listed = self.finish("config", command, self.patience).await?;
        let users = UsersConfiguration::parse(&listed);
        let (path, text) = (&self.global, users.file());
        let now = RealDisk.read(path).map_err(GitError::files("read", path))?;
        match text {
            Some(text) if now.as_deref() != Some(text.as_bytes()) => {
                RealDisk.write(path, &[text.as_bytes()]).map_err(GitError::files("write", path))?;
            }
            None if now.is_some() => {
                RealDisk.remove(path).map_err(GitError::files("remove", path))?;
            }
            Some(_) | None => {}
        }
        Ok(self.environment.remote(&users))
    }

    /// The same as [`Self::run`], for a command that changes files of the clone: it holds the clone's
    /// lock as its standard input, so that it is still locked if golive is killed and git is not.
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

/// Reads all that a program prints.
async fn read(from: Option<impl AsyncRead + Unpin>, mut hear: impl FnMut(&[u8])) {
    let Some(mut from) = from else { return };
    let mut buffer = [0; 4096];
    // A pipe that can't be read any more has no more to say.
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        hear(&buffer[..count]);
    }
}
