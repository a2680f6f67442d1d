//! The journal: what was asked, judged when it arrived, also over HTTP.

use pretty_assertions::assert_eq;
use serde_json::json;

use super::*;
use crate::emulator::{Count, ManualAction};

const VM: &str = "contoso/offers/vm";

#[tokio::test(start_paused = true)]
async fn a_golive_is_legitimate_by_the_offers_state_at_its_arrival() {
    for (entry, legitimate) in [
        ("{}", true),
        ("{previewVersion: 2, liveVersion: 1}", true),
        ("{liveVersion: 1}", false),
        ("{status: NeverPublished}", false),
        ("{status: Running, operation: publish, previewVersion: 1}", false),
        ("{status: Running, operation: golive}", false),
        ("{status: Failed, operation: golive}", false),
        ("{status: Canceled, operation: publish, previewVersion: 1}", false),
    ] {
        let emulator = field(&format!("offers: {{contoso/vm: {entry}}}"));
        let truth = emulator.truth("contoso/vm").unwrap();
        assert_eq!((truth.ready, truth.waiting.is_some()), (legitimate, legitimate), "{entry}");
        // Judged whatever becomes of it: this one has a tag that nobody gave.
        send(&emulator, "POST", &format!("{VM}/golive"), &[("if-match", "\"x\"")]).await;
        let journal = emulator.journal();
        let asked = journal.entries().next().unwrap().golive.clone().unwrap();
        assert_eq!((asked.legitimate, asked.release), (legitimate, truth.preview), "{entry}");
        assert_eq!(journal.illegitimate().count(), usize::from(!legitimate), "{entry}");
    }
}

#[tokio::test(start_paused = true)]
async fn golives_are_counted_by_release() {
    let emulator = field("offers: {contoso/vm: {previewVersion: 2}}");
    let golive = format!("{VM}/golive");
    post(&emulator, &golive).await;
    post(&emulator, &golive).await;
    pass(2).await;
    emulator.by_hand("contoso/vm", ManualAction::Edit).unwrap();
    post(&emulator, &format!("{VM}/publish")).await;
    pass(4).await;
    post(&emulator, &golive).await;
    let newer = emulator.truth("contoso/vm").unwrap().preview;
    let journal = emulator.journal();
    let releases: Vec<_> = journal.releases("Contoso/VM").collect();
    let counts = [
        (Some(2), Count { received: 2, accepted: 1 }),
        (newer, Count { received: 1, accepted: 1 }),
    ];
    assert_eq!(releases, counts);
    assert_eq!(journal.golives("contoso/vm"), Count { received: 3, accepted: 2 });
}

#[tokio::test(start_paused = true)]
async fn reading_the_journal_needs_no_token_and_is_not_in_it() {
    let emulator = field(
        "{token: secret, offers: {contoso/vm: {previewVersion: 2}}, \
         faults: [{path: '*journal', count: always, action: {status: 503}}]}",
    );
    let uri = format!("/api/publishers/{VM}/golive?api-version=2017-10-31");
    let headers = [("authorization", "Bearer secret"), ("x-ms-client-request-id", "r1")];
    assert_eq!(raw(&emulator, "POST", &uri, &headers, "").await.status, 202);
    let answer = raw(&emulator, "GET", "/_journal", &[], "").await;
    let again = raw(&emulator, "GET", "/_journal", &[], "").await;
    assert_eq!((answer.status, &answer.json), (200, &again.json));
    assert_eq!(
        answer.json,
        json!({
            "golives": [{
                "offer": "contoso/vm",
                "release": 2,
                "submission": "1152921504606846978",
                "received": 1,
                "accepted": 1
            }],
            "requests": [{
                "at": "2026-01-01T00:00:00Z",
                "method": "POST",
                "path": "/api/publishers/contoso/offers/vm/golive",
                "query": "api-version=2017-10-31",
                "status": 202,
                "ifMatch": null,
                "requestId": "r1",
                "notify": null,
                "accepted": true,
                "golive": {"offer": "contoso/vm", "release": 2, "legitimate": true},
            }],
        })
    );
}
