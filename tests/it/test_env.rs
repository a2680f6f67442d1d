//! Runs the real program: in its own folder and environment, without a terminal, against an emulator on
//! a free port.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use golive::clock::SystemClock;
use golive::disk::RealDisk;
use golive::emulator::{self, Count, Emulator, Entry, Profile, Seed, SeedDuration};
use golive::marketplace::OfferId;
use golive::status::{OfferRecord, StatusFile, StatusLock};
use pretty_assertions::assert_eq;
use serde_json::Value;
use tempfile::TempDir;

use crate::normalize::normalize;

/// The token of every run; every run checks that no output contains it.
pub(crate) const TOKEN: &str = "super-secret-token-9f2c71d4e8";

/// The default time of an operation's step.
const STEP_TIME: Duration = Duration::from_millis(20);

/// The name of the status file.
pub(crate) const STATUS: &str = "golive.status.json";

/// A folder with manifests, optionally with a marketplace.
pub(crate) struct TestEnv {
    // Dropped first: a server that still answers must not outlive the folder.
    server: Option<Server>,
    /// Kept, so that a replaced marketplace has the same address.
    listener: Option<TcpListener>,
    folder: TempDir,
    env: BTreeMap<String, String>,
}

impl TestEnv {
    /// An empty folder without a marketplace.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("work")).unwrap();
        std::fs::create_dir(folder.path().join("home")).unwrap();
        let env = BTreeMap::from([("GOLIVE_TOKEN".to_owned(), TOKEN.to_owned())]);
        Self { server: None, listener: None, folder, env }
    }

    /// An empty folder and a marketplace with this seed.
    pub(crate) fn with_seed(seed: &str) -> Self {
        let mut env = Self::new();
        env.serve(seed);
        env
    }

    /// Manifests that want these offers of contoso live, and a marketplace with them in preview.
    pub(crate) fn in_preview(offers: &[&str]) -> Self {
        let names: Vec<_> = offers.iter().map(|offer| format!("contoso/{offer}: {{}}")).collect();
        let env = Self::with_seed(&format!("offers: {{{}}}", names.join(", ")));
        for offer in offers {
            env.write(&format!("{offer}.yaml"), live(&format!("contoso/{offer}"), ""));
        }
        env
    }

    /// Starts a marketplace with this seed; replaces the previous one, at the same address.
    pub(crate) fn serve(&mut self, seed: &str) {
        let seed = parse(seed);
        self.server = None;
        let listener =
            self.listener.get_or_insert_with(|| TcpListener::bind("127.0.0.1:0").unwrap());
        let server = Server::start(seed, listener.try_clone().unwrap());
        self.env.insert("GOLIVE_ENDPOINT".to_owned(), format!("http://{}", server.address));
        self.server = Some(server);
    }

    pub(crate) fn emulator(&self) -> &Emulator {
        &self.server.as_ref().unwrap().emulator
    }

    /// The marketplace's address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.server.as_ref().unwrap().address
    }

    /// Sets a variable for all later runs.
    pub(crate) fn set_env(&mut self, name: &str, value: &str) {
        self.env.insert(name.to_owned(), value.to_owned());
    }

    /// Removes a variable for all later runs.
    pub(crate) fn remove_env(&mut self, name: &str) {
        self.env.remove(name);
    }

    /// A path in the program's working directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("work").join(name)
    }

    #[expect(clippy::disallowed_methods, reason = "a test's file needs no flush")]
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn remove(&self, name: &str) {
        std::fs::remove_file(self.path(name)).unwrap();
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// Every file with its content.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(&self.path(""), Path::new(""), &mut files);
        files
    }

    /// Prepares a run of the program; `line` is split at white space.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_golive"));
        command.args(line.split_whitespace()).current_dir(self.path("")).env_clear();
        let home = self.folder.path().join("home");
        command.env("HOME", &home).env("USERPROFILE", &home).env("TMPDIR", &home);
        if let Some(root) = std::env::var_os("SystemRoot") {
            command.env("SystemRoot", root); // Sockets of Windows need it.
        }
        command.envs(&self.env);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the program to its end, and checks that the token doesn't show.
    #[track_caller]
    pub(crate) fn golive(&self, line: &str) -> RunOutput {
        self.wait(self.start(line))
    }

    /// Starts the program.
    pub(crate) fn start(&self, line: &str) -> Child {
        self.command(line).spawn().unwrap()
    }

    /// Waits for the program's end.
    #[track_caller]
    pub(crate) fn wait(&self, child: Child) -> RunOutput {
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            assert!(!text.contains(TOKEN), "the token shows: {text}");
            text
        };
        let raw_stdout = text(output.stdout);
        let status = self.files().remove(STATUS).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&status).contains(TOKEN), "the status has the token");
        RunOutput {
            code: output.status.code(),
            stdout: self.normalize(&raw_stdout),
            raw_stdout,
            stderr: self.normalize(&text(output.stderr)),
        }
    }

    /// Replaces what differs from run to run.
    fn normalize(&self, text: &str) -> String {
        let mut text = normalize(text);
        if let Some(server) = &self.server {
            text = text.replace(&server.address.to_string(), "[SERVER]");
        }
        // The system may know the folder by a longer name.
        let real = self.folder.path().canonicalize().unwrap();
        for folder in [real.as_path(), self.folder.path()] {
            text = text.replace(&folder.join("work").display().to_string(), "[WORK]");
        }
        text
    }

    /// The status file, read by the library.
    pub(crate) fn status(&self) -> StatusFile {
        read_status(&self.path(STATUS))
    }

    /// An offer's record in the status file.
    pub(crate) fn record(&self, offer: &str) -> OfferRecord {
        record_of(self.status(), offer)
    }

    /// How many golives were received and accepted for an offer.
    pub(crate) fn golives(&self, offer: &str) -> (u64, u64) {
        golives_of(self.emulator(), offer)
    }

    /// Every request so far, as `METHOD /path`.
    pub(crate) fn requests(&self) -> Vec<String> {
        requests_of(self.emulator())
    }

    /// The requests that `run` sends.
    pub(crate) fn requests_during<T>(&self, run: impl FnOnce() -> T) -> (T, Vec<String>) {
        let before = self.requests().len();
        let result = run();
        (result, self.requests().split_off(before))
    }

    /// Takes the lock of the status file, as another process with this description would.
    pub(crate) fn hold_lock(&self, holder: &str) -> StatusLock {
        let path = self.path(STATUS);
        let lock = StatusLock::acquire(&RealDisk, &path, Duration::ZERO, holder, &SystemClock);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(lock).unwrap()
    }

    /// Waits until a condition holds, for at most ten seconds.
    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        for _ in 0..2000 {
            if holds(self) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("never: {what}");
    }
}

