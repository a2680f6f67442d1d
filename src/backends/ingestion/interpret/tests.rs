//! Lists of submissions, and the state that follows from them, whatever their order.

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::backends::ingestion::model::{JobState, Stage};
use crate::marketplace::{Failed, OperationRef, OperationStatus};

const JOB: &str = "7b1a6cd2-4a6b-4b3e-9d53-0a1c1f2e3d4c";

fn product() -> Product {
    Product { guid: "guid".to_owned(), lifecycle: Lifecycle::Active, is_confirmed: true }
}

/// An entry: number, target, `status/result` (or `-`), and the day it was created (or `-`).
fn entry(text: &str) -> Submission {
    let words: Vec<_> = text.split(' ').collect();
    let [number, target, stage, day, ..] = words[..] else { panic!("{text}") };
    let target = match target {
        "draft" => Target::Draft,
        "preview" => Target::Preview,
        "live" => Target::Live,
        _ => Target::Other,
    };
    let stage = match stage {
        "-" => Stage::Unpublished,
        "running" | "notStarted" => Stage::Running,
        "succeeded" => Stage::Succeeded,
        "failed" => Stage::Failed,
        "cancelled" => Stage::Canceled,
        other => Stage::Unknown(other.to_owned()),
    };
    let created = (day != "-").then(|| format!("2026-11-{day:0>2}T10:00:00Z").parse().unwrap());
    let is_deprecated = words.get(4) == Some(&"deprecated");
    Submission { number: number.to_owned(), target, stage, created, is_deprecated }
}

fn list(entries: &[&str]) -> Vec<Submission> {
    entries.iter().map(|text| entry(text)).collect()
}

fn wants_live() -> Inquiry {
    Inquiry { wants_live: true, ..Inquiry::default() }
}

fn following(kind: OperationKind, number: &str) -> Inquiry {
    let operation = Some(OperationRef { id: JOB.to_owned(), location: None });
    let release = Some(Release::new(number));
    let following = Some(Following {
        kind,
        operation,
        release,
        started_at: Timestamp::UNIX_EPOCH,
        latest: None,
    });
    Inquiry { following, ..wants_live() }
}

fn golive_of(number: &str) -> Inquiry {
    following(OperationKind::GoLive, number)
}

fn job(state: JobState) -> Heard {
    let text = "a reason".to_owned();
    let messages = vec![Message { level: Level::Error, text, at: None }];
    Heard::Says(Job { state, messages })
}

/// The state in few words.
fn told(state: &OfferState) -> String {
    let mut words = Vec::new();
    let mut tell = |what: &str, release: &Option<Release>| {
        words.extend(release.as_ref().map(|release| format!("{what} {release}")));
    };
    tell("live", &state.live);
    tell("preview", &state.preview);
    tell("stale", &state.stale_preview);
    tell("draft", &state.draft);
    if let Some(run) = &state.running {
        let release = run.release.as_ref().map_or("?", Release::as_str);
        words.push(format!("runs {} {release}", run.kind));
    }
    if let Some(last) = &state.last {
        let release = last.release.as_ref().map_or("?", Release::as_str);
        words.push(format!("last {} {release} {}", last.kind, last.status));
    }
    words.extend(state.unclear.as_ref().map(|why| format!("unclear: {why}")));
    words.join(", ")
}

/// The state that a list gives in any order, with a draft and entries of unknown targets between.
#[track_caller]
fn state_of(inquiry: &Inquiry, entries: &[&str]) -> OfferState {
    let mut all = entries.to_vec();
    all.extend(["9 flight running 3", "8 retail succeeded 4"]);
    let mut states = Vec::new();
    for turn in 0..all.len() {
        all.rotate_left(turn);
        for _ in 0..2 {
            all.reverse();
            let answers = Answers { submissions: Some(list(&all)), job: None };
            let mut state = interpret(&product(), inquiry, &answers).unwrap();
            state.attempts.sort();
            states.push(state);
        }
    }
    states.dedup();
    assert_eq!(states.len(), 1, "the order matters: {states:#?}");
    states.pop().unwrap()
}

#[track_caller]
fn assert_states(inquiry: &Inquiry, rows: &[(&[&str], &str)]) {
    for (entries, expected) in rows {
        assert_eq!(told(&state_of(inquiry, entries)), *expected, "{entries:?}");
    }
}

