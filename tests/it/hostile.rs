//! A hostile gateway in front of an honest emulator: broken, endless and poisoned answers, and foreign
//! URLs. Each run ends with an error that says why, its memory is bounded, and the token reaches no
//! other server.

mod bodies;
mod gateway;
mod memory;
mod shapes;
mod texts;
mod urls;

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::test_env::{RunOutput, STATUS, TestEnv, live};
use gateway::{BadReply, Gateway, Rule, UnusedListener};

/// A run that succeeds even on a slow machine.
const PATIENT: &str = "apply --wait=1m --timeout 20s --settle 50ms --poll 20ms --poll-max 50ms";

/// A run with short timeouts, which is expected to fail.
const BRIEF: &str = "apply --wait=1s --timeout 20s --settle 50ms --poll 20ms --poll-max 50ms";

/// The same for late answers.
const HASTY: &str = "apply --wait=1s --timeout 300ms --settle 50ms --poll 20ms --poll-max 50ms";

/// The longest that any run may take. Most take less than a second; pauses between retries and a
/// loaded machine need the rest.
const SECONDS: u64 = 120;

/// Concurrency of cases that mostly wait.
const MANY: usize = 24;

/// Concurrency of cases that keep a core busy.
const FEW: usize = 4;

/// An offer in preview that should go live, with a gateway in front of the marketplace.
struct Hostile {
    env: TestEnv,
    gateway: Gateway,
    trap: UnusedListener,
}

impl Hostile {
    fn new(behaviour: &str) -> Self {
        let mut env = TestEnv::with_seed(&format!("offers: {{contoso/vm: {behaviour}}}"));
        env.write("vm.yaml", live("contoso/vm", ""));
        let gateway = Gateway::start(env.address());
        env.set_env("GOLIVE_ENDPOINT", &format!("http://{}", gateway.address));
        Self { env, gateway, trap: UnusedListener::set() }
    }

    /// Replaces `TRAP` by a foreign address and `OWN` by the marketplace's.
    fn with_addresses(&self, text: &str) -> String {
        text.replace("TRAP", &self.trap.address().to_string())
            .replace("OWN", &self.gateway.address.to_string())
    }

    /// Runs the program, and checks what must hold for every answer.
    #[track_caller]
    #[expect(clippy::disallowed_methods, reason = "that a run ends in time is what is tested")]
    fn golive(&self, line: &str) -> RunOutput {
        let begin = Instant::now();
        let ran = self.env.golive(line);
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(SECONDS), "{line}: {took:?}");
        self.holds();
        texts::are_clean(&ran, line);
        if let Some(status) = self.env.files().remove(STATUS) {
            texts::is_clean(&String::from_utf8(status).unwrap(), "the status file");
            self.env.status();
        }
        ran
    }

    /// No other server or path got a request, and golive was accepted at most once.
    #[track_caller]
    fn holds(&self) {
        self.trap.is_untouched();
        for request in self.gateway.seen() {
            let ours = ["/api/publishers/contoso/offers", "/api/operations/contoso$vm$"];
            let path = request.split_once(' ').unwrap().1;
            assert!(ours.iter().any(|ours| path.starts_with(ours)), "{request}");
            assert!(!path.contains("..") && !path.contains('%'), "{request}");
        }
        assert!(self.env.golives("contoso/vm").1 <= 1);
    }
}

/// The expected result of a hostile answer.
struct Case {
    name: String,
    rule: Rule,
    line: &'static str,
    code: i32,
    /// Whether golive is finally accepted.
    accepted: bool,
    /// Expected text on standard output or standard error.
    message: String,
}

impl Case {
    fn run(&self) {
        let hostile = self.check();
        if self.code == 0 {
            return;
        }
        // Once the marketplace is honest again, a run succeeds.
        hostile.gateway.rules(Vec::new());
        let ran = hostile.golive(PATIENT).code(0);
        assert_eq!(hostile.env.golives("contoso/vm").1, 1, "{}: {}", self.name, ran.transcript());
    }

    /// Runs against the hostile answer, and checks the result.
    fn check(&self) -> Hostile {
        let hostile = Hostile::new("{previewVersion: 3, liveVersion: 2}");
        let mut rule = self.rule.clone();
        if let BadReply::Bytes(bytes) = &mut rule.reply
            && let Ok(text) = std::str::from_utf8(bytes)
        {
            *bytes = hostile.with_addresses(text).into_bytes();
        }
        hostile.gateway.rules(vec![rule]);
        let ran = hostile.golive(self.line);
        let shown = ran.transcript();
        assert_eq!(ran.code, Some(self.code), "{}: {shown}", self.name);
        assert!(hostile.gateway.hits() > 0, "{}: it was not met", self.name);
        assert!(
            shown.contains(&self.message),
            "{}: {:?} is not in {shown}",
            self.name,
            self.message
        );
        let accepted = hostile.env.golives("contoso/vm").1 == 1;
        assert_eq!(accepted, self.accepted, "{}: {shown}", self.name);
        if accepted && self.code == 0 {
            // Whatever it is called.
            let truth = hostile.env.emulator().truth("contoso/vm").unwrap();
            assert_eq!(truth.production, Some(3), "{}: {shown}", self.name);
        }
        hostile
    }
}

/// Calls `act` with every item, several at a time.
fn for_each_in_parallel<T: Send>(
    threads: usize,
    items: impl IntoIterator<Item = T>,
    act: impl Fn(T) + Sync,
) {
    let items = Mutex::new(items.into_iter().collect::<VecDeque<_>>());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let item = items.lock().unwrap().pop_front();
                    let Some(item) = item else { return };
                    act(item);
                }
            });
        }
    });
}

/// A whole answer.
fn answer(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// A whole answer with JSON.
fn json(body: impl AsRef<[u8]>) -> Vec<u8> {
    answer("200 OK", "content-type: application/json\r\n", body)
}
