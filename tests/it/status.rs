//! `golive status`

use crate::test_env::{STATUS, TestEnv};

#[test]
fn status_shows_the_records_and_sends_no_request() {
    let mut env = TestEnv::in_preview(&["a", "b"]);
    env.golive("apply --wait --poll 10ms").code(0);
    env.remove_env("GOLIVE_TOKEN");
    let shown = "\
OFFER      PHASE  REASON        MESSAGE
contoso/a  Live   InProduction  version 1 is live
contoso/b  Live   InProduction  version 1 is live
2 offers: 2 Live (as of [TIME])
";
    let ((), requests) = env.requests_during(|| {
        for line in ["status", "status .", "status a.yaml", "status golive.status.json"] {
            env.golive(line).code(0).stdout(shown).stderr("");
        }
        let ran = env.golive("status -o json").code(0).stderr("");
        let file = crate::normalize::normalize(&env.read(STATUS));
        let file: serde_json::Value = serde_json::from_str(&file).unwrap();
        let shown = ran.json();
        assert_eq!(shown["offers"], file["offers"]);
        assert_eq!(shown["marketplace"]["contoso"]["origin"], "http://[SERVER]");
    });
    assert!(requests.is_empty());
}

#[test]
fn a_missing_status_file_is_reported() {
    TestEnv::new().golive("status").code(1).stdout("").stderr(
        "error: there is no status file ./golive.status.json; golive apply writes it, --status names another one\n",
    );
}
