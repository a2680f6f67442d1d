//! From any initial state, one run converges to what the manifests want, and a second run sends
//! nothing.

use std::fmt::Write as _;

use golive::status::Phase;
use proptest::prelude::*;

use crate::harness::Harness;

/// An offer at the marketplace, and its manifest.
#[derive(Clone, Debug)]
struct Offer {
    /// Its seed.
    behaviour: String,
    /// The manifest's state.
    state: &'static str,
    pin: Option<u64>,
    suspended: bool,
    /// Waits for the previous offer.
    waits: bool,
}

impl Offer {
    fn manifest(&self, number: usize) -> String {
        let mut text = format!("publisher: contoso\noffer: vm-{number}\nstate: {}\n", self.state);
        if let Some(pin) = self.pin {
            writeln!(text, "version: {pin}").unwrap();
        }
        if self.suspended {
            text.push_str("suspend: true\n");
        }
        if self.waits && number > 0 {
            writeln!(text, "after: [contoso/vm-{}]", number - 1).unwrap();
        }
        text
    }

    /// Whether the run must bring it live.
    fn must_go_live(&self) -> bool {
        let ready = self.behaviour.starts_with("{previewVersion: 2");
        let fails = self.behaviour.contains("fail:") || self.behaviour.contains("cancel:");
        ready
            && !fails
            && self.state == "live"
            && self.pin.is_none()
            && !self.suspended
            && !self.waits
    }
}

fn any_offer() -> impl Strategy<Value = Offer> {
    let start = prop::sample::select(vec![
        "previewVersion: 2",
        "previewVersion: 2, liveVersion: 1",
        "previewVersion: 2, liveVersion: 2, status: Succeeded",
        "previewVersion: 2, liveVersion: 1, listStatus: published",
        "status: NeverPublished",
        "status: Running, operation: golive, previewVersion: 2, liveVersion: 1",
        "status: Running, operation: publish, previewVersion: 2",
        "status: Failed, operation: golive, previewVersion: 2",
        "status: Failed, operation: publish, previewVersion: 2, liveVersion: 2",
        "status: Canceled, operation: golive, previewVersion: 2",
    ]);
    let quirks = prop::sample::select(vec![
        "",
        ", header: absolute",
        ", header: relative",
        ", header: dollar",
        ", header: none",
        ", header: foreign",
        ", casing: pascal",
        ", casing: camel",
        ", arrayForm: true",
        ", succeededAs: complete",
        ", expire: {finished: true}",
        ", retryAfter: 90",
    ]);
    let end = prop::sample::select(vec![
        "",
        "",
        "",
        ", cancel: true",
        ", fail: {step: live, message: no}",
    ]);
    let state = prop::sample::select(vec!["live", "live", "live", "preview"]);
    let pin = prop_oneof![3 => Just(None), 1 => (1u64..4).prop_map(Some)];
    let flags = (prop::bool::weighted(0.1), prop::bool::weighted(0.2));
    (start, quirks, end, state, pin, flags).prop_map(|(start, quirks, end, state, pin, flags)| {
        Offer {
            behaviour: format!("{{{start}{quirks}{end}}}"),
            state,
            pin,
            suspended: flags.0,
            waits: flags.1,
        }
    })
}

async fn converges(offers: &[Offer]) -> Result<(), TestCaseError> {
    let mut seed = String::from("stepTime: 1h\noffers:\n");
    let mut manifests = Vec::new();
    for (number, offer) in offers.iter().enumerate() {
        writeln!(seed, "  contoso/vm-{number}: {}", offer.behaviour).unwrap();
        manifests.push(offer.manifest(number));
    }
    let harness = Harness::new(&seed);
    harness.manifest("all.yaml", &manifests.join("---\n"));
    harness.until_done().await;
    for (number, offer) in offers.iter().enumerate() {
        let name = format!("contoso/vm-{number}");
        let (received, _) = harness.golives(&name);
        // The marketplace may refuse a preview after a failed publish: that is shown, and not
        // repeated.
        prop_assert!(received <= 1, "{name}: golive was sent {received} times");
        if offer.suspended || offer.state == "preview" {
            prop_assert_eq!(received, 0, "{} was to be left alone", name);
        }
        if offer.must_go_live() {
            prop_assert_eq!(harness.phase(&name), Phase::Live, "{}", name);
        }
    }
    // A second run finds nothing to send, and one that has lost its memory nothing to start; it
    // may only be refused once more.
    let posts = || harness.emulator.journal().entries().filter(|it| it.method == "POST").count();
    let accepted = || harness.emulator.journal().entries().filter(|it| it.accepted).count();
    let before = (posts(), accepted());
    harness.until_done().await;
    prop_assert_eq!((posts(), accepted()), before, "a second run sent something");
    harness.delete_status();
    harness.until_done().await;
    prop_assert_eq!(accepted(), before.1, "a run without a status file started something");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_run_converges(offers in prop::collection::vec(any_offer(), 1..6)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(converges(&offers))?;
    }
}
