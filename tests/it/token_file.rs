//! A token that is renewed while golive runs.

use crate::place::{Place, TOKEN, live};

/// A marketplace that takes one token only, and lists the offers late.
fn place() -> Place {
    let mut place = Place::with_seed(&format!(
        "{{token: {TOKEN}, offers: {{contoso/vm: {{}}}}, \
         faults: [{{path: '*/offers', action: {{delay: 2s}}}}]}}"
    ));
    place.write("vm.yaml", live("contoso/vm", ""));
    place.no_env("GOLIVE_TOKEN");
    place.env("GOLIVE_TOKEN_FILE", "../home/token");
    place
}

#[test]
fn a_token_that_is_replaced_while_a_request_is_under_way_is_used() {
    let place = place();
    place.write("../home/token", "the-token-of-an-hour-ago\n");
    let child = place.start("apply --wait --poll 10ms -vv");
    place.until("a request is made", |place| !place.requests().is_empty());
    place.write("../home/token.new", format!("{TOKEN}\n"));
    // As the README says it is to be done.
    let from = place.path("../home/token.new");
    assert!(
        std::process::Command::new("mv")
            .arg(from)
            .arg(place.path("../home/token"))
            .status()
            .unwrap()
            .success()
    );
    place.ran(child).code(0).stdout_has("contoso/vm  Live   InProduction");
    assert_eq!(place.golives("contoso/vm"), (1, 1));
}

#[test]
fn what_is_wrong_with_the_file_is_said() {
    let mut place = place();
    let cases = [
        (None, "cannot read ../home/token: "),
        (Some(""), "../home/token: the token is empty"),
        (Some("\0"), "../home/token: the token has white space"),
    ];
    for (content, what) in cases {
        if let Some(content) = content {
            place.write("../home/token", content);
        }
        place
            .golive("plan")
            .code(1)
            .stdout_has(what)
            .stdout_has("GOLIVE_TOKEN_FILE: ")
            .stdout_has("az account get-access-token --resource https://cloudpartner.azure.com");
    }
    place.env("GOLIVE_TOKEN", TOKEN);
    let both = "error: GOLIVE_TOKEN and GOLIVE_TOKEN_FILE are both set; unset one of them\n";
    place.golive("plan").code(64).stdout("").stderr(both);
    place.no_env("GOLIVE_TOKEN");
    place.env("GOLIVE_TOKEN_FILE", "");
    place.golive("plan").code(64).stdout("").stderr_has("GOLIVE_TOKEN_FILE is empty; set it to");
}
