//! The status file and its lock.

use golive::emulator::ManualAction;
use pretty_assertions::assert_eq;
use serde_json::Value;

use crate::test_env::{STATUS, TestEnv, live};

/// An environment with a live offer and its status file.
fn live_env() -> TestEnv {
    let env = TestEnv::in_preview(&["vm"]);
    env.golive("apply --wait --poll 10ms").code(0);
    env
}

/// Checks that a status file is refused: nothing is sent, and the file stays as it is.
#[track_caller]
fn assert_refused(env: &TestEnv, content: &[u8], expected: &str) {
    env.write(STATUS, content);
    for line in ["apply", "apply --wait", "plan", "plan -o json", "status"] {
        let (ran, requests) = env.requests_during(|| env.golive(line));
        let ran = ran.code(1).stderr(expected);
        if line.contains("json") {
            let document = ran.json();
            let message = document["error"]["message"].as_str().unwrap();
            assert!(expected.starts_with(&format!("error: {message}")), "{document}");
        } else {
            ran.stdout("");
        }
        assert_eq!(requests, Vec::<String>::new(), "{line}");
        assert_eq!(env.files()[STATUS], content, "{line}");
    }
}

#[test]
fn a_newer_file_is_refused_and_unchanged() {
    let env = live_env();
    let newer = env.read(STATUS).replace("\"schema\": 2", "\"schema\": 3, \"new\": []");
    assert_refused(
        &env,
        newer.as_bytes(),
        "error: golive.status.json: the status file has schema 3, this golive knows up to 2; use a newer golive\n"
            .replace("golive.status.json", "./golive.status.json")
            .as_str(),
    );
}

#[test]
fn broken_files_are_reported_with_their_line_and_unchanged() {
    let env = live_env();
    let good = env.read(STATUS);
    let cut = &good[..good.find("\"manifest\"").unwrap()];
    let mut open = "{\"schema\": 1, \"offers\": ".to_owned();
    open.push_str(&"[".repeat(100_000));
    let cases: [(Vec<u8>, &str); 16] = [
        (Vec::new(), "1:1: the status file is broken: EOF while parsing a value"),
        // What a power loss may leave of an unflushed file.
        (vec![0; good.len()], "1:1: the status file is broken: expected value"),
        (good.trim_end().trim_end_matches('}').into(), "the status file is broken: EOF while"),
        (format!("{good}{good}").into_bytes(), "the status file is broken: trailing characters"),
        // JSON, but not a status file.
        (b"[]".to_vec(), "1:2: the status file is broken: invalid length 1"),
        (b"\"Live\"".to_vec(), "1:6: the status file is broken: invalid type: string"),
        (b"{}".to_vec(), "1:2: the status file is broken: missing field `offers`"),
        (b"{\"schema\": -1, \"offers\": {}}".to_vec(), "1:13: the status file is broken: invalid"),
        (open.into_bytes(), "the status file is broken: invalid type: sequence"),
        (good.replacen("contoso/vm", "../vm", 1).into_bytes(), "the status file is broken: "),
        (
            good.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            "1:2: the status file is broken",
        ),
        (b"<<<<<<< HEAD\n".to_vec(), "1:1: the status file is broken: expected value"),
        (cut.as_bytes().to_vec(), "14:6: the status file is broken: EOF while parsing"),
        (
            good.replace("\"phase\": \"Live\"", "\"phase\": \"Alive\"").into_bytes(),
            "the status file is broken: unknown variant `Alive`",
        ),
        (
            good.replace("\"attempts\"", "\"atempts\"").into_bytes(),
            "the status file is broken: unknown field `atempts`",
        ),
        (b"{\"schema\": 1,\n \"offers\": {\"\xff\": 1}}".to_vec(), "2:"),
    ];
    for (content, message) in cases {
        env.write(STATUS, &content);
        for line in ["apply --wait", "plan", "status"] {
            let (ran, requests) = env.requests_during(|| env.golive(line));
            let ran = ran.code(1).stdout("").stderr_has(message);
            assert!(ran.stderr.starts_with("error: ./golive.status.json:"), "{}", ran.stderr);
            assert!(ran.stderr.contains("fix it or move it away"), "{}", ran.stderr);
            assert_eq!(requests, Vec::<String>::new());
            assert_eq!(env.files()[STATUS], content);
        }
    }
    // Without it, a run costs requests but no second golive.
    env.remove(STATUS);
    env.golive("apply --wait").code(0);
    assert_eq!(env.golives("contoso/vm"), (1, 1));
}

#[test]
fn an_unwritable_folder_sends_nothing() {
    let mut env = TestEnv::in_preview(&["vm"]);
    env.write("file", "not a folder");
    env.set_env("GOLIVE_STATUS", "file/golive.status.json");
    env.golive("apply --wait")
        .code(1)
        .stdout("")
        .stderr_has("golive needs to write in this folder");
    env.set_env("GOLIVE_STATUS", "no/such/folder/golive.status.json");
    env.golive("apply --wait").code(1).stdout("");
    assert_eq!(env.requests(), Vec::<String>::new());
}

