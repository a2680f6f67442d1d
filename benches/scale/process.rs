//! Runs a program and measures it.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

/// The first argument that makes this program run and measure another one.
const RUN: &str = "run-and-measure";

/// The cost of a run.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    /// User and system.
    pub(crate) cpu: Duration,
    /// Maximum resident memory in KiB.
    pub(crate) memory: u64,
    pub(crate) code: Option<i32>,
}

/// Runs a program to its end. Standard error goes to a file.
///
/// The system counts memory from the fork on, so a child of this process, which contains a marketplace,
/// would seem as large as this one. Therefore a fresh copy of this program starts it, and measures.
pub(crate) fn run(command: &[&str], variables: &[(&str, String)], log: &Path) -> Cost {
    let output = Command::new(std::env::current_exe().unwrap())
        .arg(RUN)
        .args(command)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stderr(File::create(log).unwrap())
        .output()
        .unwrap();
    let cost = serde_json::from_slice(&output.stdout);
    cost.unwrap_or_else(|_| panic!("{command:?} could not be run: {:?}", output.status))
}

/// If this program was started for that, runs the given command line and prints its cost as JSON.
pub(crate) fn run_if_asked() -> Option<i32> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let (first, command) = arguments.split_first()?;
    if first != RUN {
        return None;
    }
    let (program, arguments) = command.split_first()?;
    let started = Instant::now();
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).status().unwrap();
    let wall = started.elapsed();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let micros = |time: nix::sys::time::TimeVal| {
        use nix::sys::time::TimeValLike as _;
        Duration::from_micros(u64::try_from(time.num_microseconds()).unwrap())
    };
    let cost = Cost {
        wall,
        cpu: micros(usage.user_time()) + micros(usage.system_time()),
        memory: u64::try_from(usage.max_rss()).unwrap(),
        code: status.code(),
    };
    println!("{}", serde_json::to_string(&cost).unwrap());
    Some(0)
}

/// The run with the median time.
pub(crate) fn median(mut costs: Vec<Cost>) -> Cost {
    costs.sort_by_key(|cost| cost.wall);
    let middle = costs.len() / 2;
    costs.swap_remove(middle)
}
