//! A scripted portal: what it answers to each question, the state that follows, and the questions
//! that were asked for it, in their order.

use super::*;
use crate::backends::portal::model::OfferStatus;
use crate::marketplace::{ChangedTime, Failed, Fence, InDoubt, Step, Version};
use jiff::Timestamp;

pub(super) const WAITS: &str = "waitingForPublisherReview";

/// What a portal answers.
#[derive(Clone, Debug)]
struct Portal {
    status: StatusReport,
    list: Vec<Submission>,
    operations: Vec<(&'static str, OperationAnswer)>,
    preview: SlotAnswer,
    production: SlotAnswer,
    tag: Option<&'static str>,
    /// The version of the document, and that of the list where it is asked anew.
    version: Option<Release>,
    listed_again: Option<Release>,
}

/// Its status: the word, the step `publisher-signoff`, the step `live`, and the number. An empty step
/// isn't there.
fn portal(word: &str, sign_off: &str, live: &str, number: Option<u64>) -> Portal {
    let steps = [("publisher-signoff", sign_off), ("live", live)];
    let steps = steps.into_iter().filter(|(_, status)| !status.is_empty());
    Portal {
        status: StatusReport {
            status: word.into(),
            steps: steps.map(|(id, status)| step(id, id, status)).collect(),
            messages: Vec::new(),
            publishing_version: number.map(Version),
            offer_version: None,
        },
        list: Vec::new(),
        operations: Vec::new(),
        preview: SlotAnswer::Empty,
        production: SlotAnswer::Empty,
        tag: None,
        version: None,
        listed_again: Some(Release::from(5)),
    }
}

impl Portal {
    /// Entries of the list: id, type (and slot), state, minute, number.
    fn list(mut self, entries: &[&str]) -> Self {
        self.list = entries.iter().map(|text| entry(text)).collect();
        self
    }

    /// What an operation says: its word, and its steps.
    fn says(self, id: &'static str, word: &str, steps: &[(&str, &str)]) -> Self {
        let steps = steps.iter().map(|(name, status)| step(name, name, status)).collect();
        let operation = Operation {
            status: word.into(),
            steps,
            messages: Vec::new(),
            offer_version: None,
            publishing_version: None,
        };
        self.answers(id, OperationAnswer::Read(operation))
    }

    fn answers(mut self, id: &'static str, answer: OperationAnswer) -> Self {
        self.operations.push((id, answer));
        self
    }

    /// The slots: preview and production; `None` is a 404.
    fn slots(mut self, preview: Option<u64>, production: Option<u64>) -> Self {
        let held = |slot: Option<u64>| {
            slot.map_or(SlotAnswer::Empty, |it| SlotAnswer::Release(Some(it.into())))
        };
        (self.preview, self.production) = (held(preview), held(production));
        self
    }

    fn steps(mut self, steps: &[(&str, &str, &str)]) -> Self {
        self.status.steps = steps.iter().map(|(id, name, status)| step(id, name, status)).collect();
        self
    }

    /// The state, in words, and the questions.
    fn inspect(&self, inquiry: &Inquiry) -> (String, String) {
        let (state, asked) = self.state(inquiry);
        (described(&state), asked)
    }

    fn state(&self, inquiry: &Inquiry) -> (OfferState, String) {
        let mut answers = Responses::default();
        let mut asked = Vec::new();
        for _ in 0..20 {
            match interpret(inquiry, &answers) {
                Ok(state) => return (state, asked.join(" ")),
                Err(question) => asked.push(self.answer(question, &mut answers)),
            }
        }
        panic!("it asks on and on: {asked:?}");
    }

