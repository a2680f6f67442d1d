//! Time and allocations of the parts of a run that process every offer, for 10 to 100,000 offers.
//!
//! ```sh
//! cargo bench --bench parts                       # all; about two minutes
//! cargo bench --bench parts -- plan               # those with `plan` in their names
//! cargo bench --bench parts -- --max-time 30      # longer, if figures vary too much
//! ```
//!
//! How to read it:
//!
//! - `item/s` counts offers. If it stays the same from row to row, growth is linear; if it falls by ten
//!   as the offers grow by ten, growth is quadratic. Some decrease is normal: lookups use trees, which for
//!   100,000 offers are five times as deep as for 10, and no longer fit the processor's caches.
//! - Compare the column `fastest`: other load on the machine only slows the others down. The last row
//!   may have a single sample; `--max-time` gives it more.
//! - `alloc` has the allocations of one run over all offers, and their bytes below; `max alloc` the most
//!   that were held at once. Growth is linear if they grow by ten. They are the same on every machine,
//!   except for `load`, which uses several threads, of which one is counted.
//! - `status_commit` differs: it changes one offer, and the whole file is written. Its time is the cost of
//!   one change among so many offers, and its `item/s` counts the offers written.
//!
//! Counting allocations takes time itself, so everything is a little slower here than in the program.
//! Creating the input and dropping the result is not measured.

#![expect(clippy::unwrap_used, reason = "a benchmark panics if it can't continue")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use divan::counter::{BytesCount, ItemsCount};
use divan::{AllocProfiler, Bencher};
use golive::changes::{self, DecisionTime, Input, Observation, ObservedOffer, Policy};
use golive::clock::SystemClock;
use golive::disk::{Disk as _, RealDisk, replace};
use golive::manifest::{self, DesiredState, FileManifests, Found, Loaded};
use golive::marketplace::{
    ChangedTime, Hint, Listing, OfferId, OfferState, OperationKind, OperationStatus, Release,
    RequestId, Settling, Step, StepStatus,
};
use golive::status::{
    self, ManifestRecord, ObservationRecord, OfferRecord, OperationRecord, Phase, Reason,
    StatusFile, StatusStore,
};
use jiff::Timestamp;
use tempfile::TempDir;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

/// The numbers of offers.
const OFFERS: [usize; 4] = [10, 1_000, 10_000, 100_000];

/// The offers of one publisher.
const OFFERS_OF_ONE: usize = 500;

/// One offer in this many waits for the previous one.
const ONE_WAITS_IN: usize = 10;

/// The steps of a golive, with the marketplace's names.
const STEPS: [(&str, &str); 6] = [
    ("displaydummycertify", "Validate Pre-Requisites"),
    ("displaycertify", "Certification"),
    ("displayprovision", "Provisioning"),
    ("displaypackage", "Packaging and Lead Generation Registration"),
    ("publisher-signoff", "Publisher signoff"),
    ("live", "Live"),
];

fn main() {
    // Small ones end by sample count, large ones by time, so that all end soon.
    let divan = divan::Divan::default().sample_count(50).max_time(Duration::from_secs(2));
    divan.config_with_args().main();
}

fn path(number: usize) -> PathBuf {
    format!("publisher-{}/offer-{number}.yaml", number / OFFERS_OF_ONE).into()
}

fn text(number: usize) -> String {
    let publisher = format!("publisher-{}", number / OFFERS_OF_ONE);
    let waits = number % ONE_WAITS_IN == ONE_WAITS_IN - 1;
    let after =
        if waits { format!("after: [{publisher}/offer-{}]\n", number - 1) } else { String::new() };
    format!(
        "publisher: {publisher}\noffer: offer-{number}\nstate: live\n{after}\
         notify: [release@example.com]\nlabels:\n  team: compute\n  wave: \"{}\"\n",
        number % 3
    )
}

fn found(offers: usize) -> Found {
    let files = (0..offers).map(path).collect();
    Found { files, ..Found::default() }
}

fn parsed(texts: &[(PathBuf, String)]) -> Vec<FileManifests> {
    texts.iter().map(|(path, text)| FileManifests::from_bytes(path, text.as_bytes())).collect()
}

fn texts(offers: usize) -> Vec<(PathBuf, String)> {
    (0..offers).map(|number| (path(number), text(number))).collect()
}

fn desired(offers: usize) -> BTreeMap<OfferId, Arc<Loaded>> {
    manifest::assemble(&found(offers), &parsed(&texts(offers))).unwrap().offers
}

/// A folder on the program's disk: the temporary folder may be in memory.
fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn recorded_at() -> Timestamp {
    "2026-11-01T09:00:00.123456789Z".parse().unwrap()
}

fn decision_time() -> DecisionTime {
    let now = "2026-11-22T12:00:00Z".parse().unwrap();
    let (longest_request, settle) = (Duration::from_mins(2), Duration::from_mins(1));
    DecisionTime { now, longest_request, settling: Settling::all(settle) }
}

fn changed_time(day: u8) -> ChangedTime {
    ChangedTime(format!("2026-11-{day:02}T09:00:00.1234567Z"))
}

