//! The command line: arguments, variables, outputs and exit codes.

use crate::test_env::{TestEnv, live};

#[test]
fn a_usage_error_exits_with_64_and_is_printed_to_stderr() {
    let env = TestEnv::in_preview(&["vm"]);
    for line in [
        "--nonsense",
        "frobnicate",
        "apply --wait 5m --nonsense",
        "apply --wait=soon",
        "apply --poll 10",
        "apply --concurrency 0",
        "apply --max-changes many",
        "apply --only vm",
        "apply --selector team",
        "apply -o yaml",
        "apply -q -v",
        "apply --seed x.yml",
        "plan --expect x",
        "plan --endpoint http://contoso.example",
        "plan --endpoint nonsense",
        "plan --color sometimes",
        "schema",
    ] {
        let ran = env.golive(line).code(64).stdout("");
        assert!(ran.stderr.starts_with("error: "), "{line}: {}", ran.stderr);
    }
    assert_eq!(env.requests(), Vec::<String>::new());
}

#[test]
fn help_and_version_are_printed_to_stdout() {
    let env = TestEnv::new();
    env.golive("--version")
        .code(0)
        .stdout(&format!("golive {}\n", env!("CARGO_PKG_VERSION")))
        .stderr("");
    for command in ["", "validate", "plan", "apply", "status", "schema", "emulator"] {
        for flag in ["--help", "-h"] {
            let ran = env.golive(&format!("{command} {flag}")).code(0).stderr("");
            assert!(ran.stdout.contains("Usage: golive"), "{}", ran.stdout);
        }
    }
    env.golive("--help")
        .stdout_has("Exit codes:\n")
        .stdout_has("  64  the command line is wrong\n");
}

#[test]
fn json_output_is_one_document_for_every_outcome() {
    let env = crate::rows::env();
    for line in [
        "plan -o json",
        "apply -o json --wait=50ms --poll 10ms",
        "status -o json",
        "apply -o json -vv",
    ] {
        assert!(env.golive(line).json().is_object(), "{line}");
    }
    env.write("contoso/first.yaml", "broken");
    for line in ["plan -o json", "apply -o json"] {
        let document = env.golive(line).code(1).json();
        assert_eq!(document["exitCode"], 1, "{document}");
        assert_eq!(document["error"]["message"], "1 error; nothing was sent", "{document}");
        assert_eq!(document["error"]["manifests"][0]["file"], "contoso/first.yaml", "{document}");
        // If the line can't be parsed, the output format is unknown.
        env.golive(&format!("{line} --nonsense")).code(64).stdout("");
    }
    let document = env.golive("plan -o json --emulator --only contoso/none").json();
    assert_eq!((&document["exitCode"], &document["marketplace"]), (&1.into(), &"EMULATOR".into()));
    env.remove("contoso/first.yaml");
    let document = env.golive("plan -o json --emulator --only contoso/none").code(64).json();
    assert_eq!(document["exitCode"], 64, "{document}");
    let document = env.golive("status no/such -o json").code(1).json();
    assert!(document["error"]["message"].as_str().unwrap().contains("no status file"));
}

#[test]
fn json_names_the_marketplace() {
    let env = TestEnv::in_preview(&["vm"]);
    for line in ["plan -o json", "apply -o json", "apply -o json --only contoso/none"] {
        let of = |line: &str| env.golive(line).json()["marketplace"].clone();
        assert_eq!(of(line), "[SERVER]", "{line}");
        assert_eq!(of(&format!("{line} --emulator")), "EMULATOR", "{line}");
    }
}

#[test]
fn a_json_log_has_errors_as_json() {
    let env = TestEnv::in_preview(&["vm"]);
    env.write("bad.yaml", "publisher: contoso\noffer: bad\nsate: live\n");
    let ran = env.golive("apply --log-format json").code(1).stdout("");
    let lines: Vec<serde_json::Value> =
        ran.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{}", ran.stderr);
    assert!(lines.iter().all(|line| line["level"] == "ERROR" && line["timestamp"].is_string()));
    assert_eq!(lines[0]["message"], "bad.yaml:3:1: unknown field \"sate\"");
    assert_eq!((&lines[0]["line"], &lines[0]["column"]), (&3.into(), &1.into()));
    assert_eq!(lines[0]["hint"], "did you mean \"state\"?");
    assert_eq!(lines[1]["message"], "1 error; nothing was sent");
    assert_eq!(lines[1]["exitCode"], 1);
}

#[test]
fn colors_are_off_without_a_terminal_unless_requested() {
    let mut env = TestEnv::in_preview(&["vm"]);
    let plain = env.golive("plan").stdout;
    assert!(!plain.contains('\u{1b}'));
    assert!(env.golive("plan --color always").stdout.contains("\u{1b}[32m"));
    env.set_env("NO_COLOR", "1");
    assert_eq!(env.golive("plan").stdout, plain);
    assert_eq!(env.golive("plan --color never").stdout, plain);
}