#[test]
fn every_shape_of_a_product_is_told_by_ids_in_any_order() {
    assert_states(
        &wants_live(),
        &[
            (&["0 draft - -"], "draft 0"),
            (&["0 draft - -", "2 preview running 2"], "runs publish 2"),
            (&["2 preview notStarted 2"], "runs publish 2"),
            (&["0 draft - -", "2 preview succeeded 2"], "preview 2"),
            (&["0 draft - -", "2 preview failed 2"], "draft 0, last publish 2 failed"),
            (&["1 live succeeded 1", "2 preview succeeded 2"], "live 1, preview 2"),
            (&["1 live succeeded 1", "2 preview running 2"], "live 1, runs publish 2"),
            (&["1 live succeeded 1", "2 preview failed 2"], "live 1, last publish 2 failed"),
            (&["1 live succeeded 1", "2 live running 2"], "live 1, runs golive 2"),
            (&["1 live succeeded 1", "2 live notStarted 2"], "live 1, runs golive 2"),
            (&["1 live succeeded 1", "2 live failed 2"], "live 1, stale 2, last golive 2 failed"),
            (
                &["1 live succeeded 1", "2 live cancelled 2"],
                "live 1, stale 2, last golive 2 canceled",
            ),
            (&["2 live running 2"], "runs golive 2"),
            (&["2 live failed 2"], "stale 2, last golive 2 failed"),
            // One entry an id, and both entries listed.
            (&["0 draft - -", "2 live succeeded 2"], "live 2"),
            (&["2 live succeeded 2", "2 preview succeeded 1"], "live 2"),
            (&["2 live running 2", "2 preview succeeded 1"], "runs golive 2"),
            (&["2 live failed 2", "2 preview succeeded 1"], "stale 2, last golive 2 failed"),
            (
                &["1 live succeeded 1", "2 live running 3", "2 preview succeeded 2"],
                "live 1, runs golive 2",
            ),
            // The newest preview counts, by its date.
            (&["2 preview succeeded 2", "3 preview succeeded 3"], "preview 3"),
            (&["2 preview succeeded 2", "3 preview running 3"], "runs publish 3"),
            (&["2 preview succeeded 2", "3 preview failed 3"], "last publish 3 failed"),
            (
                &["2 live succeeded 2", "2 preview succeeded 2", "3 preview succeeded 3"],
                "live 2, preview 3",
            ),
            (&["9 preview succeeded 2", "10 preview succeeded 3"], "preview 10"),
            // A live entry's date is no evidence against a preview.
            (&["1 live succeeded 9", "2 preview succeeded 2"], "live 1, preview 2"),
            // A new preview after a golive that failed; a failure before what is live.
            (
                &["1 live succeeded 1", "2 live failed 2", "3 preview succeeded 3"],
                "live 1, preview 3",
            ),
            (&["1 live failed 1", "2 live succeeded 2"], "live 2"),
            (&["2 live failed 1", "1 live succeeded 2"], "live 1, stale 2, last golive 2 failed"),
            (&["1 live succeeded 1", "2 live succeeded 2"], "live 2"),
            // Nineteen digits.
            (&["1152921504606846977 preview succeeded 2"], "preview 1152921504606846977"),
            // The draft is being published.
            (&["0 draft running -"], "runs publish ?"),
            (&["2 preview succeeded 1", "0 draft running -"], "runs publish ?"),
            (&[], ""),
        ],
    );
}

