//! What a seed can say against its profile, key by key.

use pretty_assertions::assert_eq;
use serde_json::json;

use super::*;
use crate::emulator::{Count, ManualAction};

const VM: &str = "contoso/offers/vm";
const STATUS: &str = "contoso/offers/vm/status";
const LIST: &str = "contoso/offers";
const ENTRIES: &str = "contoso/offers/vm/submissions";

/// One offer of two releases, 1 live and 2 in preview, that is answered so.
fn answering(answers: &str) -> Emulator {
    field(&format!(
        "offers: {{contoso/vm: {{previewVersion: 2, liveVersion: 1, answers: {answers}}}}}"
    ))
}

/// The word, the publication and the statuses of the sign-off and of the last step.
async fn shown(emulator: &Emulator) -> String {
    let status = get(emulator, STATUS).await.json;
    let step = |index: usize| status["steps"][index]["status"].as_str().unwrap();
    let word = status["status"].as_str().unwrap();
    format!("{word} of {}: {}, {}", status["publishingVersion"], step(4), step(5))
}

const WAITS: &str = "running of 2: waitingForPublisherReview, notStarted";
const LIVE: &str = "succeeded of 1: complete, complete";

#[tokio::test(start_paused = true)]
async fn status_words_depend_on_the_answer_and_the_stage() {
    let emulator = answering(
        "{listWords: {signOff: running, live: published}, documentWords: {golive: odd}, \
         statusWords: {golive: hovering}}",
    );
    let words = async || {
        [
            text(&emulator, LIST, "/0/status").await,
            text(&emulator, VM, "/status").await,
            text(&emulator, STATUS, "/status").await,
        ]
    };
    assert_eq!(words().await, ["running", "waitingForPublisherReview", "running"]);
    post(&emulator, &format!("{VM}/golive")).await;
    assert_eq!(words().await, ["odd", "odd", "hovering"]);
    pass(2).await;
    assert_eq!(words().await, ["published", "succeeded", "succeeded"]);
}

#[tokio::test(start_paused = true)]
async fn an_offers_entry_overrides_the_seed_and_that_the_profile() {
    let emulator = field(
        "{answers: {listWords: {signOff: one, live: two}, etags: true, slots: missing},
          offers: {contoso/a: {}, contoso/b: {answers: {listWords: {signOff: own}, etags: false}},
                   contoso/c: {profile: documented}}}",
    );
    let list = get(&emulator, LIST).await.json;
    let words: Vec<&str> =
        list.as_array().unwrap().iter().map(|offer| offer["status"].as_str().unwrap()).collect();
    assert_eq!(words, ["one", "own", "one"]);
    let tagged = async |offer: &str| {
        let answer = get(&emulator, &format!("contoso/offers/{offer}")).await;
        (answer.header("etag").is_some(), answer.json.get("eTag").is_some())
    };
    assert_eq!(tagged("a").await, (true, true));
    assert_eq!(tagged("b").await, (false, false));
    assert_eq!(text(&emulator, "contoso/offers/c/status", "/steps/5/stepName").await, "Live");
    assert_eq!(get(&emulator, "contoso/offers/b/slot/preview").await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn a_failure_falls_back_or_shows_or_leaves_the_preview_waiting() {
    let golive_failed = "failed of 2: complete, failed";
    for (answers, after_publish, after_golive) in [
        ("{}", WAITS, golive_failed),
        ("{afterFailure: failed}", "failed of 3: notStarted, notStarted", golive_failed),
        ("{afterFailure: fallback}", WAITS, LIVE),
        ("{afterFailure: signOff}", WAITS, WAITS),
    ] {
        for (hand, expected) in
            [(ManualAction::StartPublish, after_publish), (ManualAction::StartGoLive, after_golive)]
        {
            let small = answers.replace('}', &format!("{}numbers: small}}", separator(answers)));
            let emulator = answering(&small);
            emulator.by_hand("contoso/vm", hand.clone()).unwrap();
            emulator.by_hand("contoso/vm", ManualAction::Fail("no".into())).unwrap();
            let shown = shown(&emulator).await;
            let expected = without_publication(expected);
            assert_eq!(without_publication(&shown), expected, "{answers} {hand:?}");
            assert_eq!(text(&emulator, ENTRIES, "/0/submissionState").await, "failed");
            // What shows a sign-off that waits can be signed off; nothing else can.
            let answer = post(&emulator, &format!("{VM}/golive")).await;
            let waits = shown.contains("waitingForPublisherReview");
            assert_eq!(answer.status, if waits { 202 } else { 409 }, "{answers} {hand:?}");
        }
    }
    // The publication that is shown is the one before, by its number.
    let emulator = answering("{afterFailure: fallback}");
    assert_eq!(shown(&emulator).await, WAITS);
    emulator.by_hand("contoso/vm", ManualAction::StartGoLive).unwrap();
    emulator.by_hand("contoso/vm", ManualAction::Fail("no".into())).unwrap();
    assert_eq!(shown(&emulator).await, LIVE);
    assert_eq!(text(&emulator, &format!("{VM}/slot/preview"), "/version").await, "1");
}

fn separator(answers: &str) -> &'static str {
    if answers == "{}" { "" } else { ", " }
}

