//! The real service: a process with real files, signals and a socket.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use golive::emulator::ManualAction;
use golive::status::Phase;
use pretty_assertions::assert_eq;
use serde_json::Value;

use crate::test_env::{STATUS, TOKEN, TestEnv, live, manifest};

/// A running service, and its log.
pub(crate) struct Service {
    child: Child,
    lines: Arc<Mutex<Vec<Value>>>,
    reader: Option<JoinHandle<()>>,
}

impl Service {
    /// Starts a service with a JSON log.
    fn start(env: &TestEnv, line: &str) -> Self {
        let mut child = env.start(&format!("watch --log-format json {line}"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (stderr, log) = (child.stderr.take().unwrap(), Arc::clone(&lines));
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                assert!(!line.contains(TOKEN), "the token shows: {line}");
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                log.lock().unwrap().push(line);
            }
        });
        Self { child, lines, reader: Some(reader) }
    }

    /// Starts a service and waits until it is ready.
    #[track_caller]
    pub(crate) fn ready(env: &TestEnv, line: &str) -> Self {
        let service = Self::start(env, line);
        service.wait_for_log("the service is ready");
        service
    }

    fn log(&self) -> Vec<Value> {
        self.lines.lock().unwrap().clone()
    }

    fn find(&self, text: &str) -> Option<Value> {
        self.log().into_iter().find(|line| line.to_string().contains(text))
    }

    /// Waits for a log line, for at most ten seconds.
    #[track_caller]
    pub(crate) fn wait_for_log(&self, text: &str) -> Value {
        for _ in 0..2000 {
            if let Some(line) = self.find(text) {
                return line;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("never logged: {text}; but: {:#?}", self.log());
    }

    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Waits for its end. Returns the exit code and the time.
    #[expect(clippy::disallowed_methods, reason = "how long it takes is what is tested")]
    fn ends(&mut self) -> (Option<i32>, Duration) {
        let since = Instant::now();
        let code = self.child.wait().unwrap().code();
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        (code, since.elapsed())
    }

    /// Stops it as a supervisor does.
    #[track_caller]
    pub(crate) fn stop(mut self) {
        self.signal("-TERM");
        let (code, took) = self.ends();
        assert_eq!(code, Some(0), "{:#?}", self.log());
        assert!(took < Duration::from_secs(8), "{took:?}");
    }

    /// The address it listens on.
    #[track_caller]
    pub(crate) fn address(&self) -> SocketAddr {
        let line = self.wait_for_log("the page is at");
        line["address"].as_str().unwrap().parse().unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Sends one request. Returns the status and the whole answer.
fn exchange(address: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.replace('\n', "\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("{answer}")), answer)
}

pub(crate) fn get(address: SocketAddr, path: &str) -> (u16, String) {
    exchange(address, &format!("GET {path} HTTP/1.1\nHost: {address}\nConnection: close\n\n"))
}

#[test]
fn it_launches_committed_manifests_and_stops_with_the_status_on_disk() {
    for signal in ["-TERM", "-INT"] {
        let env = TestEnv::with_seed("offers: {contoso/a: {}, contoso/b: {stepTime: 1h}}");
        env.write("a.yaml", live("contoso/a", ""));
        let mut service = Service::ready(&env, "--poll 10ms --poll-max 50ms");
        service.wait_for_log("version 1 is live");
        env.write("b.yaml", live("contoso/b", ""));
        env.wait_until("the new one is launched", |env| env.golives("contoso/b") == (1, 1));
        service.wait_for_log("contoso/b: golive runs: Live, 0 %");
        service.signal(signal);
        let (code, took) = service.ends();
        assert_eq!(code, Some(0));
        assert!(took < Duration::from_secs(8), "{took:?}");
        assert_eq!(env.record("contoso/a").phase, Phase::Live);
        assert!(env.record("contoso/b").running().is_some());
        assert_eq!(env.golives("contoso/a"), (1, 1));
    }
}

#[test]
fn a_second_service_names_the_first_one() {
    let env = TestEnv::in_preview(&["vm"]);
    let service = Service::ready(&env, "");
    for second in ["watch --lock-timeout 0s", "apply --lock-timeout 0s"] {
        let log = format!("golive watch, process {}, since", service.child.id());
        env.golive(second).code(1).stderr_has(&log);
    }
    service.stop();
    env.golive("apply").code(0);
}

#[test]
fn a_hangup_reconciles_now() {
    let env = TestEnv::with_seed("offers: {contoso/vm: {status: Succeeded}}");
    env.write("vm.yaml", live("contoso/vm", ""));
    let service = Service::ready(&env, "--resync 1h");
    env.emulator().by_hand("contoso/vm", ManualAction::Publish).unwrap();
    service.signal("-HUP");
    env.wait_until("golive is received", |env| env.golives("contoso/vm") == (1, 1));
    service.stop();
}

#[test]
fn a_broken_manifest_affects_only_its_own_offers() {
    let env = TestEnv::with_seed("offers: {contoso/a: {}, contoso/b: {}}");
    env.write("a.yaml", live("contoso/a", ""));
    env.write("b.yaml", "publisher: contoso\noffer: b\nsate: live\n");
    env.golive("apply").code(1).stderr_has("b.yaml:3:1: unknown field");
    let service = Service::start(&env, "--poll 10ms");
    let line = service.wait_for_log("unknown field");
    assert_eq!((&line["line"], &line["level"]), (&Value::from(3), &Value::from("ERROR")));
    env.wait_until("the other one is launched", |env| env.golives("contoso/a") == (1, 1));
    env.write("b.yaml", live("contoso/b", ""));
    env.wait_until("the fixed one is launched", |env| env.golives("contoso/b") == (1, 1));
    service.wait_for_log("nothing is wrong with it any more");
    // If a valid manifest breaks later, its last valid version stays in force.
    env.write("b.yaml", "publisher: contoso\noffer: b\nstate: [live\n");
    service.wait_for_log("invalid YAML");
    service.signal("-HUP");
    service.wait_for_log("asked to reconcile now");
    env.wait_until("the offer is launched all the same", |env| {
        env.record("contoso/b").phase == Phase::Live
    });
    let log = service.log();
    let problems: Vec<_> = log.iter().filter(|line| line["level"] == "ERROR").collect();
    let texts: BTreeSet<_> = problems.iter().map(|line| line["message"].to_string()).collect();
    assert_eq!(problems.len(), texts.len(), "each is logged once: {problems:#?}");
    service.stop();
}

#[cfg(unix)]
#[test]
fn a_supervisor_is_notified_of_ready_and_stop() {
    let mut env = TestEnv::with_seed("offers: {contoso/a: {}}");
    let socket = std::os::unix::net::UnixDatagram::bind(env.path("notify")).unwrap();
    env.set_env("NOTIFY_SOCKET", env.path("notify").to_str().unwrap());
    env.write("a.yaml", live("contoso/a", ""));
    env.emulator().add_fault(
        serde_yaml::from_str("{path: '*/offers', count: 9, action: {delay: 500ms}}").unwrap(),
    );
    let heard = || {
        let mut buffer = [0; 64];
        let count = socket.recv(&mut buffer).unwrap_or_default();
        String::from_utf8(buffer[..count].to_vec()).unwrap()
    };
    let service = Service::start(&env, "--poll 10ms");
    service.wait_for_log("watching");
    socket.set_nonblocking(true).unwrap();
    assert_eq!(heard(), "", "it has not looked yet");
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert_eq!(heard(), "READY=1\n");
    service.wait_for_log("the service is ready");
    service.stop();
    assert_eq!(heard(), "STOPPING=1\n");
}

/// Runs git in a repository, without this machine's configuration.
fn git(repository: &std::path::Path, arguments: &[&str]) {
    let mut command = Command::new("git");
    command.current_dir(repository).args(["-c", "user.name=a", "-c", "user.email=a@example.com"]);
    command.args(arguments).env("GIT_CONFIG_GLOBAL", "").env("GIT_CONFIG_NOSYSTEM", "1");
    let output = command.output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
}

#[test]
fn files_are_named_relative_to_their_repository() {
    if Command::new("git").arg("--version").output().is_err() {
        println!("SKIPPED: there is no git on this machine");
        return;
    }
    let env = TestEnv::with_seed("offers: {contoso/a: {}, contoso/b: {}, contoso/c: {}}");
    env.write("remote/offers/a.yaml", live("contoso/a", ""));
    env.write("remote/offers/broken.yaml", "publisher: contoso\noffer: [\n");
    env.write("remote/offers/c.yaml", live("contoso/c", ""));
    env.write("remote/offers/twice.yaml", live("contoso/c", ""));
    let remote = env.path("remote");
    let commit = || {
        git(&remote, &["add", "--all"]);
        git(&remote, &["commit", "--quiet", "-m", "x"]);
    };
    git(&remote, &["init", "--quiet", "--initial-branch=main"]);
    commit();
    let line = "--git remote --dir offers --git-poll 1s --listen 0 --poll 10ms";
    let service = Service::ready(&env, line);
    let entry = service.wait_for_log("offers/broken.yaml:");
    assert_eq!(entry["file"], "offers/broken.yaml", "{entry}");
    assert!(entry["commit"].as_str().is_some_and(|commit| commit.len() >= 40), "{entry}");
    let entry = service.wait_for_log("first defined");
    assert!(entry["related"].to_string().contains(" at offers/"), "{entry}");
    service.wait_for_log("contoso/a: version 1 is live");
    assert_eq!(env.record("contoso/a").manifest.file, "offers/a.yaml");
    assert_eq!(env.golives("contoso/c"), (0, 0), "none of two manifests is in force");
    let (_, page) = get(service.address(), "/");
    assert!(page.contains("<code>offers/broken.yaml:"), "{page}");

    // The record names the manifest's file in the repository.
    env.write("remote/offers/broken.yaml", live("contoso/b", ""));
    env.remove("remote/offers/a.yaml");
    env.remove("remote/offers/twice.yaml");
    commit();
    let fixed = service.wait_for_log("offers/broken.yaml: nothing is wrong with it any more");
    assert_eq!(fixed["file"], "offers/broken.yaml", "{fixed}");
    env.wait_until("the offer leaves the status file", |env| {
        !env.status().offers.contains_key(&"contoso/a".parse().unwrap())
    });
    let log = service.log();
    let in_clone = |line: &&Value| line.to_string().contains(".tree");
    assert_eq!(log.iter().filter(in_clone).collect::<Vec<_>>(), Vec::<&Value>::new());
    let (_, page) = get(service.address(), "/offers/contoso/b");
    assert!(page.contains("<code>offers/broken.yaml</code>") && !page.contains(".tree"), "{page}");
    service.stop();
}

#[test]
fn repeated_kills_cause_one_golive() {
    let env = TestEnv::with_seed("offers: {contoso/vm: {stepTime: 1h}}");
    env.write("vm.yaml", live("contoso/vm", ""));
    for _ in 0..10 {
        let mut service = Service::ready(&env, "--poll 10ms --settle 1s");
        env.wait_until("it is on record", |env| {
            env.exists(STATUS) && env.record("contoso/vm").running().is_some()
        });
        service.child.kill().unwrap();
        service.ends();
    }
    env.emulator().by_hand("contoso/vm", ManualAction::Finish).unwrap();
    let service = Service::ready(&env, "--poll 10ms");
    service.wait_for_log("version 1 is live");
    service.stop();
    assert_eq!(env.golives("contoso/vm"), (1, 1));
}

#[test]
fn the_page_is_read_only_and_local() {
    let env = TestEnv::in_preview(&["vm"]);
    let service = Service::ready(&env, "--listen 0");
    let address = service.address();
    assert!(address.ip().is_loopback());
    for path in ["/", "/offers/contoso/vm", "/api/status", "/metrics", "/healthz", "/readyz"] {
        let (status, answer) = get(address, path);
        assert_eq!(status, 200, "{path}: {answer}");
        assert!(!answer.contains(TOKEN), "{path}");
    }
    let (_, answer) = get(address, "/api/status");
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    assert!(body.contains("contoso/vm"), "{body}");
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let head = format!("{method} /offers/contoso/vm HTTP/1.1\nHost: {address}\n");
        let request = format!("{head}Content-Length: 0\nConnection: close\n\n");
        assert_eq!(exchange(address, &request).0, 405, "{method}");
    }
    let foreign = "GET / HTTP/1.1\nHost: evil.example\nConnection: close\n\n";
    assert_eq!(exchange(address, foreign).0, 421);
    service.stop();
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_used_address_is_an_immediate_error() {
    let env = TestEnv::in_preview(&["vm"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let line = format!("watch --listen {address}");
    env.golive(&line).code(1).stderr_has("cannot listen on");
    assert_eq!(env.golives("contoso/vm"), (0, 0));
}

#[test]
fn invalid_options_are_reported_before_anything_is_done() {
    let env = TestEnv::in_preview(&["vm"]);
    for line in [
        "watch --allow-host golive.internal",
        "watch --branch main",
        "watch offers --git https://git.example/offers",
        "watch --resync 10ms",
        "watch --listen everywhere",
    ] {
        env.golive(line).code(64);
    }
    assert_eq!(env.requests().len(), 0);
}

#[test]
fn the_embedded_marketplace_gets_offers_committed_later() {
    let env = TestEnv::new();
    env.write("a.yaml", live("contoso/a", ""));
    let service = Service::ready(&env, "--emulator --poll 10ms");
    env.write("b.yaml", live("contoso/b", ""));
    let status =
        || -> Value { serde_json::from_str(&env.read("golive.emulator.status.json")).unwrap() };
    service.wait_for_log("contoso/b: golive runs");
    env.wait_until("the offer is live", |_| status()["offers"]["contoso/b"]["phase"] == "Live");
    service.stop();
    // A second service starts from the state that the first one left.
    let again = Service::ready(&env, "--emulator");
    again.stop();
    assert_eq!(status()["offers"]["contoso/b"]["attempts"], 1);
}

/// Offers of contoso in preview that should stay there.
fn many_previews(count: usize) -> TestEnv {
    let mut env = TestEnv::new();
    let names: Vec<_> = (0..count).map(|number| format!("contoso/vm-{number}")).collect();
    let seeds: Vec<_> = names.iter().map(|name| format!("{name}: {{}}")).collect();
    env.serve(&format!("offers: {{{}}}", seeds.join(", ")));
    for (number, name) in names.iter().enumerate() {
        env.write(&format!("{number}.yaml"), manifest(name, "preview", ""));
    }
    env
}

#[test]
fn an_outage_is_logged_once_and_not_per_offer() {
    let env = many_previews(30);
    let service = Service::ready(&env, "--resync 1h");
    let before = service.log().len();
    let rule = "{path: '*/offers', action: {status: 400}}";
    env.emulator().add_fault(serde_yaml::from_str(rule).unwrap());
    service.signal("-HUP");
    service.wait_for_log("contoso can't be listed");
    service.wait_for_log("contoso can be listed again");
    let log = service.log().split_off(before);
    assert_eq!(log.len(), 3, "{log:#?}");
    service.stop();
}

#[test]
fn an_outage_at_the_start_is_logged_once_and_each_offer_is_recorded() {
    let env = many_previews(30);
    let rule = "{path: '*/offers', count: 2, action: {status: 400}}";
    env.emulator().add_fault(serde_yaml::from_str(rule).unwrap());
    let service = Service::ready(&env, "--resync 1h --listen 0");
    let (_, metrics) = get(service.address(), "/metrics");
    assert!(metrics.contains("golive_offers{phase=\"Blocked\"} 30\n"), "{metrics}");
    let (_, page) = get(service.address(), "/offers/contoso/vm-7");
    assert!(page.contains("Unreachable") && page.contains("400 Bad Request"), "{page}");
    let (_, status) = get(service.address(), "/api/status");
    assert_eq!(status.matches("\"reason\": \"Unreachable\"").count(), 30, "{status}");
    env.wait_until("the file is there", |env| env.path(STATUS).exists());
    // The second list fails, too.
    service.signal("-HUP");
    service.wait_for_log("can be listed again");
    let log = service.log();
    let about: Vec<_> =
        log.iter().filter(|it| it["message"].to_string().contains("contoso")).collect();
    assert_eq!(about.len(), 2, "{about:#?}");
    env.wait_until("all are known", |env| {
        env.status().offers.values().all(|it| it.phase == Phase::Preview && it.error.is_none())
    });
    service.stop();
}