#[test]
fn what_is_not_clear_blocks_and_is_shown() {
    let twice = "unclear: several preview submissions are listed (2, 3), and their dates don't say \
                 which is the newest";
    let deprecated = "unclear: the product is deprecated: a golive would bring it back to the \
                      marketplace; restore it in Partner Center if that is wanted";
    let live_twice = twice.replace("preview", "live").replace("2, 3", "1, 2");
    let sorted =
        |state: OfferState| told(&state).replace("(3, 2)", "(2, 3)").replace("(2, 1)", "(1, 2)");
    for (entries, expected) in [
        (vec!["2 preview frozen 2"], "unclear: submission 2 (preview) is \"frozen\""),
        (vec!["2 preview - 2"], "unclear: submission 2 (preview) has no status"),
        (
            vec!["1 live succeeded 1", "2 live levitating/pending 2"],
            "live 1, unclear: submission 2 (live) is \"levitating/pending\"",
        ),
        (vec!["2 preview succeeded 2", "1 live - 1"], "unclear: submission 1 (live) has no status"),
        (vec!["1 live succeeded 1 deprecated", "2 preview succeeded 2"], deprecated),
        (vec!["2 live succeeded 2 deprecated"], deprecated),
    ] {
        let state = state_of(&wants_live(), &entries);
        assert_eq!(told(&state), expected);
        assert!(!state.is_launchable && state.fence.is_none());
    }
    for (entries, expected) in [
        (["2 preview succeeded 2", "3 preview succeeded 2"], twice),
        (["2 preview succeeded -", "3 preview succeeded 3"], twice),
        (["1 live succeeded -", "2 live succeeded -"], live_twice.as_str()),
    ] {
        for entries in [entries, [entries[1], entries[0]]] {
            let answers = Answers { submissions: Some(list(&entries)), job: None };
            let state = interpret(&product(), &wants_live(), &answers).unwrap();
            assert_eq!(sorted(state), expected);
        }
    }
    // One entry on two pages is one; one that changed meanwhile is not believed.
    let twice = ["2 preview succeeded 2", "2 preview succeeded 2"];
    assert_eq!(told(&state_of(&wants_live(), &twice)), "preview 2");
    let changed = state_of(&wants_live(), &["2 preview succeeded 2", "2 preview running 2"]);
    assert!(changed.unclear.is_some() && changed.preview.is_none());
    // The product itself may say it.
    for (lifecycle, word) in
        [(Lifecycle::Deprecated, "deprecated"), (Lifecycle::Deleted, "deleted")]
    {
        let product = Product { lifecycle, ..product() };
        let submissions = Some(list(&["1 live succeeded 1", "2 preview succeeded 2"]));
        let answers = Answers { submissions, job: None };
        let state = interpret(&product, &wants_live(), &answers).unwrap();
        assert!(state.live.is_none() && state.unclear.unwrap().contains(word));
    }
    let nothing = state_of(&Inquiry::default(), &[]);
    assert_eq!(nothing.unclear, None, "entries of other targets are listed");
    let answers = Answers { submissions: Some(Vec::new()), job: None };
    let nothing = interpret(&product(), &Inquiry::default(), &answers).unwrap();
    assert!(nothing.unclear.unwrap().contains("not even a draft"));
}

#[test]
fn the_preview_s_number_is_the_release_and_the_fence() {
    let state = state_of(&wants_live(), &["1 live succeeded 1", "2 preview succeeded 2"]);
    assert_eq!(state.fence, Some(Fence("2".to_owned())));
    assert!(state.is_launchable && state.is_inspected);
    // A failed golive can be tried again, by a person.
    let state = state_of(&wants_live(), &["1 live succeeded 1", "2 live failed 2"]);
    assert_eq!((state.fence, state.is_launchable), (Some(Fence("2".to_owned())), true));
    let last = state.last.unwrap();
    assert_eq!(last.id.as_deref(), Some("submission/2/live"));
    assert!(last.messages[0].text.ends_with("/offers/guid/overview"));
    // Nothing guards a publish.
    let state = state_of(&Inquiry::default(), &["0 draft - -"]);
    assert_eq!((state.fence, state.is_launchable), (None, true));
    // A product that only a file names is looked up before a launch.
    let product = Product { is_confirmed: false, ..product() };
    let answers = Answers { submissions: Some(list(&["2 preview succeeded 2"])), job: None };
    assert!(!interpret(&product, &wants_live(), &answers).unwrap().is_launchable);
}

