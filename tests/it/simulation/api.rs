//! What the simulation knows of the two APIs: which offer a request is about, which operation a job
//! is, and what a status file says in the emulator's own numbers.

use std::collections::BTreeMap;

use bytes::Bytes;
use golive::marketplace::{Api, Release};
use golive::status::{OfferRecord, OperationRecord, StatusFile};
use http::{Method, Request};
use serde_json::Value;

use super::scenario::name;
use super::schedule::Effect;

/// The emulator's submissions have the numbers of their versions, from here on.
const FIRST_SUBMISSION: u64 = 1_152_921_504_606_846_976;

/// The path of the Product Ingestion API.
pub(crate) const INGESTION: &str = "/rp/product-ingestion/";

/// What a request asks for, as far as the simulation cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// A list of offers.
    List,
    /// The read by which a process sees that an offer is ready.
    Check,
    /// A golive, of this version if the request names one.
    GoLive(Option<u64>),
    Other,
}

/// The parts of a request that matter here.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// The path as a trace shows it: `offers/vm-0/golive`, `submission/vm-0`.
    pub(crate) rest: String,
    /// `contoso/vm-0`
    pub(crate) offer: Option<String>,
    purpose: Purpose,
}

/// What the answers have shown so far.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// The offers, by the GUIDs of their products.
    products: BTreeMap<String, String>,
    jobs: BTreeMap<String, Job>,
}

/// What became of a *configure*.
#[derive(Clone, Debug)]
struct Job {
    offer: String,
    /// The emulator's id of the operation that it started, if it did.
    run: Option<String>,
}

impl Call {
    pub(crate) fn of(request: &Request<Bytes>, known: &Known) -> Self {
        let path = request.uri().path();
        match path.strip_prefix(INGESTION) {
            Some(rest) => Self::of_ingestion(request, rest, known),
            None => Self::of_portal(request, path),
        }
    }

    fn of_portal(request: &Request<Bytes>, path: &str) -> Self {
        let method = request.method().clone();
        let below = path.strip_prefix("/api/publishers/").and_then(|rest| rest.split_once('/'));
        let rest = below.map_or(path, |(_, rest)| rest).trim_end_matches('/').to_owned();
        let offer = rest.split(['/', '$']).find_map(offer_of);
        let is_post = method == Method::POST;
        let purpose = match rest.as_str() {
            "offers" => Purpose::List,
            _ if is_post && rest.ends_with("/golive") => Purpose::GoLive(None),
            _ if !is_post && rest.ends_with("/status") => Purpose::Check,
            _ => Purpose::Other,
        };
        Self { method, rest, offer, purpose }
    }

    fn of_ingestion(request: &Request<Bytes>, rest: &str, known: &Known) -> Self {
        let method = request.method().clone();
        let parts: Vec<_> = rest.split('/').collect();
        let query = request.uri().query().unwrap_or_default();
        let external = query.split('&').find_map(|pair| pair.strip_prefix("externalId="));
        let (offer, purpose) = match parts.as_slice() {
            ["product"] => {
                let purpose = if external.is_none() { Purpose::List } else { Purpose::Other };
                (external.and_then(offer_of), purpose)
            }
            ["submission", guid] => (known.products.get(*guid).cloned(), Purpose::Check),
            ["configure"] => configured(request.body(), known),
            ["configure", job, _] => {
                (known.jobs.get(*job).map(|job| job.offer.clone()), Purpose::Other)
            }
            _ => (None, Purpose::Other),
        };
        // GUIDs say nothing to a reader.
        let id = offer.as_deref().and_then(|offer| offer.split('/').nth(1)).unwrap_or_default();
        let rest = match parts.as_slice() {
            ["configure"] => format!("configure/{id}"),
            ["configure", _, last] => format!("configure/{id}/{last}"),
            [first, ..] if !id.is_empty() => format!("{first}/{id}"),
            _ => rest.to_owned(),
        };
        Self { method, rest, offer, purpose }
    }

    /// The offer that should go live by this request.
    pub(crate) fn golive_of(&self) -> Option<&str> {
        self.offer.as_deref().filter(|_| matches!(self.purpose, Purpose::GoLive(_)))
    }

    /// The version that a golive names.
    pub(crate) fn golive_version(&self) -> Option<u64> {
        match self.purpose {
            Purpose::GoLive(version) => version,
            Purpose::List | Purpose::Check | Purpose::Other => None,
        }
    }

    pub(crate) fn is_check(&self) -> bool {
        self.purpose == Purpose::Check
    }