fn collect(folder: &Path, name: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = name.join(path.file_name().unwrap_or_else(|| OsStr::new("?")));
        if path.is_dir() {
            collect(&path, &name, files);
        } else if let Ok(bytes) = std::fs::read(&path) {
            files.insert(name.display().to_string(), bytes);
        }
    }
}

/// Reads a status file with the library.
pub(crate) fn read_status(path: &Path) -> StatusFile {
    golive::status::parse(path, &std::fs::read(path).unwrap()).unwrap()
}

/// An offer's record in a status file.
pub(crate) fn record_of(mut status: StatusFile, offer: &str) -> OfferRecord {
    let id: OfferId = offer.parse().unwrap();
    let record = status.offers.remove(&id);
    Arc::unwrap_or_clone(record.unwrap_or_else(|| panic!("{offer} is not in the status")))
}

/// How many golives an emulator received and accepted for an offer.
pub(crate) fn golives_of(emulator: &Emulator, offer: &str) -> (u64, u64) {
    let Count { received, accepted } = emulator.journal().golives(offer);
    (received, accepted)
}

/// Every request to an emulator, as `METHOD /path`.
pub(crate) fn requests_of(emulator: &Emulator) -> Vec<String> {
    let line = |entry: &Entry| format!("{} {}", entry.method, entry.path);
    emulator.journal().entries().map(line).collect()
}

/// The result of a run; what differs from run to run is replaced.
pub(crate) struct RunOutput {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    /// Standard output, unchanged.
    pub(crate) raw_stdout: String,
    pub(crate) stderr: String,
}

impl RunOutput {
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.transcript());
        self
    }

    #[track_caller]
    pub(crate) fn stdout(self, text: &str) -> Self {
        assert_eq!(self.stdout, text, "standard error:\n{}", self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn stderr(self, text: &str) -> Self {
        assert_eq!(self.stderr, text, "standard output:\n{}", self.stdout);
        self
    }

    #[track_caller]
    pub(crate) fn stdout_has(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "{text:?} is not in\n{}", self.stdout);
        self
    }

    #[track_caller]
    pub(crate) fn stderr_has(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{text:?} is not in\n{}", self.stderr);
        self
    }

    /// Standard output as one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}\n{}", self.transcript()))
    }

    /// Sorts the lines of the log, whose order isn't fixed: offers are processed concurrently.
    pub(crate) fn sorted(mut self) -> Self {
        let mut lines: Vec<_> = self.stderr.lines().collect();
        lines.sort_unstable();
        self.stderr = lines.join("\n") + "\n";
        self
    }

    /// Exit code and outputs, for a snapshot.
    pub(crate) fn transcript(&self) -> String {
        let Self { code, stdout, stderr, .. } = self;
        let code = code.map_or_else(|| "by a signal".to_owned(), |code| code.to_string());
        format!("exit: {code}\n──── stdout\n{stdout}──── stderr\n{stderr}────")
    }
}

/// A manifest.
pub(crate) fn manifest(offer: &str, state: &str, more: &str) -> String {
    let (publisher, id) = offer.split_once('/').unwrap();
    let end = if more.is_empty() || more.ends_with('\n') { "" } else { "\n" };
    format!("publisher: {publisher}\noffer: {id}\nstate: {state}\n{more}{end}")
}

/// A manifest that wants an offer live.
pub(crate) fn live(offer: &str, more: &str) -> String {
    manifest(offer, "live", more)
}

#[track_caller]
pub(crate) fn parse(seed: &str) -> Seed {
    let root = |error: &dyn std::error::Error| {
        error.source().map_or_else(|| error.to_string(), ToString::to_string)
    };
    // Most tests expect the documented answers; the simulation covers the field profile.
    let is_chosen = seed.contains("profile:") || seed.trim().is_empty();
    let mut seed = emulator::parse(seed).unwrap_or_else(|error| panic!("{}", root(&error)));
    if !is_chosen {
        seed.profile = Profile::Documented;
    }
    seed
}

/// An emulator on a socket, on its own thread.
struct Server {
    emulator: Emulator,
    address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(mut seed: Seed, listener: TcpListener) -> Self {
        if seed.step_time == Seed::default().step_time {
            seed.step_time = SeedDuration(STEP_TIME);
        }
        let emulator = Emulator::new(seed, Arc::new(SystemClock));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = {
            let _entered = runtime.enter();
            tokio::net::TcpListener::from_std(listener).unwrap()
        };
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let server = emulator.clone();
        let thread = std::thread::spawn(move || {
            let stopped = async { drop(stopped.await) };
            runtime.block_on(emulator::serve(server, listener, stopped)).unwrap();
        });
        Self { emulator, address, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