#[test]
fn the_submission_tells_the_state_and_the_job_its_errors() {
    const WAITS: &[&str] = &["1 live succeeded 1", "2 preview succeeded 2"];
    const GOES: &[&str] = &["1 live succeeded 1", "2 live running 2"];
    const IS_LIVE: &[&str] = &["2 live succeeded 2"];
    const FAILED: &[&str] = &["1 live succeeded 1", "2 live failed 2"];
    const GONE: &[&str] = &["1 live succeeded 1"];
    const REPLACED: &[&str] = &["1 live succeeded 1", "3 preview succeeded 3"];
    const OTHER: &[&str] = &["1 live succeeded 1", "3 preview running 3"];
    let says = |state| Some(job(state));
    // The list, the job (`None`: it must not be asked for), the state, the operation's status.
    for (entries, job, state, status) in [
        // The submission is enough.
        (GOES, None, "live 1, runs golive 2", "running"),
        (IS_LIVE, None, "live 2", "succeeded"),
        // Accepted, and not listed yet.
        (WAITS, says(JobState::Running), "live 1, runs golive 2", "running"),
        (WAITS, says(JobState::Succeeded), "live 1, preview 2", "succeeded"),
        (WAITS, says(JobState::Failed), "live 1, preview 2", "failed"),
        (WAITS, says(JobState::Canceled), "live 1, preview 2", "canceled"),
        (WAITS, says(JobState::Refused), "live 1, preview 2", "refused"),
        (WAITS, says(JobState::Over), "live 1, preview 2", ""),
        (WAITS, Some(Heard::Gone), "live 1, preview 2", ""),
        // A failure is explained, if the job still can be read.
        (FAILED, says(JobState::Failed), "live 1, stale 2, last golive 2 failed", "failed"),
        (FAILED, Some(Heard::Gone), "live 1, stale 2, last golive 2 failed", "failed"),
        (FAILED, Some(Heard::Silent), "live 1, stale 2, last golive 2 failed", "failed"),
        // A second try that doesn't show yet.
        (FAILED, says(JobState::Running), "live 1, runs golive 2", "running"),
        (FAILED, says(JobState::Succeeded), "live 1, runs golive 2", "running"),
        // A preview that is no longer listed is neither failure nor success.
        (GONE, says(JobState::Running), "live 1, runs golive 2", "running"),
        (GONE, Some(Heard::Gone), "live 1", ""),
        (REPLACED, says(JobState::Refused), "live 1, preview 3", "refused"),
        (REPLACED, Some(Heard::Gone), "live 1, preview 3", ""),
        // Another client's publish.
        (OTHER, says(JobState::Refused), "live 1, runs publish 3", "refused"),
        (OTHER, Some(Heard::Silent), "live 1, runs publish 3", ""),
    ] {
        let mut answers = Answers { submissions: Some(list(entries)), job: None };
        let first = interpret(&product(), &golive_of("2"), &answers);
        if let Some(job) = &job {
            assert!(matches!(first, Err(Question::Job { .. })), "{entries:?}: {first:?}");
            answers.job = Some(job.clone());
        }
        let found = interpret(&product(), &golive_of("2"), &answers).unwrap();
        assert_eq!(told(&found), state, "{entries:?}, {job:?}");
        let followed = match &found.followed {
            Some(Followed::Known(report)) => report.status.to_string(),
            Some(Followed::Expired) => String::new(),
            None => panic!("{found:?}"),
        };
        assert_eq!(followed, status, "{entries:?}, {job:?}");
        let polled =
            report(&product(), golive_of("2").following.as_ref().unwrap(), &answers).unwrap();
        assert_eq!(polled.map(|it| it.status.to_string()).unwrap_or_default(), status);
        let is_explained = |messages: &[Message]| messages.iter().any(|it| it.text == "a reason");
        if let (Some(last), Some(Heard::Says(_))) = (&found.last, &job) {
            assert!(is_explained(&last.messages));
            assert_eq!(last.id.as_deref(), Some(JOB));
        }
    }
}

#[test]
fn a_job_that_nothing_else_can_replace_must_be_readable() {
    let asks = |entries: &[&str], job: Option<Heard>| {
        let answers = Answers { submissions: Some(list(entries)), job };
        interpret(&product(), &golive_of("2"), &answers)
    };
    let question = |is_needed| Err(Question::Job { id: JOB.to_owned(), is_needed });
    let waits = ["2 preview succeeded 2"];
    assert_eq!(asks(&waits, None), question(true));
    assert_eq!(asks(&waits, Some(Heard::Silent)), question(true));
    assert_eq!(asks(&["2 live failed 2"], None), question(false));
    assert_eq!(asks(&["3 preview running 3"], None), question(false));
    // One that was adopted has no job to read: the list alone tells.
    let mut adopted = golive_of("2");
    let operation = OperationRef { id: "submission/2/live".to_owned(), location: None };
    adopted.following.as_mut().unwrap().operation = Some(operation);
    let answers = Answers { submissions: Some(list(&waits)), job: None };
    let state = interpret(&product(), &adopted, &answers).unwrap();
    assert_eq!((told(&state).as_str(), state.followed), ("preview 2", Some(Followed::Expired)));
    let answers = Answers { submissions: Some(list(&["2 live running 2"])), job: None };
    let state = interpret(&product(), &adopted, &answers).unwrap();
    assert_eq!(state.running.unwrap().id.as_deref(), Some("submission/2/live"));
}