/// The finished golive of version 1.
fn operation(offer: &OfferId, digest: &str) -> OperationRecord {
    let step = |(id, name): (&str, &str)| Step {
        estimate: Some("< 1 day".to_owned()),
        id: id.to_owned(),
        messages: Vec::new(),
        name: name.to_owned(),
        progress: Some(100),
        status: StepStatus::Complete,
    };
    let id = "518ff742-cfa0-4fba-822e-f423d0fd60bf".to_owned();
    let path = offer.to_string().replace('/', "/offers/");
    let location = format!("/api/publishers/{path}/operations/{id}?api-version=2017-10-31");
    OperationRecord {
        adopted: false,
        finished_at: Some(recorded_at()),
        id: Some(id),
        kind: OperationKind::GoLive,
        location: Some(location),
        manifest_digest: digest.to_owned(),
        messages: Vec::new(),
        polled_at: Some(recorded_at()),
        presumed: false,
        progress: Some(100),
        release: Some(Release::from(1)),
        request_id: Some(RequestId::from_random([7; 16])),
        started_at: recorded_at(),
        status: OperationStatus::Succeeded,
        steps: STEPS.into_iter().map(step).collect(),
    }
}

/// The record of an offer whose version 1 is live.
fn record(desired: &Loaded) -> OfferRecord {
    OfferRecord {
        attempts: 1,
        error: None,
        history: Vec::new(),
        intent: None,
        manifest: ManifestRecord {
            digest: desired.digest.clone(),
            file: desired.file.display().to_string(),
            state: DesiredState::Live,
        },
        message: "version 1 is live".to_owned(),
        next_check_at: None,
        observed: Some(ObservationRecord {
            at: recorded_at(),
            changed_time: Some(changed_time(1)),
            fingerprint: Some(fingerprint(1, 1)),
            live: Some(Release::from(1)),
            preview: Some(Release::from(1)),
            product: None,
            status: "succeeded".to_owned(),
        }),
        operation: Some(operation(&desired.id, &desired.digest).into()),
        phase: Phase::Live,
        reason: Reason::InProduction,
        refused: None,
        since: recorded_at(),
    }
}

fn recorded(desired: &BTreeMap<OfferId, Arc<Loaded>>) -> BTreeMap<OfferId, Arc<OfferRecord>> {
    desired.iter().map(|(offer, loaded)| (offer.clone(), record(loaded).into())).collect()
}

/// A status file of offers that are live.
fn status_file(offers: usize) -> StatusFile {
    let offers = recorded(&desired(offers));
    StatusFile { offers, ..StatusFile::empty(recorded_at()) }
}

fn fingerprint(release: u64, day: u8) -> String {
    format!("{release} {}", changed_time(day).0)
}

/// An offer's entry in its publisher's list.
fn listing(id: &OfferId, hint: Hint, release: u64, day: u8) -> Listing {
    Listing {
        id: id.clone(),
        words: "succeeded".to_owned(),
        changed_time: Some(changed_time(day)),
        fingerprint: Some(fingerprint(release, day)),
        hint,
        release: Some(Release::from(release)),
        may_be_fenced: false,
    }
}

/// An offer that has not changed since it was recorded: only the list is needed.
fn unchanged(offer: &OfferId) -> ObservedOffer {
    ObservedOffer::listed(listing(offer, Hint::AtRest, 1, 1))
}

/// An offer with a new release in preview, inspected.
fn previewed(offer: &OfferId) -> ObservedOffer {
    let state = OfferState {
        preview: Some(Release::from(2)),
        live: Some(Release::from(1)),
        is_inspected: true,
        ..OfferState::default()
    };
    ObservedOffer::listed(listing(offer, Hint::InPreview, 2, 20)).with(state, decision_time().now)
}

/// The planner's input.
struct PlannerFixture {
    desired: BTreeMap<OfferId, Arc<Loaded>>,
    recorded: BTreeMap<OfferId, Arc<OfferRecord>>,
    observed: BTreeMap<OfferId, Observation>,
    policy: Policy,
}

impl PlannerFixture {
    fn of(offers: usize, seen: impl Fn(&OfferId) -> ObservedOffer) -> Self {
        let desired = desired(offers);
        let recorded = recorded(&desired);
        let seen = |offer: &OfferId| (offer.clone(), Observation::Offer(Box::new(seen(offer))));
        let observed = desired.keys().map(seen).collect();
        Self { desired, recorded, observed, policy: Policy::default() }
    }

    fn input(&self) -> Input<'_> {
        Input {
            desired: &self.desired,
            recorded: &self.recorded,
            observed: &self.observed,
            time: decision_time(),
            policy: &self.policy,
        }
    }
}

/// A store with this many offers, all on disk, and their names.
fn store(folder: &TempDir, offers: usize) -> (StatusStore, Vec<OfferId>) {
    let (path, file) = (folder.path().join("golive.status.json"), status_file(offers));
    replace(&RealDisk, &path, &status::to_bytes(&file).unwrap()).unwrap();
    let store = StatusStore::open(path, Arc::new(RealDisk), Arc::new(SystemClock)).unwrap();
    (store, file.offers.into_keys().collect())
}