fn without_publication(shown: &str) -> String {
    let (word, rest) = shown.split_once(" of ").unwrap();
    format!("{word}: {}", rest.split_once(": ").unwrap().1)
}

#[tokio::test(start_paused = true)]
async fn the_old_status_stays_for_a_while_after_a_publish() {
    let emulator = answering("{staleAfterPublish: 10m, unchangedPublish: publishes}");
    post(&emulator, &format!("{VM}/publish")).await;
    assert_eq!(shown(&emulator).await, WAITS);
    assert_eq!(text(&emulator, VM, "/status").await, "running");
    pass(599).await;
    assert_eq!(shown(&emulator).await, WAITS);
    pass(1).await;
    let new = text(&emulator, ENTRIES, "/0/publishingVersion").await;
    let waits = WAITS.replace('2', &new);
    assert_eq!(shown(&emulator).await, waits);

    let emulator = answering("{staleAfterPublish: 2, unchangedPublish: publishes}");
    for _ in 0..2 {
        post(&emulator, &format!("{VM}/publish")).await;
        pass(5).await;
        let before = shown(&emulator).await;
        assert_eq!(shown(&emulator).await, before);
        assert_ne!(shown(&emulator).await, before);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_draft_is_published_where_the_seed_says_so() {
    for (entry, runs) in [
        ("{}", 1),
        ("{answers: {unchangedPublish: publishes}}", 2),
        ("{profile: documented}", 2),
        ("{profile: documented, answers: {unchangedPublish: ignored}}", 1),
    ] {
        let emulator = field(&format!("offers: {{contoso/vm: {entry}}}"));
        assert_eq!(post(&emulator, &format!("{VM}/publish")).await.status, 202, "{entry}");
        assert_eq!(emulator.truth("contoso/vm").unwrap().runs.len(), runs, "{entry}");
    }
}

#[tokio::test(start_paused = true)]
async fn list_and_slots_can_lag_behind() {
    let emulator = answering("{lag: {list: 1m, slots: 2m}}");
    post(&emulator, &format!("{VM}/golive")).await;
    pass(2).await;
    assert_eq!(shown(&emulator).await, "succeeded of 2: complete, complete");
    let live = format!("{VM}/slot/production");
    for (word, version, seconds) in
        [("waitingForPublisherReview", "1", 58), ("running", "1", 1), ("succeeded", "1", 60)]
    {
        assert_eq!(text(&emulator, LIST, "/0/status").await, word);
        assert_eq!(text(&emulator, &live, "/version").await, version);
        pass(seconds).await;
    }
    assert_eq!(text(&emulator, &live, "/version").await, "2");
}

#[tokio::test(start_paused = true)]
async fn submissions_can_be_listed_in_other_ways() {
    let emulator = answering(
        "{sharedId: true, goliveType: publish, publishInSignOff: running, offerIds: guid}",
    );
    let list = get(&emulator, ENTRIES).await.json;
    let publish = list[0].clone();
    assert_eq!(publish["submissionState"], "running");
    assert_eq!(publish["offerId"].as_str().unwrap().len(), 36);
    assert_eq!(get(&emulator, &format!("{ENTRIES}?status=running")).await.json, json!([publish]));
    let answer = post(&emulator, &format!("{VM}/golive")).await;
    assert!(answer.header("location").unwrap().contains(publish["id"].as_str().unwrap()));
    let list = get(&emulator, ENTRIES).await.json;
    let row = |own: &Value| {
        ["submissionType", "submissionState", "slot"]
            .map(|name| own[name].as_str().unwrap().to_owned())
    };
    assert_eq!(row(&list[0]), ["publish", "running", "production"]);
    assert_eq!(list[0]["id"], publish["id"]);
    assert_eq!(list.as_array().unwrap().len(), 2, "one submission a release");
}

#[tokio::test(start_paused = true)]
async fn numbers_can_count_apart_and_publications_can_be_unnumbered() {
    let emulator = answering("{numbers: apart}");
    assert_eq!(text(&emulator, VM, "/version").await, "2");
    let number = text(&emulator, STATUS, "/publishingVersion").await;
    assert_eq!(number, "636576975611768316");
    assert_eq!(text(&emulator, ENTRIES, "/0/publishingVersion").await, number);
    let emulator = answering("{publishingVersion: false}");
    assert_eq!(get(&emulator, STATUS).await.json.get("publishingVersion"), None);
    assert_eq!(get(&emulator, ENTRIES).await.json[0].get("publishingVersion"), None);
}

#[tokio::test(start_paused = true)]
async fn a_second_golive_can_be_accepted_and_starts_over() {
    let golive = format!("{VM}/golive");
    for (answers, code) in [("{}", 409), ("{secondGolive: 400}", 400), ("{secondGolive: 409}", 409)]
    {
        let emulator = answering(answers);
        assert_eq!(post(&emulator, &golive).await.status, 202);
        assert_eq!(post(&emulator, &golive).await.status, code, "{answers}");
        pass(5).await;
        assert_eq!(post(&emulator, &golive).await.status, code, "{answers}");
    }
    let emulator = answering("{secondGolive: accept}");
    let first = post(&emulator, &golive).await;
    let second = post(&emulator, &golive).await;
    assert_eq!((first.status, second.status), (202, 202));
    assert_ne!(first.header("location"), second.header("location"));
    pass(5).await;
    assert_eq!(shown(&emulator).await, "succeeded of 2: complete, complete");
    assert_eq!(post(&emulator, &golive).await.status, 202, "live already");
    let journal = emulator.journal();
    assert_eq!(journal.golives("contoso/vm"), Count { received: 3, accepted: 3 });
    assert_eq!(journal.illegitimate().count(), 2);
    // What is no second golive is refused all the same.
    let emulator =
        field("offers: {contoso/vm: {status: NeverPublished, answers: {secondGolive: accept}}}");
    assert_eq!(post(&emulator, &golive).await.status, 409);
    post(&emulator, &format!("{VM}/publish")).await;
    assert_eq!(post(&emulator, &golive).await.status, 409);
}

#[tokio::test(start_paused = true)]
async fn a_golive_can_be_canceled_where_the_seed_says_so() {
    let emulator = answering("{cancelGolive: ends}");
    post(&emulator, &format!("{VM}/golive")).await;
    assert_eq!(post(&emulator, &format!("{VM}/cancel")).await.status, 202);
    pass(1).await;
    assert_eq!(text(&emulator, ENTRIES, "/0/submissionState").await, "canceled");
    assert_eq!(shown(&emulator).await, WAITS);
}

#[tokio::test(start_paused = true)]
async fn an_offer_without_a_step_for_the_sign_off_is_not_live_before_its_golive() {
    for profile in ["field", "documented"] {
        let emulator = field(&format!(
            "{{profile: {profile}, offers: {{contoso/vm: {{steps: [validate, live]}}}}}}"
        ));
        assert_eq!(steps(&emulator, STATUS).await, ["complete", "notStarted"], "{profile}");
        let id = text(&emulator, ENTRIES, "/0/id").await;
        let operation = get(&emulator, &format!("{VM}/operations/{id}")).await.json;
        assert_eq!(operation["steps"][1]["status"], "notStarted", "{profile}");
        post(&emulator, &format!("{VM}/golive")).await;
        assert_eq!(steps(&emulator, STATUS).await, ["complete", "inProgress"], "{profile}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_list_can_be_filtered_by_type() {
    let emulator = field("offers: {contoso/a: {type: x}, contoso/b: {}}");
    for (filter, count) in [("offerTypeId%20eq%20'x'", 1), ("offerTypeId%20eq%20'y'", 0), ("x", 2)]
    {
        let list = get(&emulator, &format!("{LIST}?$filter={filter}")).await.json;
        assert_eq!(list.as_array().unwrap().len(), count, "{filter}");
    }
}