    fn answer(&self, question: Question, answers: &mut Responses) -> String {
        let is_new = match &question {
            Question::Document => answers.document.is_none(),
            Question::Listed => answers.listed_again.is_none(),
            Question::Status => answers.report.is_none(),
            Question::Submissions => answers.submissions.is_none(),
            Question::Slot(Slot::Production) => answers.production.is_none(),
            Question::Slot(Slot::Preview) => answers.preview.is_none(),
            Question::Operation(it) => answers.operations.iter().all(|(id, _)| *id != it.id),
        };
        assert!(is_new, "{question:?} was answered already");
        match question {
            Question::Document => {
                let fence = self.tag.map(|tag| Fence(tag.to_owned()));
                answers.document = Some(Offer { etag: fence, version: self.version.clone() });
                "document".to_owned()
            }
            Question::Listed => {
                answers.listed_again = Some(ListedVersion(self.listed_again.clone()));
                "offers".to_owned()
            }
            Question::Status => {
                answers.report = Some(self.status.clone());
                "status".to_owned()
            }
            Question::Submissions => {
                answers.submissions = Some(self.list.clone());
                "list".to_owned()
            }
            Question::Slot(slot) => {
                match slot {
                    Slot::Production => answers.production = Some(self.production.clone()),
                    Slot::Preview => answers.preview = Some(self.preview.clone()),
                }
                slot.as_str().to_lowercase()
            }
            Question::Operation(OperationRef { id, .. }) => {
                let known = self.operations.iter().find(|(known, _)| *known == id);
                let answer = known.map_or(OperationAnswer::Expired, |(_, answer)| answer.clone());
                answers.operations.push((id.clone(), answer));
                id
            }
        }
    }
}

pub(super) fn step(id: &str, name: &str, status: &str) -> Step {
    Step {
        estimate: None,
        id: id.to_owned(),
        messages: Vec::new(),
        name: name.to_owned(),
        progress: None,
        status: status.into(),
    }
}

/// `p2 publish/staging succeeded 30 7`: id, type, slot, state, minute, number; `-` is nothing.
pub(super) fn entry(text: &str) -> Submission {
    let words: Vec<_> = text.split(' ').collect();
    let [id, kind, state, minute, number] = words[..] else { panic!("{text}") };
    let (kind, slot) = kind.split_once('/').map_or((kind, None), |(kind, slot)| (kind, Some(slot)));
    let said = |text: &str| (text != "-").then(|| text.parse::<u64>().unwrap());
    Submission {
        id: id.to_owned(),
        kind: kind.into(),
        state: state.into(),
        slot: slot.map(str::to_owned),
        offer_version: None,
        publishing_version: said(number).map(Version),
        changed_time: said(minute).map(|it| ChangedTime(format!("2026-11-30T10:{it:02}:00.651"))),
    }
}

/// What follows from a state: whether it would be launched, in the first place.
fn described(state: &OfferState) -> String {
    let name = |release: &Option<Release>| release.as_ref().map_or("?", Release::as_str).to_owned();
    if let Some(run) = &state.running {
        assert!(state.preview.is_none() && state.live.is_none(), "{state:?}");
        let kind = Some(run.kind.as_str()).filter(|kind| !kind.is_empty()).unwrap_or("something");
        let id = run.id.as_deref().unwrap_or("?");
        return format!("{kind} of {} runs as {id}", name(&run.release));
    }
    let mut told = Vec::new();
    match (&state.preview, &state.unclear, &state.last) {
        (Some(_), None, None) if state.is_launchable => {
            told.push(format!("launch {}", name(&state.preview)));
        }
        (Some(_), None, None) => told.push(format!("{} waits", name(&state.preview))),
        _ => {}
    }
    told.extend(state.unclear.iter().map(|_| "unclear".to_owned()));
    told.extend(state.last.as_ref().map(|last| {
        let kind = Some(last.kind.as_str()).filter(|kind| !kind.is_empty()).unwrap_or("something");
        format!("{kind} of {} {}", name(&last.release), last.status)
    }));
    told.extend(state.stale_preview.iter().map(|it| format!("{it} stands in preview")));
    told.extend(state.live.iter().map(|it| format!("{it} is live")));
    told.extend(state.draft.iter().map(|it| format!("draft {it}")));
    if told.is_empty() { "nothing".to_owned() } else { told.join(", ") }
}

/// A launch of an offer that was migrated, whose list names the number 5.
fn launch() -> Inquiry {
    Inquiry {
        wants_live: true,
        launches: true,
        seems_busy: true,
        listed: Some(Release::from(5)),
        ..Inquiry::default()
    }
}

/// A look at an offer that the list says nothing special of.
fn look() -> Inquiry {
    Inquiry { launches: false, seems_busy: false, ..launch() }
}

fn following(kind: &str, id: &str, release: u64) -> Following {
    let operation = Some(OperationRef { id: id.to_owned(), location: None });
    Following {
        kind: kind.into(),
        operation,
        release: Some(release.into()),
        started_at: Timestamp::UNIX_EPOCH,
        latest: None,
    }
}

/// Each portal with what follows and what was asked.
fn check(inquiry: &Inquiry, cases: &[(&str, Portal, &str, &str)]) {
    for (name, portal, told, asked) in cases {
        assert_eq!(portal.inspect(inquiry), ((*told).to_owned(), (*asked).to_owned()), "{name}");
    }
}

fn waits() -> Portal {
    portal("running", WAITS, "notStarted", Some(7))
}

#[test]
fn a_launch_takes_the_list_of_operations_and_the_status() {
    let usual =
        ["p2 publish succeeded 30 7", "g1 golive succeeded 20 6", "p1 publish succeeded 10 6"];
    for word in ["running", WAITS, "succeeded", "published", "notStarted", "Dreaming"] {
        let portal = portal(word, WAITS, "notStarted", Some(7)).list(&usual);
        check(&launch(), &[(word, portal, "launch 7", "list status")]);
    }
    let blocked = portal("running", WAITS, "blocked", Some(7)).list(&usual);
    check(&launch(), &[("the sign-off blocks `live`", blocked, "launch 7", "list status")]);
    let by_word = portal(WAITS, "", "notStarted", Some(7)).list(&usual);
    check(&launch(), &[("no such step", by_word, "launch 7", "list status")]);
    let fenced = Inquiry { may_be_fenced: true, ..launch() };
    let tagged = Portal { tag: Some("\"1\""), ..waits().list(&usual) };
    assert_eq!(tagged.state(&fenced).0.fence, Some(Fence("\"1\"".to_owned())));
    check(&fenced, &[("an ETag", tagged, "launch 7", "document list status")]);
    check(&fenced, &[("no ETag", waits(), "launch 7", "document list status")]);
    // Only to look takes as much, and what was seen may be launched at once.
    check(&look(), &[("a look", waits().list(&usual), "launch 7", "status list")]);
    let preview = Inquiry { wants_live: false, ..look() };
    check(&preview, &[("preview is enough", waits().list(&usual), "7 waits", "status")]);
}

#[test]
fn the_sign_off_step_is_found_by_what_it_is_called() {
    for steps in [
        [("publisher-signoff", "5", WAITS), ("live", "6", "notStarted")],
        [("5", "publisher-signoff", WAITS), ("6", "live", "notStarted")],
        [("5", "Publisher signoff", WAITS), ("6", "Live", "notStarted")],
        [("5", "Publisher Sign-off", "WaitingForPublisherReview"), ("6", "LIVE", "NotStarted")],
        // Under another name, it is the step that waits for the publisher.
        [("review", "Your review", WAITS), ("live", "Live", "notStarted")],
    ] {
        let portal = waits().steps(&steps);
        check(&launch(), &[(steps[0].1, portal, "launch 7", "list status")]);
    }
    let other = waits().steps(&[
        ("certify", "Certification", WAITS),
        ("publisher-signoff", "Publisher signoff", "notStarted"),
    ]);
    check(&launch(), &[("another step", other, "publish of 7 runs as ?", "list status")]);
}

#[test]
fn evidence_against_a_waiting_sign_off_blocks_the_launch() {
    for (word, live) in
        [("running", "inProgress"), ("running", "waitingForApproval"), ("succeeded", "complete")]
    {
        let portal = portal(word, WAITS, live, Some(7));
        check(&launch(), &[(live, portal, "unclear", "list status")]);
    }
    let never = portal("neverPublished", WAITS, "notStarted", Some(7));
    check(&launch(), &[("neverPublished", never, "unclear", "list status")]);
}

#[test]
fn a_publish_that_is_listed_as_running_may_be_the_one_of_what_waits() {
    let list = |entries: &[&str]| waits().list(entries);
    let launched = "launch 7";
    check(
        &launch(),
        &[
            ("same number", list(&["p2 publish running 30 7"]), launched, "list status"),
            ("no numbers", list(&["p2 publish running - -"]), launched, "list status"),
            (
                "the one before was launched",
                list(&[
                    "p2 publish running 30 -",
                    "g1 golive complete 20 -",
                    "p1 publish complete 10 -",
                ]),
                launched,
                "list status",
            ),
            (
                "the one before failed",
                list(&["p2 publish running 30 -", "p1 publish failed 10 -"]),
                launched,
                "list status",
            ),
            (
                "an older one that is stuck, too",
                list(&["p2 publish running 30 7", "p1 publish running 10 6"]),
                launched,
                "list status",
            ),
            (
                "a newer one, and the status lags behind",
                list(&["p3 publish running 30 8", "p2 publish succeeded 20 7"]).says(
                    "p3",
                    "running",
                    &[("displaycertify", "inProgress")],
                ),
                "publish of 8 runs as p3",
                "list status p3",
            ),
        ],
    );
}

#[test]
fn a_publish_that_is_listed_as_running_is_asked_where_it_may_be_another() {
    let list = |entries: &[&str]| waits().list(entries);
    let (launched, other) = ("launch 7", ["p2 publish running 30 902"]);
    check(
        &launch(),
        &[
            ("another number", list(&other).says("p2", "running", &[]), launched, "list status p2"),
            (
                "another number, unreadable",
                list(&other).answers("p2", OperationAnswer::Unreadable),
                launched,
                "list status p2",
            ),
            (
                "another number, and it moves",
                list(&other).says("p2", "running", &[("displaycertify", "inProgress")]),
                "publish of 902 runs as p2",
                "list status p2",
            ),
            (
                "either, and it says that it waits",
                list(&["p3 publish running 30 -", "p2 publish succeeded 20 -"]).says(
                    "p3",
                    "running",
                    &[("publisher-signoff", WAITS)],
                ),
                launched,
                "list status p3",
            ),
            (
                "either, and it says that it has ended",
                list(&["p3 publish running 30 -", "p2 publish succeeded 20 -"]).says(
                    "p3",
                    "complete",
                    &[],
                ),
                launched,
                "list status p3",
            ),
            (
                "either, and it has expired",
                list(&["p3 publish running 30 -", "p2 publish succeeded 20 -"]),
                launched,
                "list status p3",
            ),
            (
                "either, and nothing can be read",
                list(&["p3 publish running 30 -", "p2 publish succeeded 20 -"])
                    .answers("p3", OperationAnswer::Unreadable),
                "publish of ? runs as p3",
                "list status p3",
            ),
        ],
    );
}

#[test]
fn a_golive_that_is_listed_as_running_is_not_launched_again() {
    let begun = ["x golive running 40 7", "x publish complete 30 7"];
    let stuck = ["p2 publish complete 40 7", "g1 golive running 20 6", "p1 publish complete 10 6"];
    let later = ["g2 golive running 40 7", "p2 publish complete 30 7"];
    let list = |entries: &[&str]| waits().list(entries);
    let runs = "golive of 7 runs as g2";
    check(
        &launch(),
        &[
            // What `complete` speaks of is the publish.
            (
                "one id",
                list(&begun).says("x", "complete", &[]),
                "golive of 7 runs as x",
                "list status x",
            ),
            ("it runs", list(&later).says("g2", "running", &[]), runs, "list status g2"),
            ("not known yet", list(&later), runs, "list status g2"),
            (
                "unreadable",
                list(&later).answers("g2", OperationAnswer::Unreadable),
                runs,
                "list status g2",
            ),
            (
                "an unknown type, with the slot",
                list(&["g2 signoff/Production running 40 902"]).says("g2", "running", &[]),
                runs,
                "list status g2",
            ),
            // Published since, which is refused while an operation runs.
            ("a word that is stuck", list(&stuck), "launch 7", "list status"),
            (
                "stuck, in a space of its own",
                list(&[
                    "p2 publish complete 40 3",
                    "g1 golive running 20 2",
                    "p1 publish complete 10 1",
                ]),
                "launch 7",
                "list status",
            ),
            (
                "it has failed",
                list(&later).says("g2", "failed", &[("live", "failed")]),
                "golive of 7 failed",
                "list status g2",
            ),
        ],
    );
    // The newest are asked first, however long the list of stuck words is.
    let mut many = vec!["p publish succeeded 1 -".to_owned()];
    many.extend((0..9).map(|at| format!("s{at} golive running {} -", at + 2)));
    many.push("g golive running 40 -".to_owned());
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let portal = list(&many).says("g", "running", &[]);
    check(&launch(), &[("many", portal, "golive of 7 runs as g", "list status g")]);
}

#[test]
fn a_golive_that_failed_is_shown_and_not_repeated() {
    let failed = "golive of 7 failed";
    let list = |entries: &[&str]| waits().list(entries);
    check(
        &launch(),
        &[
            (
                "newest first",
                list(&["g golive failed 40 7", "p publish succeeded 30 7"]),
                failed,
                "list status g",
            ),
            (
                "oldest first, in a space of its own",
                list(&["p publish succeeded 30 2", "g golive failed 40 2"]),
                failed,
                "list status g",
            ),
            (
                "no times",
                list(&["p publish succeeded - 2", "g golive failed - 2"]),
                failed,
                "list status g",
            ),
            (
                "nothing to tell by",
                list(&["p publish succeeded - -", "g golive failed - -"]),
                failed,
                "list status g",
            ),
            (
                "equal times",
                list(&["g golive failed 30 -", "p publish succeeded 30 -"]),
                failed,
                "list status g",
            ),
            ("no publish", list(&["g golive failed 30 -"]), failed, "list status g"),
            (
                "canceled",
                list(&["g golive canceled 40 7", "p publish succeeded 30 7"]),
                "golive of 7 canceled",
                "list status g",
            ),
            (
                "a publish after it failed, too",
                list(&[
                    "q publish failed 50 8",
                    "g golive failed 40 7",
                    "p publish succeeded 30 7",
                ]),
                failed,
                "list status g",
            ),
        ],
    );
}

#[test]
fn a_golive_that_failed_says_nothing_of_a_newer_release() {
    let list = |entries: &[&str]| waits().list(entries);
    check(
        &launch(),
        &[
            (
                "a newer release",
                list(&[
                    "q publish succeeded 50 7",
                    "g golive failed 40 6",
                    "p publish succeeded 30 6",
                ]),
                "launch 7",
                "list status",
            ),
            (
                "a newer release, in a space of its own",
                list(&[
                    "p publish succeeded 30 1",
                    "g golive failed 40 1",
                    "q publish succeeded 50 2",
                ]),
                "launch 7",
                "list status",
            ),
            (
                "a newer release, times alone",
                list(&[
                    "q publish succeeded 50 -",
                    "g golive failed 40 -",
                    "p publish succeeded 30 -",
                ]),
                "launch 7",
                "list status",
            ),
        ],
    );
}

#[test]
fn a_failure_without_its_own_entry_comes_from_the_status() {
    let list = ["p2 publish succeeded 30 7", "p1 publish failed 10 6"];
    let by_step = portal("running", WAITS, "failed", Some(7)).list(&list);
    let rejected = portal("running", WAITS, "rejected", Some(7)).list(&list);
    let by_word = portal("failed", WAITS, "notStarted", Some(7)).list(&list);
    let over = ["p3 publish canceled 40 8", "p2 publish succeeded 30 7"];
    let explained = portal("canceled", WAITS, "notStarted", Some(7)).list(&over);
    check(
        &launch(),
        &[
            ("the step", by_step, "golive of 7 failed", "list status"),
            ("the step, rejected", rejected, "golive of 7 failed", "list status"),
            (
                "the word, which no old failure explains",
                by_word,
                "something of 7 failed",
                "list status",
            ),
            ("a publish over it was canceled", explained, "launch 7", "list status"),
        ],
    );
}

#[test]
fn a_golive_that_succeeded_is_not_repeated_while_the_sign_off_seems_to_wait() {
    let list = |entries: &[&str]| waits().list(entries);
    check(
        &launch(),
        &[
            (
                "its release",
                list(&["g golive complete 40 7", "p publish complete 30 7"]),
                "unclear",
                "list status",
            ),
            (
                "numbers of another space",
                list(&["g golive complete 40 2", "p publish complete 30 2"]),
                "unclear",
                "list status",
            ),
            (
                "the release before",
                list(&["p publish complete 50 7", "g golive complete 40 6"]),
                "launch 7",
                "list status",
            ),
            (
                "nothing to tell by: the step counts",
                list(&["p publish complete - -", "g golive complete - -"]),
                "launch 7",
                "list status",
            ),
        ],
    );
}

#[test]
fn a_waiting_release_has_a_name_even_if_the_status_names_none() {
    let nameless = portal("running", WAITS, "notStarted", None);
    // The list's, as it is now: what a list of a while ago names may have been replaced.
    let replaced = Portal { listed_again: Some(Release::from(6)), ..nameless.clone() };
    check(&launch(), &[("the list's", replaced, "launch 6", "list status offers")]);
    let nameless = Portal { listed_again: None, ..nameless };
    let by_offer = Portal {
        status: StatusReport { offer_version: Some(Version(3)), ..nameless.status.clone() },
        ..nameless.clone()
    };
    let unlisted = Inquiry { listed: None, ..launch() };
    let huge = portal("running", WAITS, "notStarted", Some(u64::MAX));
    check(
        &unlisted,
        &[
            ("a huge one", huge, "launch 18446744073709551615", "list status"),
            ("the offer's", by_offer, "launch 3", "list status offers"),
            (
                "the slot's",
                nameless.clone().slots(Some(4), None),
                "launch 4",
                "list status offers preview",
            ),
            (
                "the publish's",
                nameless.clone().list(&["p publish complete 30 9"]),
                "launch 9",
                "list status offers preview",
            ),
            ("none", nameless, "unclear", "list status offers preview"),
        ],
    );
}

#[test]
fn a_pin_may_be_any_name_of_what_waits() {
    let pinned = |pin: u64| Inquiry { pin: Some(pin.into()), ..launch() };
    let portal = waits().slots(Some(4), Some(3));
    let cases = [
        (7, Some(7_u64), "launch 7", "list status"),
        (4, Some(7), "launch 7", "list status preview"),
        (3, None, "launch 7, 3 is live", "list status preview production"),
    ];
    for (pin, named, expected, questions) in cases {
        let (state, asked) = portal.state(&pinned(pin));
        assert_eq!((described(&state).as_str(), asked.as_str()), (expected, questions), "{pin}");
        assert_eq!(state.pinned, named.map(Release::from), "{pin}");
    }
    // The list's number names what waits only where no slot says otherwise.
    let nameless = self::portal("running", WAITS, "notStarted", None);
    assert_eq!(nameless.state(&pinned(5)).0.pinned, Some(Release::from(5)));
    assert_eq!(nameless.slots(Some(4), None).state(&pinned(5)).0.pinned, None);
}

#[test]
fn live_is_what_the_status_names() {
    let live = |number| portal("succeeded", "complete", "complete", number);
    let between = live(Some(7)).steps(&[
        ("displayprovision", "Provisioning", "inProgress"),
        ("publisher-signoff", "Publisher signoff", "complete"),
        ("live", "Live", "complete"),
    ]);
    check(
        &look(),
        &[
            ("named", live(Some(7)), "7 is live", "status list"),
            ("a step between that is stuck", between, "7 is live", "status list"),
            (
                "by the slot",
                live(None).slots(Some(4), Some(3)),
                "3 is live",
                "status production list",
            ),
            (
                "an empty slot",
                live(None).slots(Some(4), None),
                "unclear",
                "status production preview",
            ),
            ("slots that don't answer", live(None), "5 is live", "status production preview list"),
            (
                "a golive that failed since",
                live(Some(6)).list(&["g golive failed 40 7", "p publish complete 30 7"]),
                "golive of 7 failed, 7 stands in preview, 6 is live",
                "status list g",
            ),
        ],
    );
    let under_way = portal("succeeded", "complete", "inProgress", Some(7));
    check(&look(), &[("not yet", under_way, "golive of 7 runs as ?", "status list")]);
    // Just after a publish, the status is the one of the publication before.
    let busy = Inquiry { seems_busy: true, ..look() };
    check(
        &busy,
        &[
            (
                "a publish has begun",
                live(Some(6)).list(&["p publish running 30 7"]).says("p", "running", &[]),
                "publish of 7 runs as p",
                "list status p",
            ),
            (
                "a list whose word is stuck",
                live(Some(7)).list(&["g golive running 40 7", "p publish running 30 7"]),
                "7 is live",
                "list status",
            ),
            (
                "stuck, and expired",
                live(Some(7)).list(&["g golive running 40 2"]),
                "7 is live",
                "list status g",
            ),
        ],
    );
}

#[test]
fn a_type_without_the_usual_steps_is_live_by_what_else_there_is() {
    let complete = |id| (id, id, "complete");
    let without_live = portal("succeeded", "complete", "", Some(7))
        .steps(&[complete("displaycertify"), complete("publisher-signoff")]);
    let not_over = portal("succeeded", "notStarted", "", Some(7));
    let bare = portal("succeeded", "", "", Some(7));
    let asked = "status list production preview";
    check(
        &look(),
        &[
            ("all steps", without_live.clone(), "7 is live", asked),
            ("equal slots", without_live.clone().slots(Some(4), Some(4)), "4 is live", asked),
            (
                "another in preview",
                without_live.slots(Some(4), Some(3)),
                "unclear, 3 is live",
                asked,
            ),
            ("not signed off", not_over, "unclear", asked),
            ("no steps", bare.clone(), "unclear", asked),
            ("no steps, but slots", bare.slots(None, Some(4)), "4 is live", asked),
        ],
    );
}

#[test]
fn a_running_operation_has_the_release_of_the_status() {
    let publish = portal("running", "notStarted", "notStarted", Some(7));
    let golive = portal("running", "complete", "notStarted", Some(7));
    let no_sign_off = portal("running", "", "inProgress", Some(7));
    let stuck = ["p publish running 30 2"];
    check(
        &look(),
        &[
            (
                "a publish",
                publish.list(&["p publish running 30 2"]),
                "publish of 7 runs as p",
                "status list",
            ),
            (
                "a golive",
                golive.clone().list(&["g golive running 40 2", "p publish running 30 2"]),
                "golive of 7 runs as g",
                "status list",
            ),
            // The publish isn't what runs, whatever its word is.
            ("no entry", golive.list(&stuck), "golive of 7 runs as ?", "status list"),
            ("no sign-off", no_sign_off.list(&stuck), "golive of 7 runs as ?", "status list"),
        ],
    );
}

#[test]
fn a_failure_is_reported_with_or_without_its_entry() {
    let failed = portal("failed", "complete", "failed", Some(7));
    let canceled = portal("canceled", "canceled", "canceled", Some(7));
    let blocked = portal("failed", "notStarted", "notStarted", Some(7)).steps(&[
        ("displaycertify", "Certification", "blocked"),
        ("publisher-signoff", "Publisher signoff", "notStarted"),
    ]);
    let old = ["p2 publish succeeded 30 7", "g1 golive failed 20 6", "p1 publish succeeded 10 6"];
    let own = ["g2 golive failed 40 7", "p2 publish succeeded 30 7"];
    let slots = "status list production preview";
    check(
        &look(),
        &[
            (
                "its entry, and slots",
                failed.clone().list(&own).slots(Some(4), Some(3)),
                "golive of 7 failed, 7 stands in preview, 3 is live",
                "status list g2 production preview",
            ),
            (
                "no slots",
                failed.clone().list(&own),
                "golive of 7 failed, 7 stands in preview",
                "status list g2 production preview",
            ),
            (
                "no entry of its own",
                failed.list(&old),
                "golive of 7 failed, 7 stands in preview",
                slots,
            ),
            (
                "a publish that was canceled with all its steps",
                canceled.slots(None, Some(3)),
                "publish of 7 canceled, 3 is live",
                slots,
            ),
            (
                "a publish over a preview: that keeps its own number",
                blocked.slots(Some(4), Some(3)),
                "publish of 7 failed, 4 stands in preview, 3 is live",
                slots,
            ),
        ],
    );
}

#[test]
fn a_draft_is_published_unless_something_runs() {
    let never = portal("neverPublished", "notStarted", "notStarted", None);
    let begun = never.clone().list(&["p publish running 30 -"]).says("p", "running", &[]);
    let preview = Inquiry { wants_live: false, ..launch() };
    check(
        &preview,
        &[
            ("a draft", never.clone(), "draft 5", "list status"),
            ("just begun", begun.clone(), "publish of ? runs as p", "list status p"),
            (
                "failed",
                never.clone().list(&["p publish failed 30 -"]),
                "publish of ? failed, draft 5",
                "list status p",
            ),
        ],
    );
    check(&launch(), &[("someone publishes", begun, "publish of ? runs as p", "list status p")]);
    check(&look(), &[("not wanted", never, "draft 5", "status")]);
}

#[test]
fn an_operation_that_is_followed_tells_by_itself_while_it_runs() {
    let golive = |portal: Portal| {
        let inquiry =
            Inquiry { following: Some(following("golive", "g", 7)), seems_busy: true, ..look() };
        portal.inspect(&inquiry)
    };
    let live = portal("succeeded", "complete", "complete", Some(7));
    let before = portal("succeeded", "complete", "complete", Some(6));
    let running = portal("running", "complete", "inProgress", Some(7));
    let runs = "golive of 7 runs as g";
    let cases = [
        ("it runs", live.clone().says("g", "running", &[]), runs, "g"),
        ("it has ended", live.clone().says("g", "complete", &[]), "7 is live", "g list status"),
        ("expired", live.clone(), "7 is live", "g list status"),
        (
            "unreadable",
            live.clone().answers("g", OperationAnswer::Unreadable),
            "7 is live",
            "g list status",
        ),
        (
            "one id with the publish",
            running.clone().says("g", "complete", &[]),
            runs,
            "g list status",
        ),
        (
            "unreadable, and running",
            running.answers("g", OperationAnswer::Unreadable),
            runs,
            "g list status",
        ),
        // A word that golive doesn't know may be one for the end.
        (
            "an unknown last word",
            live.clone().says("g", "published", &[]),
            "7 is live",
            "g list status",
        ),
        ("unknown, but a step moves", live.says("g", "x", &[("live", "inProgress")]), runs, "g"),
        ("failed, and fallen back", before.says("g", "failed", &[]), "6 is live", "g list status"),
    ];
    for (name, portal, told, asked) in cases {
        assert_eq!(golive(portal), (told.to_owned(), asked.to_owned()), "{name}");
    }
}

#[test]
fn loose_ends_are_read_beside_a_running_operation() {
    let inquiry =
        Inquiry { following: Some(following("golive", "g", 7)), loose_ends: true, ..look() };
    let portal = waits().list(&["p publish complete 30 7"]).says("g", "running", &[]);
    check(&inquiry, &[("the sign-off lags", portal.clone(), "golive of 7 runs as g", "g list")]);
    assert_eq!(portal.state(&inquiry).0.listed.map(|it| it.len()), Some(1));
}

#[test]
fn nothing_rests_on_an_operation_that_could_not_be_read() {
    let inquiry = Inquiry { following: Some(following("golive", "g", 7)), ..look() };
    for portal in [waits(), portal("succeeded", "complete", "complete", Some(6))] {
        let mut answers = Responses::default();
        answers.operations.push(("g".to_owned(), OperationAnswer::Unreadable));
        answers.report = Some(portal.status);
        answers.submissions = Some(Vec::new());
        let asked = interpret(&inquiry, &answers);
        assert!(matches!(&asked, Err(Question::Operation(it)) if it.id == "g"), "{asked:?}");
    }
}

#[test]
fn without_numbers_and_slots_a_fallback_is_not_taken_for_the_release() {
    let live = portal("succeeded", "complete", "complete", None);
    let asked = "g status production preview";
    let golive = Inquiry { following: Some(following("golive", "g", 5)), ..look() };
    let listed = format!("{asked} list");
    check(
        &golive,
        &[
            ("it succeeded", live.clone().says("g", "succeeded", &[]), "5 is live", asked),
            ("by the list", live.clone().list(&["g golive complete 40 -"]), "5 is live", &listed),
            ("failed", live.clone().list(&["g golive failed 40 -"]), "unclear", &listed),
            ("unknown", live, "unclear", &listed),
        ],
    );
}

#[test]
fn a_release_known_to_have_failed_is_live_only_by_a_later_golive() {
    let at = "2026-11-30T10:30:00Z".parse().unwrap();
    let failed = Failed { id: Some("g".to_owned()), release: Some(7.into()), at: Some(at) };
    let inquiry = Inquiry { failed: Some(failed), ..look() };
    let live = portal("succeeded", "complete", "complete", Some(7));
    let fallen_back = portal("succeeded", "complete", "complete", Some(6));
    check(
        &inquiry,
        &[
            (
                "the same",
                live.clone().list(&["g golive complete 20 7"]),
                "unclear",
                "status list production",
            ),
            ("nothing", live.clone(), "unclear", "status list production"),
            ("another", live.clone().list(&["h golive complete 40 7"]), "7 is live", "status list"),
            ("one id", live.clone().list(&["g golive complete 40 7"]), "7 is live", "status list"),
            ("another release", fallen_back, "6 is live", "status list"),
            (
                "in production as well",
                live.clone().slots(Some(6), Some(7)),
                "7 is live",
                "status list production",
            ),
        ],
    );
    // Listed as running, it is the one that failed, unless it has changed since.
    let again = Inquiry { launches: true, ..inquiry };
    let stuck = waits().list(&["g golive running 20 7", "p publish succeeded 10 7"]);
    let begun = waits().list(&["g golive running 40 7", "p publish succeeded 10 7"]);
    check(
        &again,
        &[
            ("stuck", stuck, "launch 7", "list status"),
            ("begun once more", begun, "golive of 7 runs as g", "list status g"),
        ],
    );
}

#[test]
fn a_doubt_is_settled_by_what_is_new_in_the_list() {
    let known = ["p publish succeeded 30 7", "g1 golive running 5 -"];
    let asked = waits().list(&known).says("g1", "failed", &[]);
    let before = asked.state(&launch()).0.attempts;
    let doubt = InDoubt {
        kind: OperationKind::GoLive,
        release: 7.into(),
        at: "2026-11-30T10:35:00Z".parse().unwrap(),
        known: Some(before),
    };
    let inquiry = Inquiry { in_doubt: Some(doubt), ..launch() };
    let with = |new: &'static str| waits().list(&[new, known[0], known[1]]);
    check(
        &inquiry,
        &[
            ("nothing new", waits().list(&known), "launch 7", "list status"),
            ("it runs", with("g2 golive running 36 7"), "golive of 7 runs as g2", "list status g2"),
            ("it failed", with("g2 golive failed 36 7"), "golive of 7 failed", "list status g2"),
            (
                "at once",
                with("g2 golive complete 36 7"),
                "unclear, golive of 7 succeeded",
                "list status",
            ),
        ],
    );
    let (state, _) = with("g2 golive failed 36 7").state(&inquiry);
    assert!(state.last.unwrap().is_new);
    // Two releases of one list, and a status that has fallen back.
    let back = portal("succeeded", "complete", "complete", Some(6)).list(&[
        "g2 golive failed 36 7",
        known[0],
        known[1],
    ]);
    check(&inquiry, &[("fallen back", back, "golive of 7 failed, 6 is live", "list status g2")]);
}

#[test]
fn the_words_of_a_list_of_offers_do_not_decide() {
    // Whatever the list says, and whatever it is that it names.
    for (seems_busy, listed) in [(false, None), (true, None), (true, Some(999))] {
        let inquiry = Inquiry { seems_busy, listed: listed.map(Release::from), ..launch() };
        check(&inquiry, &[("waits", waits(), "launch 7", "list status")]);
        let live = portal("succeeded", "complete", "complete", Some(7));
        let inquiry = Inquiry { launches: false, ..inquiry };
        let asked = if seems_busy { "list status" } else { "status list" };
        check(&inquiry, &[("live", live, "7 is live", asked)]);
    }
    assert!(matches!(waits().status.status, OfferStatus::Running));
}
