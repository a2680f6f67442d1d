//! Memory is bounded for all answers. Measured on the real program, as Linux's largest resident set.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::gateway::{BadReply, Rule};
use super::{FEW, Hostile, PATIENT, answer, bodies, for_each_in_parallel, json};
use crate::test_env::RunOutput;

/// The length of the bodies: golive reads up to 32 MiB.
const SIZE: usize = 31 << 20;

/// The memory limit in MiB: six times the longest body. The program starts with about 20, and a growing
/// body is copied; 85 is typical.
const BOUND: u64 = 192;

/// The largest resident set of the program, in KiB; `None` before it started and after it ended.
fn largest_resident_set(process: &Path) -> Option<u64> {
    // Until `execve` has ended, a child has the memory of this test, answers of 31 MiB included.
    std::fs::read_link(process.join("exe")).ok().filter(|it| it.ends_with("golive"))?;
    let status = std::fs::read_to_string(process.join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Runs the program to its end. Returns its largest resident set in MiB.
fn measured(hostile: &Hostile, line: &str) -> (RunOutput, u64) {
    let child = hostile.env.start(line);
    let process = PathBuf::from(format!("/proc/{}", child.id()));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut peak = 0;
            while !over.load(Ordering::Relaxed) {
                peak = peak.max(largest_resident_set(&process).unwrap_or_default() / 1024);
                std::thread::sleep(Duration::from_millis(1));
            }
            peak
        });
        let ran = hostile.env.wait(child);
        over.store(true, Ordering::Relaxed);
        (ran, watch.join().unwrap())
    })
}

/// JSON of a given length: an element repeated between two texts.
fn repeated(size: usize, before: &str, element: &str, after: &str) -> BadReply {
    let element = format!("{element},");
    let elements = element.repeat(size / element.len());
    let elements = elements.trim_end_matches(',');
    BadReply::Bytes(json(format!("{before}{elements}{after}")))
}

/// Answers that a careless parser would expand, and the requests they answer. Those that are read to the
/// end are shorter, to save time; parsed into values they would still exceed the limit.
fn expanding_answers() -> Vec<(&'static str, &'static str, BadReply)> {
    let step = r#"{"id": "x", "messages": [{"messageHtml": "<b>x</b>"}]}"#;
    let steps = vec![step; 100_000].join(",");
    let steps = json(format!(r#"{{"status": "running", "steps": [{steps}]}}"#));
    let page = || "<b>x</b>".repeat(SIZE / 8);
    let running = r#"{"status": "running", "steps": ["#;
    vec![
        ("chunks without end", "/offers", bodies::endless(true)),
        ("a bomb of 1 GiB", "/offers", bodies::bomb()),
        ("10,000 headers", "/offers", bodies::header_flood()),
        ("31 MiB of brackets", "/offers", BadReply::Bytes(json("[".repeat(SIZE)))),
        ("31 MiB of empty offers", "/offers", repeated(SIZE, "[", "{}", "]")),
        ("31 MiB of offers", "/offers", repeated(SIZE, "[", r#"{"id":"vm"}"#, "]")),
        (
            "a definition of 7 MiB",
            "/offers",
            repeated(SIZE / 4, r#"[{"id":"vm","definition":["#, "[]", "]}]"),
        ),
        ("an error page of 31 MiB", "/offers", BadReply::Bytes(answer("422 No", "", page()))),
        (
            "an offer of 7 MiB",
            "/offers/vm",
            repeated(SIZE / 4, r#"{"id":"vm","plans":["#, "[]", "]}"),
        ),
        ("31 MiB of operations", "/submissions/", repeated(SIZE, "[", "{}", "]")),
        ("100,000 steps", "/operations/*", BadReply::Bytes(steps)),
        ("7 MiB of empty steps", "/operations/*", repeated(SIZE / 4, running, "{}", "]}")),
        ("7 MiB of operations in one", "/operations/*", repeated(SIZE / 4, "[", "{}", "]")),
    ]
}

#[test]
fn memory_stays_below_six_times_the_longest_body() {
    if !cfg!(target_os = "linux") {
        println!("skipped: the memory of a process is read from /proc");
        return;
    }
    for_each_in_parallel(FEW, expanding_answers(), |(name, path, reply)| {
        // Without a URL in the answer, golive looks for the operation in the list.
        let header = if path == "/submissions/" { "none" } else { "both" };
        let hostile = Hostile::new(&format!("{{header: {header}, stepTime: 300ms}}"));
        // A retry would get the same answer.
        hostile.gateway.rules(vec![Rule { times: 1, ..Rule::new("GET", path, reply) }]);
        let (ran, peak) = measured(&hostile, PATIENT);
        println!("{name}: {peak} MiB");
        assert!((1..=BOUND).contains(&peak), "{name}: {peak} MiB, {}", ran.transcript());
        assert!(matches!(ran.code, Some(0 | 1)), "{name}: {}", ran.transcript());
        assert!(ran.stderr.len() < 100_000, "{name}: a flood in the log");
        assert_eq!(hostile.gateway.hits(), 1, "{name}");
        hostile.holds();
    });
}