fn touch(store: &StatusStore, offer: &OfferId) {
    let fresh = || unreachable!("every offer is on record");
    store.edit(offer, fresh, |it| OfferRecord { attempts: it.attempts.wrapping_add(1), ..it });
}

/// A tree of manifests: found, read on all cores, parsed, and checked across files.
#[divan::bench(args = OFFERS)]
fn load(bencher: Bencher<'_, '_>, offers: usize) {
    let folder = folder();
    for number in 0..offers {
        let path = folder.path().join(path(number));
        if number % OFFERS_OF_ONE == 0 {
            std::fs::create_dir(path.parent().unwrap()).unwrap();
        }
        RealDisk.write(&path, text(number).as_bytes()).unwrap();
    }
    let paths = [folder.path().to_owned()];
    let load = || manifest::load(&paths).unwrap();
    assert_eq!(load().offers.len(), offers);
    bencher.counter(ItemsCount::new(offers)).bench(load);
}

/// The part of it without the disk, on one core: first, file by file.
#[divan::bench(args = OFFERS)]
fn validate_parse(bencher: Bencher<'_, '_>, offers: usize) {
    let texts = texts(offers);
    let bytes: usize = texts.iter().map(|(_, text)| text.len()).sum();
    let bencher = bencher.counter(ItemsCount::new(offers)).counter(BytesCount::new(bytes));
    bencher.bench(|| parsed(&texts));
}

/// Then the checks across files.
#[divan::bench(args = OFFERS)]
fn validate_across(bencher: Bencher<'_, '_>, offers: usize) {
    let (found, files) = (found(offers), parsed(&texts(offers)));
    let assemble = || manifest::assemble(&found, &files).unwrap();
    assert_eq!(assemble().offers.len(), offers);
    bencher.counter(ItemsCount::new(offers)).bench(assemble);
}

/// Nothing to do: every offer is live, as recorded and listed.
#[divan::bench(args = OFFERS)]
fn plan_in_sync(bencher: Bencher<'_, '_>, offers: usize) {
    let fixture = PlannerFixture::of(offers, unchanged);
    let plan = || changes::plan(fixture.input()).unwrap();
    assert_eq!(plan().summary().in_sync, offers);
    bencher.counter(ItemsCount::new(offers)).bench(plan);
}

/// A golive for every offer, except those that wait for another one.
#[divan::bench(args = OFFERS)]
fn plan_all_differ(bencher: Bencher<'_, '_>, offers: usize) {
    let fixture = PlannerFixture::of(offers, previewed);
    let plan = || changes::plan(fixture.input()).unwrap();
    let (summary, held) = (plan().summary(), offers / ONE_WAITS_IN);
    assert_eq!((summary.go_live, summary.held), (offers - held, held));
    bencher.counter(ItemsCount::new(offers)).bench(plan);
}

/// The check of that change set.
#[divan::bench(args = OFFERS)]
fn plan_check(bencher: Bencher<'_, '_>, offers: usize) {
    let fixture = PlannerFixture::of(offers, previewed);
    let set = changes::plan(fixture.input()).unwrap();
    let check = || changes::check(&set, fixture.input());
    assert_eq!(check(), []);
    bencher.counter(ItemsCount::new(offers)).bench(check);
}

/// Serializes the status file.
#[divan::bench(args = OFFERS)]
fn status_to_bytes(bencher: Bencher<'_, '_>, offers: usize) {
    let file = status_file(offers);
    let bytes = BytesCount::new(status::to_bytes(&file).unwrap().len());
    let bencher = bencher.counter(ItemsCount::new(offers)).counter(bytes);
    bencher.bench(|| status::to_bytes(&file).unwrap());
}

/// Parses the status file.
#[divan::bench(args = OFFERS)]
fn status_parse(bencher: Bencher<'_, '_>, offers: usize) {
    let file = status_file(offers);
    let bytes = status::to_bytes(&file).unwrap();
    let parse = || status::parse(Path::new("golive.status.json"), &bytes).unwrap();
    assert_eq!(parse(), file);
    drop(file);
    let bencher = bencher.counter(ItemsCount::new(offers));
    bencher.counter(BytesCount::of_slice(&bytes)).bench(parse);
}

/// A change of every offer's record, in memory.
#[divan::bench(args = OFFERS)]
fn status_edit(bencher: Bencher<'_, '_>, offers: usize) {
    let folder = folder();
    let (store, names) = store(&folder, offers);
    let bencher = bencher.counter(ItemsCount::new(offers));
    bencher.bench(|| names.iter().for_each(|offer| touch(&store, offer)));
}

/// A change of one offer's record, and the file written and flushed.
#[divan::bench(args = OFFERS)]
fn status_commit(bencher: Bencher<'_, '_>, offers: usize) {
    let folder = folder();
    let (store, names) = store(&folder, offers);
    let bytes = BytesCount::new(store.with(status::to_bytes).unwrap().len());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let bencher = bencher.counter(ItemsCount::new(offers)).counter(bytes);
    bencher.bench_local(|| {
        touch(&store, &names[offers / 2]);
        runtime.block_on(store.flush()).unwrap();
    });
}