#[test]
fn an_operation_keeps_its_id_and_another_one_gets_its_own() {
    let id = |inquiry: &Inquiry, entries: &[&str]| {
        let answers = Answers { submissions: Some(list(entries)), job: Some(Heard::Gone) };
        interpret(&product(), inquiry, &answers).unwrap().running.unwrap().id
    };
    let golive = golive_of("2");
    assert_eq!(id(&golive, &["2 live running 2"]).as_deref(), Some(JOB));
    assert_eq!(id(&golive, &["3 live running 2"]).as_deref(), Some("submission/3/live"));
    assert_eq!(id(&golive, &["3 preview running 2"]).as_deref(), Some("submission/3/preview"));
    assert_eq!(id(&golive, &["0 draft running -"]), None);
    let publish = following(OperationKind::Publish, DRAFT);
    assert_eq!(id(&publish, &["0 draft running -"]).as_deref(), Some(JOB));
    assert_eq!(id(&publish, &["3 preview running 2"]).as_deref(), Some(JOB));
    assert_eq!(id(&publish, &["3 live running 2"]).as_deref(), Some("submission/3/live"));
    // A failure on record is not taken for another one.
    let failed = Failed { id: Some(JOB.to_owned()), release: Some(Release::new("2")), at: None };
    let known = Inquiry { failed: Some(failed), ..wants_live() };
    let last = |entries| state_of(&known, entries).last.unwrap().id.unwrap();
    assert_eq!(last(&["1 live succeeded 1", "2 live failed 2"]), JOB);
    assert_eq!(last(&["1 live succeeded 1", "3 live failed 2"]), "submission/3/live");
}

#[test]
fn a_publish_is_followed_before_and_after_it_has_a_number() {
    let publish = following(OperationKind::Publish, DRAFT);
    let publish = Inquiry { wants_live: false, ..publish };
    let says = |state| Some(job(state));
    for (entries, job, state, status) in [
        (&["0 draft - -"][..], says(JobState::Running), "runs publish 0", "running"),
        (&["0 draft - -"], says(JobState::Failed), "draft 0", "failed"),
        (&["0 draft running -"], None, "runs publish ?", "running"),
        (&["0 draft - -", "2 preview running 2"], None, "runs publish 2", "running"),
        (&["0 draft - -", "2 preview succeeded 2"], None, "preview 2", "succeeded"),
        (
            &["0 draft - -", "2 preview failed 2"],
            says(JobState::Failed),
            "draft 0, last publish 2 failed",
            "failed",
        ),
        // Somebody took it live at once.
        (&["2 live succeeded 2"], says(JobState::Succeeded), "live 2", "succeeded"),
    ] {
        let answers = Answers { submissions: Some(list(entries)), job };
        let found = interpret(&product(), &publish, &answers).unwrap();
        assert_eq!(told(&found), state, "{entries:?}");
        let Some(Followed::Known(report)) = found.followed else { panic!("{found:?}") };
        assert_eq!(report.status.to_string(), status, "{entries:?}");
    }
}

#[test]
fn a_lost_answer_is_settled_by_the_list_alone() {
    let doubt = |kind: OperationKind, number: &str, known: Option<&[&str]>| {
        let known = known.map(|known| known.iter().copied().map(AttemptMark::stateless).collect());
        let at = "2026-11-30T10:00:00Z".parse().unwrap();
        let in_doubt = Some(InDoubt { kind, release: Release::new(number), at, known });
        Inquiry { in_doubt, ..wants_live() }
    };
    let before: &[&str] = &["1/golive", "2/publish"];
    let golive = doubt(OperationKind::GoLive, "2", Some(before));
    let new = |inquiry: &Inquiry, entries| {
        let state = state_of(inquiry, entries);
        let found = state.listed.iter().flatten().find(|it| it.is_new);
        found.map(|it| format!("{} {}", it.release.as_ref().unwrap(), it.status))
    };
    // What was listed before is what stands in the intent.
    let state = state_of(&wants_live(), &["1 live succeeded 1", "2 preview succeeded 2"]);
    let attempts: Vec<_> = state.attempts.iter().map(AttemptMark::id).collect();
    assert_eq!(attempts, before);
    let waits: &[&str] = &["1 live succeeded 1", "2 preview succeeded 2"];
    assert_eq!(new(&golive, waits), None);
    assert_eq!(new(&golive, &["2 live succeeded 2"]).as_deref(), Some("2 succeeded"));
    assert_eq!(
        new(&golive, &["1 live succeeded 1", "2 live failed 2"]).as_deref(),
        Some("2 failed")
    );
    let state = state_of(&golive, &["1 live succeeded 1", "2 live running 2"]);
    assert_eq!(told(&state), "live 1, runs golive 2");
    // A release that another client took live isn't the request's result.
    assert_eq!(new(&golive, &["3 live succeeded 3"]), None);
    // A second try at a failed release leaves no mark of its own.
    let again = doubt(OperationKind::GoLive, "2", Some(&["1/golive", "2/golive"]));
    assert_eq!(new(&again, &["1 live succeeded 1", "2 live failed 2"]), None);
    let publish = doubt(OperationKind::Publish, DRAFT, Some(&[]));
    assert_eq!(new(&publish, &["0 draft - -"]), None);
    assert_eq!(new(&publish, &["2 preview failed 2"]).as_deref(), Some("2 failed"));
    let unknown = doubt(OperationKind::GoLive, "2", None);
    assert_eq!(new(&unknown, &["2 live succeeded 2"]).as_deref(), Some("2 succeeded"));
    assert_eq!(new(&unknown, waits), None);
}