    pub(crate) fn effect(&self) -> Effect {
        if self.method == Method::POST {
            Effect::Post
        } else if self.purpose == Purpose::List {
            Effect::List
        } else {
            Effect::Read
        }
    }

    /// Whether the answer may be as old as the queue of golives: all but the portal's offer document,
    /// which has the entity tag.
    pub(crate) fn may_lag(&self, api: Api) -> bool {
        match api {
            Api::CloudPartnerPortal => self.rest.matches('/').count() != 1,
            Api::ProductIngestion => true,
        }
    }
}

/// `contoso/vm-0` for `vm-0`.
fn offer_of(id: &str) -> Option<String> {
    id.strip_prefix("vm-")?.parse().ok().map(name)
}

/// What a *configure* asks for.
fn configured(body: &Bytes, known: &Known) -> (Option<String>, Purpose) {
    let body: Value = serde_json::from_slice(body).expect("golive sends JSON");
    let submission = &body["resources"][0];
    let guid = submission["product"].as_str().and_then(|it| it.strip_prefix("product/"));
    let offer = guid.and_then(|guid| known.products.get(guid).cloned());
    let is_live = submission["target"]["targetType"] == "live";
    let number = submission["id"].as_str().and_then(|id| id.rsplit('/').next()?.parse().ok());
    (offer, if is_live { Purpose::GoLive(number.map(version)) } else { Purpose::Other })
}

/// The version of a submission.
pub(crate) fn version(number: u64) -> u64 {
    number.checked_sub(FIRST_SUBMISSION).unwrap_or(number)
}

/// The release that a version is to golive.
pub(crate) fn release(api: Api, version: u64) -> u64 {
    match api {
        Api::CloudPartnerPortal => version,
        Api::ProductIngestion => FIRST_SUBMISSION + version,
    }
}

impl Known {
    /// Learns the products of an answer.
    pub(crate) fn learn_products(&mut self, answer: &[u8]) {
        let Ok(answer) = serde_json::from_slice::<Value>(answer) else { return };
        for product in answer["value"].as_array().into_iter().flatten() {
            let guid = product["id"].as_str().and_then(|id| id.strip_prefix("product/"));
            let offer = product["identity"]["externalId"].as_str().and_then(offer_of);
            if let (Some(guid), Some(offer)) = (guid, offer) {
                self.products.insert(guid.to_owned(), offer);
            }
        }
    }

    /// Learns which operation, if any, the job of an answer is about.
    pub(crate) fn learn_job(&mut self, answer: &[u8], offer: &str, run: Option<String>) {
        let Ok(answer) = serde_json::from_slice::<Value>(answer) else { return };
        if let Some(id) = answer["jobId"].as_str() {
            self.jobs.insert(id.to_owned(), Job { offer: offer.to_owned(), run });
        }
    }

    /// The status file in the emulator's numbers: versions for submissions, operations for jobs. The
    /// record of a job that started nothing is left out.
    pub(crate) fn in_versions(&self, file: StatusFile) -> StatusFile {
        let offers = file.offers.into_iter().map(|(offer, record)| {
            let record = self.record_in_versions((*record).clone());
            (offer, record.into())
        });
        StatusFile { offers: offers.collect(), ..file }
    }

    fn record_in_versions(&self, mut record: OfferRecord) -> OfferRecord {
        if let Some(intent) = &mut record.intent {
            translate(&mut intent.release);
        }
        if let Some(observed) = &mut record.observed {
            observed.live.iter_mut().chain(&mut observed.preview).for_each(translate);
        }
        record.operation = record
            .operation
            .and_then(|operation| Some(Box::new(self.operation_in_versions(*operation)?)));
        let history = std::mem::take(&mut record.history);
        record.history =
            history.into_iter().filter_map(|it| self.operation_in_versions(it)).collect();
        record
    }

    fn operation_in_versions(&self, mut operation: OperationRecord) -> Option<OperationRecord> {
        operation.release.iter_mut().for_each(translate);
        let job = operation.id.as_ref().and_then(|id| self.jobs.get(id));
        match job {
            Some(Job { run: None, .. }) => return None,
            Some(Job { run: Some(run), .. }) => operation.id = Some(run.clone()),
            // A submission's id stands for the operation: the emulator has another one.
            None => operation.id = None,
        }
        Some(operation)
    }
}

fn translate(release: &mut Release) {
    if let Ok(number) = release.as_str().parse() {
        *release = Release::new(version(number).to_string());
    }
}
