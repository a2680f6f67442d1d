//! The token appears only in the `Authorization` header. Every run of [`TestEnv`] searches its outputs
//! and the status file for it; here a hostile marketplace tries to get it there.

use crate::test_env::{TOKEN, TestEnv, live};

/// A marketplace that echoes the token wherever it can.
fn echo_token(faults: &str) -> TestEnv {
    let env = TestEnv::with_seed(&format!(
        "offers: {{contoso/vm: {{fail: {{message: 'your token {TOKEN} <b>{TOKEN}</b>'}}}}}}\nfaults: {faults}"
    ));
    env.write("vm.yaml", live("contoso/vm", ""));
    env
}

/// Runs everything with full logging, and searches every file for the token.
fn run_everything(env: &TestEnv) {
    for line in [
        "plan -vvv",
        "apply -vvv --wait=300ms --poll 10ms --settle 50ms",
        "apply -vvv --wait=300ms --poll 10ms --settle 50ms --log-format json -o json",
        "plan -vvv --log-format json -o json",
        "status",
        "status -o json",
        "validate -vvv",
    ] {
        let _ran = env.golive(line);
    }
    for (name, bytes) in env.files() {
        assert!(!String::from_utf8_lossy(&bytes).contains(TOKEN), "{name}");
    }
    let asked = env.emulator().journal().entries().len();
    assert!(asked > 0, "the marketplace was never asked");
}

#[test]
fn a_failure_that_echoes_the_token_does_not_show_it() {
    let env = echo_token("[]");
    run_everything(&env);
    let record = env.record("contoso/vm");
    assert!(record.message.contains("your token"), "{}", record.message);
}

#[test]
fn errors_that_echo_the_token_do_not_show_it() {
    for (path, status) in
        [("*/golive", 422), ("*/golive", 401), ("*/offers", 403), ("*/offers/vm", 400)]
    {
        let env = echo_token(&format!(
            "[{{path: '{path}', count: always, action: {{status: {status}, body: '{{\"error\": {{\"code\": \"{TOKEN}\", \"message\": \"Bearer {TOKEN} is bad\"}}}}'}}}}]"
        ));
        run_everything(&env);
    }
}

#[test]
fn a_cut_answer_and_a_redirect_with_the_token_do_not_show_it() {
    for action in [
        format!("{{status: 200, body: '{{\"{TOKEN}'}}"),
        format!("{{redirect: 'http://127.0.0.1:9/{TOKEN}'}}"),
        format!("{{status: 202, when: after, body: '{TOKEN}'}}"),
    ] {
        run_everything(&echo_token(&format!(
            "[{{method: POST, path: '*/golive', count: always, action: {action}}}]"
        )));
    }
}

#[test]
fn an_invalid_token_is_not_shown() {
    let mut env = TestEnv::in_preview(&["vm"]);
    env.set_env("GOLIVE_TOKEN", &format!("{TOKEN} with spaces"));
    env.golive("apply -vvv")
        .code(1)
        .stdout("")
        .stderr_has("GOLIVE_TOKEN: the token has white space");
    env.set_env("GOLIVE_TOKEN", " \t");
    env.golive("apply -vvv").code(1).stdout("").stderr_has("GOLIVE_TOKEN: the token is empty");
    // An empty variable counts as unset.
    env.set_env("GOLIVE_TOKEN", "");
    env.golive("apply -vvv").code(1).stdout_has("GOLIVE_TOKEN is not set");
    env.remove_env("GOLIVE_TOKEN");
    env.golive("apply").code(1).stdout_has("GOLIVE_TOKEN is not set");
    assert_eq!(env.requests(), Vec::<String>::new());
}

#[test]
fn a_token_is_never_a_flag() {
    let env = TestEnv::in_preview(&["vm"]);
    env.golive("apply --token x").code(64).stdout("");
}