#[test]
fn a_wait_for_the_lock_names_its_holder() {
    let env = TestEnv::in_preview(&["vm"]);
    let held = env.hold_lock("golive watch");
    let own = std::process::id();
    env.golive("apply --lock-timeout 50ms").code(1).stdout("").stderr(&format!(
        "[TIME]  WARN waiting for at most 50ms for the lock ./golive.status.json.lock: golive watch, \
         process {own}, since [TIME]\n\
         error: another golive holds the lock ./golive.status.json.lock: golive watch, process {own}, \
         since [TIME]; wait for it to end, or give --lock-timeout a longer time\n"
    ));
    assert_eq!(env.requests(), Vec::<String>::new());
    let ran =
        env.golive("apply --lock-timeout 50ms --emulator --status golive.status.json").code(1);
    let (first, second) = ran.stderr.split_once('\n').unwrap();
    assert!(first.contains("EMULATOR") && second.contains("WARN waiting"), "{}", ran.stderr);
    // Reading needs no lock.
    env.golive("plan").code(0);

    let waiting = env.start("apply --lock-timeout 20s --wait --poll 10ms");
    drop(held);
    env.wait(waiting).code(0);
    assert_eq!(env.golives("contoso/vm"), (1, 1));
}

#[test]
fn a_dead_process_s_lock_file_blocks_no_run() {
    let env = TestEnv::in_preview(&["vm"]);
    env.write("golive.status.json.lock", "golive apply, process 1, since 2020-01-01T00:00:00Z\n");
    env.write(".golive.status.json.new", "{\"half");
    env.golive("apply --wait --poll 10ms --lock-timeout 0s").code(0);
    assert!(!env.exists(".golive.status.json.new"));
}

#[test]
fn concurrent_runs_send_one_golive() {
    let env = TestEnv::in_preview(&["a", "b", "c"]);
    let children: Vec<_> =
        (0..4).map(|_| env.start("apply --wait --poll 10ms --lock-timeout 30s")).collect();
    let ran: Vec<_> = children.into_iter().map(|child| env.wait(child).code(0)).collect();
    // One run does the work; the others wait, log that at most once, and find nothing to do.
    let idle = ran.iter().filter(|ran| ran.stdout.contains("Nothing to do")).count();
    assert_eq!(idle, 3);
    assert!(ran.iter().all(|ran| ran.stderr.matches("for the lock").count() <= 1));
    for offer in ["contoso/a", "contoso/b", "contoso/c"] {
        assert_eq!(env.golives(offer), (1, 1), "{offer}");
    }
}

#[test]
fn an_expired_lock_timeout_names_the_holder_and_sends_nothing() {
    let env = TestEnv::with_seed("offers: {contoso/vm: {stepTime: 1h}}");
    env.write("vm.yaml", live("contoso/vm", ""));
    let start = |_| env.start("apply --wait --poll 10ms --poll-max 10ms --lock-timeout 500ms");
    let mut running: Vec<_> = (0..3).map(start).collect();
    let mut gone = Vec::new();
    env.wait_until("two have given up", |_| {
        let over = |child: &mut std::process::Child| child.try_wait().unwrap().is_some();
        gone.extend(running.extract_if(.., over));
        gone.len() == 2
    });
    let holder = running.pop().unwrap();
    for child in gone {
        env.wait(child).code(1).stdout("").stderr_has(&format!(
            "error: another golive holds the lock ./golive.status.json.lock: golive apply, process {}, \
             since [TIME]; wait for it to end, or give --lock-timeout a longer time\n",
            holder.id()
        ));
    }
    env.wait_until("it runs", |env| env.golives("contoso/vm").1 == 1);
    env.emulator().by_hand("contoso/vm", ManualAction::Finish).unwrap();
    env.wait(holder).code(0);
    let lists = env.requests().into_iter().filter(|request| request.ends_with("/offers"));
    assert_eq!((env.golives("contoso/vm"), lists.count()), ((1, 1), 2), "one run asked");
}

#[test]
fn the_file_fits_its_schema_is_sorted_and_ends_with_a_newline() {
    let schema: Value =
        serde_json::from_str(include_str!("../../schemas/status.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let env = crate::rows::env();
    for line in ["apply --poll 10ms", "apply --wait=1s --poll 10ms --retry-failed"] {
        let _ran = env.golive(line);
        let text = env.read(STATUS);
        let value: Value = serde_json::from_str(&text).unwrap();
        let errors: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new());
        // `Value` keeps its keys sorted.
        assert_eq!(text, format!("{}\n", serde_json::to_string_pretty(&value).unwrap()));
        assert!(!env.exists(".golive.status.json.new"));
    }
}

#[test]
fn the_file_is_next_to_the_first_path_unless_given() {
    let mut env = TestEnv::in_preview(&[]);
    env.serve("offers: {contoso/vm: {}}");
    env.write("a/b/vm.yaml", live("contoso/vm", ""));
    env.golive("apply a/b/vm.yaml").code(0);
    assert!(env.exists("a/b/golive.status.json"));
    env.golive("apply a").code(0);
    assert!(env.exists("a/golive.status.json"));
    env.golive("apply a --status s/x.json").code(1);
    env.write("s/.keep", "");
    env.golive("apply a --status s/x.json").code(0);
    let value: Value = serde_json::from_str(&env.read("s/x.json")).unwrap();
    assert_eq!(value["offers"]["contoso/vm"]["manifest"]["file"], "../a/b/vm.yaml");
    assert_eq!(env.golives("contoso/vm"), (1, 1));
}
