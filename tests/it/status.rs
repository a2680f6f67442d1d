//! `golive status`

use crate::place::{Place, STATUS};

#[test]
fn it_shows_what_golive_last_knew_and_asks_nobody() {
    let mut place = Place::in_preview(&["a", "b"]);
    place.golive("apply --wait --poll 10ms").code(0);
    place.no_env("GOLIVE_TOKEN");
    let shown = "\
OFFER      PHASE  REASON        MESSAGE
contoso/a  Live   InProduction  version 1 is live
contoso/b  Live   InProduction  version 1 is live
2 offers: 2 Live (as of [TIME])
";
    let ((), requests) = place.requests_during(|| {
        for line in ["status", "status .", "status a.yaml", "status golive.status.json"] {
            place.golive(line).code(0).stdout(shown).stderr("");
        }
        let ran = place.golive("status -o json").code(0).stderr("");
        let file = crate::shape::shaped(&place.read(STATUS));
        let file: serde_json::Value = serde_json::from_str(&file).unwrap();
        let shown = ran.json();
        assert_eq!(shown["offers"], file["offers"]);
        assert_eq!(shown["marketplace"]["contoso"]["origin"], "http://[SERVER]");
    });
    assert!(requests.is_empty());
}

#[test]
fn no_status_file_is_said() {
    Place::new().golive("status").code(1).stdout("").stderr(
        "error: there is no status file ./golive.status.json; golive apply writes it, --status names another one\n",
    );
}
