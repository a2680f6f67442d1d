//! A token that is renewed while golive runs.

use crate::test_env::{TOKEN, TestEnv, live};

/// A marketplace that accepts only one token, and lists the offers late.
fn env() -> TestEnv {
    let mut env = TestEnv::with_seed(&format!(
        "{{token: {TOKEN}, offers: {{contoso/vm: {{}}}}, \
         faults: [{{path: '*/offers', action: {{delay: 2s}}}}]}}"
    ));
    env.write("vm.yaml", live("contoso/vm", ""));
    env.remove_env("GOLIVE_TOKEN");
    env.set_env("GOLIVE_TOKEN_FILE", "../home/token");
    env
}

#[test]
fn a_token_that_is_replaced_while_a_request_is_under_way_is_used() {
    let env = env();
    env.write("../home/token", "the-token-of-an-hour-ago\n");
    let child = env.start("apply --wait --poll 10ms -vv");
    env.wait_until("a request is made", |env| !env.requests().is_empty());
    env.write("../home/token.new", format!("{TOKEN}\n"));
    // As the README describes it.
    let from = env.path("../home/token.new");
    assert!(
        std::process::Command::new("mv")
            .arg(from)
            .arg(env.path("../home/token"))
            .status()
            .unwrap()
            .success()
    );
    env.wait(child).code(0).stdout_has("contoso/vm  Live   InProduction");
    assert_eq!(env.golives("contoso/vm"), (1, 1));
}

#[test]
fn errors_of_the_file_are_reported() {
    let mut env = env();
    let cases = [
        (None, "cannot read ../home/token: "),
        (Some(""), "../home/token: the token is empty"),
        (Some("a\0b"), "../home/token: the token has a character"),
        (Some("\"a\""), "../home/token: this isn't a valid token: it has quotes around it"),
        (Some("null\n"), "../home/token: this isn't a valid token: it is the word"),
    ];
    for (content, what) in cases {
        if let Some(content) = content {
            env.write("../home/token", content);
        }
        env.golive("plan")
            .code(1)
            .stdout_has(what)
            .stdout_has("GOLIVE_TOKEN_FILE: ")
            .stdout_has("az account get-access-token --resource https://cloudpartner.azure.com");
    }
    env.set_env("GOLIVE_TOKEN", TOKEN);
    let both = "error: GOLIVE_TOKEN and GOLIVE_TOKEN_FILE are both set; unset one of them\n";
    env.golive("plan").code(64).stdout("").stderr(both);
    // An empty variable counts as unset.
    env.set_env("GOLIVE_TOKEN", "");
    env.golive("plan").code(1).stdout_has("GOLIVE_TOKEN_FILE: ");
    env.set_env("GOLIVE_TOKEN_FILE", "");
    env.golive("plan").code(1).stdout_has("GOLIVE_TOKEN is not set");
    env.set_env("GOLIVE_TOKEN", TOKEN);
    env.golive("plan").code(0);
}

#[test]
fn an_invalid_token_is_not_sent() {
    let mut env = TestEnv::in_preview(&["vm"]);
    for (token, what) in [("None", "no value"), ("\"x\"", "quotes"), ("Bearer x", "Bearer")] {
        env.set_env("GOLIVE_TOKEN", token);
        env.golive("apply").code(1).stdout("").stderr_has("GOLIVE_TOKEN: ").stderr_has(what);
    }
    assert_eq!(env.requests(), Vec::<String>::new());
}

#[test]
fn the_hint_for_a_refused_token_is_a_complete_command() {
    let env = env();
    env.write("../home/token", "the-token-of-an-hour-ago");
    env.golive("plan").code(1).stdout_has(
        "`az account get-access-token --resource https://cloudpartner.azure.com --query accessToken \
         --output tsv`",
    );
}