fn any_entry() -> impl Strategy<Value = Submission> {
    let number = select(vec!["1", "2", "3", "1152921504606846977"]);
    let target = select(vec!["preview", "preview", "live", "live", "draft", "flight"]);
    let stage =
        select(vec!["running", "succeeded", "succeeded", "failed", "cancelled", "-", "odd"]);
    let day = select(vec!["-", "1", "2", "3", "4", "5", "6"]);
    (number, target, stage, day)
        .prop_map(|(number, target, stage, day)| entry(&format!("{number} {target} {stage} {day}")))
}

fn any_job() -> impl Strategy<Value = Heard> {
    let states = vec![
        JobState::Running,
        JobState::Succeeded,
        JobState::Failed,
        JobState::Canceled,
        JobState::Refused,
        JobState::Over,
    ];
    prop_oneof![4 => select(states).prop_map(job), 1 => Just(Heard::Gone), 1 => Just(Heard::Silent)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]
    #[test]
    fn no_list_makes_golive_launch_what_does_not_wait(
        entries in prop::collection::vec(any_entry(), 0..6),
        job in any_job(),
        wants_live in any::<bool>(),
        followed in select(vec!["", "1", "2"]),
        shift in 0_usize..6,
    ) {
        let inquiry = if followed.is_empty() { self::wants_live() } else { golive_of(followed) };
        let inquiry = Inquiry { wants_live, ..inquiry };
        let answers = Answers { submissions: Some(entries.clone()), job: Some(job.clone()) };
        let found = interpret(&product(), &inquiry, &answers);
        let mut turned = entries.clone();
        turned.rotate_left(shift % entries.len().max(1));
        let again = Answers { submissions: Some(turned), job: Some(job) };
        let again = interpret(&product(), &inquiry, &again);
        let Ok(state) = found else {
            prop_assert!(again.is_err());
            return Ok(());
        };
        let again = again.unwrap();
        let facts = |it: &OfferState| {
            let runs = it.running.as_ref().map(|run| run.kind.clone());
            (it.live.clone(), it.preview.clone(), runs, it.unclear.is_some(), it.is_launchable)
        };
        prop_assert_eq!(facts(&state), facts(&again));
        let relevant = || entries.iter().filter(|it| it.target != Target::Other);
        let of = |target: Target, release: &Release| {
            let number = release.as_str().to_owned();
            relevant().filter(move |it| it.target == target && it.number == number)
        };
        if let Some(preview) = &state.preview {
            prop_assert!(relevant().all(|it| it.stage != Stage::Running), "{state:?}");
            prop_assert!(of(Target::Preview, preview).all(|it| it.stage == Stage::Succeeded));
            prop_assert!(of(Target::Preview, preview).next().is_some());
            prop_assert!(of(Target::Live, preview).next().is_none());
            prop_assert_eq!(state.fence.as_ref().map(|it| it.0.as_str()), Some(preview.as_str()));
        }
        if let Some(live) = &state.live {
            prop_assert!(of(Target::Live, live).any(|it| it.stage == Stage::Succeeded));
        }
        if state.running.is_some() || state.unclear.is_some() {
            let at_hand = state.preview.as_ref().or(state.stale_preview.as_ref());
            prop_assert!(at_hand.is_none() && !state.is_launchable && state.fence.is_none());
        }
        if state.listed.iter().flatten().any(|it| it.status == OperationStatus::Refused) {
            prop_assert!(false, "a submission is never refused");
        }
    }
}