#[test]
fn flags_override_variables() {
    let mut env = TestEnv::in_preview(&["vm"]);
    env.set_env("GOLIVE_STATUS", "other.json");
    env.set_env("GOLIVE_POLL", "10ms");
    env.set_env("GOLIVE_LOG_FORMAT", "json");
    let ran = env.golive("apply --wait").code(0);
    assert!(ran.stderr.starts_with('{') && env.exists("other.json"), "{}", ran.stderr);
    env.golive("apply --status third.json --log-format text").code(0);
    assert!(env.exists("third.json"));
    env.set_env("GOLIVE_POLL", "fast");
    env.golive("apply").code(64).stdout("");
}

#[test]
fn quiet_runs_print_only_the_result() {
    let env = TestEnv::in_preview(&["vm"]);
    env.golive("apply --wait --poll 10ms -q").code(0).stderr("").stdout(
        "\
OFFER       PHASE  REASON        MESSAGE
contoso/vm  Live   InProduction  version 1 is live
1 operation started; 1 offer: 1 Live.
",
    );
}

#[test]
fn the_outcome_does_not_depend_on_the_working_directory() {
    let env = TestEnv::with_seed("offers: {contoso/vm: {}}");
    env.write("a b/ü.yaml", live("contoso/vm", ""));
    env.golive("apply --wait --poll 10ms").code(0);
    assert_eq!(env.record("contoso/vm").manifest.file, "a b/ü.yaml");
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let mut env = TestEnv::in_preview(&["vm"]);
    for name in [
        "STATUS",
        "CONCURRENCY",
        "TIMEOUT",
        "POLL",
        "POLL_MAX",
        "SETTLE",
        "LOCK_TIMEOUT",
        "LOG_FORMAT",
        "RESYNC",
        "DEBOUNCE",
        "LISTEN",
        "GIT",
        "TOKEN_FILE",
    ] {
        env.set_env(&format!("GOLIVE_{name}"), "");
    }
    env.set_env("NO_COLOR", "");
    env.golive("apply").code(0);
    assert!(env.exists("golive.status.json"));
    env.golive("plan").code(0);
    env.golive("status").code(0);
    // The line is accepted; only the path doesn't exist.
    env.golive("watch nowhere").code(1).stderr_has("there is no nowhere");
    let ran = env.golive("apply --help").code(0);
    assert!(ran.stdout.contains("GOLIVE_POLL_MAX"), "{}", ran.stdout);
    // An empty flag counts as given.
    env.golive("plan --status=").code(64).stderr_has("--status <FILE>");
}

#[test]
fn errors_name_the_variable() {
    let cases = [
        ("GOLIVE_TIMEOUT", "60", "plan", "invalid value '60' for 'GOLIVE_TIMEOUT': "),
        ("GOLIVE_LOG_FORMAT", "xml", "plan", "invalid value 'xml' for 'GOLIVE_LOG_FORMAT'"),
        ("GOLIVE_ENDPOINT", "ftp://u:pw@x", "plan", "error: GOLIVE_ENDPOINT: the endpoint begins"),
        ("GOLIVE_GIT", "x", "watch a.yaml", "cannot be used with 'GOLIVE_GIT'"),
        ("GOLIVE_GIT", "", "watch --git=", "error: "),
        ("GOLIVE_LISTEN", "x", "watch", "invalid value 'x' for 'GOLIVE_LISTEN'"),
        ("GOLIVE_POLL", "10ms", "plan --timeout 60", "for '--timeout <DURATION>': "),
        ("GOLIVE_TIMEOUT", "60", "plan --settle 60", "for '--settle <DURATION>': "),
    ];
    for (name, value, line, message) in cases {
        let mut env = TestEnv::in_preview(&["vm"]);
        env.set_env(name, value);
        let ran = env.golive(line).code(64).stdout("").stderr_has(message);
        assert!(!ran.stderr.contains("pw"), "{}", ran.stderr);
    }
    // A flag overrides its variable, which isn't parsed then. Commands without the flag ignore it.
    let mut env = TestEnv::in_preview(&["vm"]);
    env.set_env("GOLIVE_TIMEOUT", "60");
    env.golive("plan --timeout 60s").code(0);
    env.golive("validate").code(0);
}

#[test]
fn commands_reject_flags_they_do_not_use() {
    let env = TestEnv::in_preview(&["vm"]);
    let flags = |command: &str| {
        let help = env.golive(&format!("{command} --help")).stdout;
        let words = help.lines().filter_map(|line| {
            let line = line.trim_start();
            let at = line.find("--").filter(|at| line.starts_with('-') && *at <= 4)?;
            Some(line[at..].split([' ', '=', '[', '.']).next().unwrap().to_owned())
        });
        words.collect::<std::collections::BTreeSet<_>>()
    };
    let set = |words: &str| words.split(' ').map(str::to_owned).collect();
    assert_eq!(flags("validate"), set("--color --config --help"));
    assert_eq!(flags("schema"), set("--color --help"));
    assert_eq!(flags("status"), set("--color --emulator --help --output --status"));
    let emulator =
        "--color --help --listen --log-format --quiet --seed --step-time --token --verbose";
    assert_eq!(flags("emulator"), set(emulator));
    for flag in ["--poll", "--poll-max", "--lock-timeout"] {
        assert!(flags("apply").contains(flag) && flags("watch").contains(flag), "{flag}");
        assert!(!flags("plan").contains(flag), "{flag}");
    }
    env.golive("validate --concurrency 1").code(64).stdout("");
}
