//! What the command line takes, and what comes out where.

use crate::place::{Place, live};

#[test]
fn a_wrong_command_line_exits_with_64_and_says_so_on_standard_error() {
    let place = Place::in_preview(&["vm"]);
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
        let ran = place.golive(line).code(64).stdout("");
        assert!(ran.stderr.starts_with("error: "), "{line}: {}", ran.stderr);
    }
    assert_eq!(place.requests(), Vec::<String>::new());
}

#[test]
fn help_and_version_are_data() {
    let place = Place::new();
    place
        .golive("--version")
        .code(0)
        .stdout(&format!("golive {}\n", env!("CARGO_PKG_VERSION")))
        .stderr("");
    for command in ["", "validate", "plan", "apply", "status", "schema", "emulator"] {
        for flag in ["--help", "-h"] {
            let ran = place.golive(&format!("{command} {flag}")).code(0).stderr("");
            assert!(ran.stdout.contains("Usage: golive"), "{}", ran.stdout);
        }
    }
    place
        .golive("--help")
        .stdout_has("Exit codes:\n")
        .stdout_has("  64  the command line is wrong\n");
}

#[test]
fn json_output_is_one_document_whatever_comes_of_it() {
    let place = crate::rows::place();
    for line in [
        "plan -o json",
        "apply -o json --wait=50ms --poll 10ms",
        "status -o json",
        "apply -o json -vv",
    ] {
        assert!(place.golive(line).json().is_object(), "{line}");
    }
    place.write("contoso/first.yaml", "broken");
    for line in ["plan -o json", "apply -o json"] {
        let document = place.golive(line).code(1).json();
        assert_eq!(document["exitCode"], 1, "{document}");
        assert_eq!(document["error"]["message"], "1 error; nothing was sent", "{document}");
        assert_eq!(document["error"]["manifests"][0]["file"], "contoso/first.yaml", "{document}");
        // Where the line can't be read, nobody knows what was asked for.
        place.golive(&format!("{line} --nonsense")).code(64).stdout("");
    }
    let document = place.golive("plan -o json --emulator --only contoso/none").json();
    assert_eq!((&document["exitCode"], &document["marketplace"]), (&1.into(), &"EMULATOR".into()));
    place.remove("contoso/first.yaml");
    let document = place.golive("plan -o json --emulator --only contoso/none").code(64).json();
    assert_eq!(document["exitCode"], 64, "{document}");
    let document = place.golive("status no/such -o json").code(1).json();
    assert!(document["error"]["message"].as_str().unwrap().contains("no status file"));
}

#[test]
fn json_names_the_marketplace() {
    let place = Place::in_preview(&["vm"]);
    for line in ["plan -o json", "apply -o json", "apply -o json --only contoso/none"] {
        let of = |line: &str| place.golive(line).json()["marketplace"].clone();
        assert_eq!(of(line), "[SERVER]", "{line}");
        assert_eq!(of(&format!("{line} --emulator")), "EMULATOR", "{line}");
    }
}

#[test]
fn a_log_of_json_has_errors_as_json_too() {
    let place = Place::in_preview(&["vm"]);
    place.write("bad.yaml", "publisher: contoso\noffer: bad\nsate: live\n");
    let ran = place.golive("apply --log-format json").code(1).stdout("");
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
fn colors_are_for_terminals_unless_asked_for() {
    let mut place = Place::in_preview(&["vm"]);
    let plain = place.golive("plan").stdout;
    assert!(!plain.contains('\u{1b}'));
    assert!(place.golive("plan --color always").stdout.contains("\u{1b}[32m"));
    place.env("NO_COLOR", "1");
    assert_eq!(place.golive("plan").stdout, plain);
    assert_eq!(place.golive("plan --color never").stdout, plain);
}

#[test]
fn variables_stand_for_flags_and_flags_come_first() {
    let mut place = Place::in_preview(&["vm"]);
    place.env("GOLIVE_STATUS", "other.json");
    place.env("GOLIVE_POLL", "10ms");
    place.env("GOLIVE_LOG_FORMAT", "json");
    let ran = place.golive("apply --wait").code(0);
    assert!(ran.stderr.starts_with('{') && place.exists("other.json"), "{}", ran.stderr);
    place.golive("apply --status third.json --log-format text").code(0);
    assert!(place.exists("third.json"));
    place.env("GOLIVE_POLL", "fast");
    place.golive("apply").code(64).stdout("");
}

#[test]
fn quiet_runs_say_nothing_but_the_result() {
    let place = Place::in_preview(&["vm"]);
    place.golive("apply --wait --poll 10ms -q").code(0).stderr("").stdout(
        "\
OFFER       PHASE  REASON        MESSAGE
contoso/vm  Live   InProduction  version 1 is live
1 operation started; 1 offer: 1 Live.
",
    );
}

#[test]
fn the_outcome_does_not_depend_on_where_it_runs_from() {
    let place = Place::with_seed("offers: {contoso/vm: {}}");
    place.write("a b/ü.yaml", live("contoso/vm", ""));
    place.golive("apply --wait --poll 10ms").code(0);
    assert_eq!(place.record("contoso/vm").manifest.file, "a b/ü.yaml");
}

#[test]
fn a_variable_that_is_empty_is_not_set() {
    let mut place = Place::in_preview(&["vm"]);
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
        place.env(&format!("GOLIVE_{name}"), "");
    }
    place.env("NO_COLOR", "");
    place.golive("apply").code(0);
    assert!(place.exists("golive.status.json"));
    place.golive("plan").code(0);
    place.golive("status").code(0);
    // It gets as far as to the path that is not there.
    place.golive("watch nowhere").code(1).stderr_has("there is no nowhere");
    let ran = place.golive("apply --help").code(0);
    assert!(ran.stdout.contains("GOLIVE_POLL_MAX"), "{}", ran.stdout);
    // A flag that is empty was given.
    place.golive("plan --status=").code(64).stderr_has("--status <FILE>");
}

#[test]
fn what_is_wrong_with_a_variable_is_told_of_the_variable() {
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
    for (name, value, line, told) in cases {
        let mut place = Place::in_preview(&["vm"]);
        place.env(name, value);
        let ran = place.golive(line).code(64).stdout("").stderr_has(told);
        assert!(!ran.stderr.contains("pw"), "{}", ran.stderr);
    }
    // A flag wins: what the variable says is not looked at. Where the flag is not known, neither is it.
    let mut place = Place::in_preview(&["vm"]);
    place.env("GOLIVE_TIMEOUT", "60");
    place.golive("plan --timeout 60s").code(0);
    place.golive("validate").code(0);
}

#[test]
fn a_flag_that_a_command_has_no_use_for_is_not_among_its_flags() {
    let place = Place::in_preview(&["vm"]);
    let flags = |command: &str| {
        let help = place.golive(&format!("{command} --help")).stdout;
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
    place.golive("validate --concurrency 1").code(64).stdout("");
}
