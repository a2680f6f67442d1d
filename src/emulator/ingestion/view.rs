//! The JSON of products, submissions and jobs.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::backends::ingestion::wire::{
    API_VERSION, IdentityWire, JobWire, ProductWire, SubmissionWire, TargetWire, VERSION_PARAMETER,
};
use crate::emulator::ids::bytes_of;
use crate::emulator::model::job::{Job, JobProgress, Work};
use crate::emulator::model::operation::{DEFAULT_FAILURE, Ending, Plan};
use crate::emulator::model::submission::{Progress, Sight, Standing, Submission, number};
use crate::emulator::model::{Behaviour, Moment, Offer};
use crate::emulator::request::ApiRequest;
use crate::emulator::seed::ingestion::LiveShape;

/// Where resources of products are said to be, which is another host (seen by clients).
const RESOURCES: &str = "https://product-ingestion.mp.microsoft.com";

/// Where a release goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Draft,
    Preview,
    Live,
}

impl Target {
    pub(super) fn parse(word: &str) -> Option<Self> {
        let all = [Self::Draft, Self::Preview, Self::Live];
        all.into_iter().find(|own| own.word().eq_ignore_ascii_case(word))
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Preview => "preview",
            Self::Live => "live",
        }
    }
}

/// A product and how it is shown: what a request is answered from.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub guid: &'a str,
    /// The offer; a twin shows only its draft.
    pub offer: &'a Offer,
    pub is_twin: bool,
    pub moment: Moment<'a>,
    pub request: &'a ApiRequest,
}

/// A type of product by an offer's type, and whether the API serves it. Of others, only that they
/// are not served is known (seen by clients).
pub(super) fn product_type(type_id: &str) -> (&str, bool) {
    match type_id {
        "microsoft-azure-virtualmachines" | "azureVirtualMachine" => ("azureVirtualMachine", true),
        "microsoft-azure-corevm" | "coreVirtualMachine" => ("coreVirtualMachine", true),
        "microsoft-azure-containers" | "azureContainer" => ("azureContainer", true),
        "microsoft-azure-saas" | "softwareAsAService" => ("softwareAsAService", true),
        "microsoft-azure-applications" => ("azureApplication", false),
        other => (other, false),
    }
}

/// A moment: seven fractional digits, and `Z` (documented).
pub(super) fn time(at: Timestamp) -> String {
    // The fraction of a moment before 1970 counts backwards; none is shown here.
    let fraction = at.subsec_nanosecond().max(0) / 100;
    format!("{}.{fraction:07}Z", at.strftime("%Y-%m-%dT%H:%M:%S"))
}

/// The schema of a resource: the newest that is not above the `$version` of the request
/// (documented).
pub(super) fn schema(name: &str, request: &ApiRequest, behaviour: &Behaviour) -> String {
    let newest = match name {
        "product" => "2022-03-01-preview3",
        // Seen by clients with a `$version` of 2022-07-01, which could not be sent back.
        "submission" => "2022-03-01-preview7",
        "property" | "virtual-machine-plan-technical-configuration" => "2022-03-01-preview5",
        _ => API_VERSION,
    };
    let asked = request.parameter(VERSION_PARAMETER).unwrap_or(API_VERSION);
    let version =
        if name == "submission" || asked > API_VERSION { newest.min(asked) } else { newest };
    let old = behaviour.ingestion.old_schemas == Some(true);
    let host = if old { "product-ingestion.azureedge.net" } else { "schema.mp.microsoft.com" };
    format!("https://{host}/schema/{name}/{version}")
}

impl View<'_> {
    pub(super) fn schema(&self, name: &str) -> String {
        schema(name, self.request, self.moment.behaviour)
    }

    pub(super) fn product(&self) -> ProductWire {
        let deprecated = self.moment.behaviour.ingestion.deprecated == Some(true);
        let state = if deprecated { "deprecated" } else { "generallyAvailable" };
        let title = self.offer.draft.definition.get("displayText").and_then(Value::as_str);
        ProductWire {
            id: Some(format!("product/{}", self.guid)),
            identity: IdentityWire { external_id: Some(self.offer.id.clone()) },
            kind: Some(product_type(&self.offer.type_id).0.to_owned()),
            alias: Some(title.unwrap_or(&self.offer.id).to_owned()),
            lifecycle_state: Some(state.to_owned()),
        }
    }

    /// The product with its schema.
    pub(super) fn product_resource(&self) -> Value {
        let mut value = json!(self.product());
        if let Some(fields) = value.as_object_mut() {
            fields.insert("$schema".to_owned(), self.schema("product").into());
        }
        value
    }

    /// The active submissions, the draft among them.
    pub(super) fn submissions(&self) -> Vec<SubmissionWire> {
        let mut list = vec![self.draft()];
        if !self.is_twin {
            let sight = Sight::of_submissions(self.moment);
            let standing = Standing::of(self.offer, sight);
            list.extend(self.listed(standing));
        }
        if self.moment.behaviour.ingestion.shuffled == Some(true) {
            let now = self.moment.now.as_nanosecond();
            list.sort_by_key(|it| bytes_of(&format!("{now} {:?} {:?}", it.target, it.id)));
        }
        list
    }

    fn listed(&self, standing: Standing) -> impl Iterator<Item = SubmissionWire> {
        let shape = self.moment.behaviour.ingestion.live.unwrap_or_default();
        let both = shape == LiveShape::PreviewAndLive;
        let preview = standing.preview.filter(|own| both || !standing.went_on(own.version));
        let before = standing.live_before.filter(|_| shape == LiveShape::OldAndNew);
        let live = [before, standing.live, standing.attempt];
        let live = live.into_iter().flatten().map(|own| (Target::Live, own));
        let all: Vec<_> =
            preview.map(|own| (Target::Preview, own)).into_iter().chain(live).collect();
        all.into_iter().map(|(target, own)| self.submission(target, own))
    }

    /// The draft: it has no status, no result and no date (documented).
    pub(super) fn draft(&self) -> SubmissionWire {
        SubmissionWire {
            schema: Some(self.schema("submission")),
            id: Some(format!("submission/{}/0", self.guid)),
            product: Some(format!("product/{}", self.guid)),
            target: TargetWire { target_type: Some(Target::Draft.word().to_owned()) },
            ..SubmissionWire::default()
        }
    }

    pub(super) fn submission(&self, target: Target, own: Submission) -> SubmissionWire {
        let (status, result) = match own.progress {
            Progress::Running => ("running", "pending"),
            Progress::Succeeded => ("completed", "succeeded"),
            Progress::Failed => ("completed", "failed"),
        };
        let deprecated =
            target == Target::Live && self.moment.behaviour.ingestion.deprecated == Some(true);
        let state = if deprecated { "deprecated" } else { "generallyAvailable" };
        SubmissionWire {
            id: Some(format!("submission/{}/{}", self.guid, number(own.version))),
            target: TargetWire { target_type: Some(target.word().to_owned()) },
            status: Some(status.to_owned()),
            result: Some(result.to_owned()),
            created: Some(time(own.created)),
            lifecycle_state: Some(state.to_owned()),
            ..self.draft()
        }
    }

    /// A job, as *job status* and the answer to *configure* have it.
    pub(super) fn job(&self, job: &Job, progress: JobProgress) -> Value {
        let (status, result) = match progress {
            JobProgress::NotStarted => ("notStarted", "pending"),
            JobProgress::Running => ("running", "pending"),
            JobProgress::Ended(Ending::Succeeded, _) => ("completed", "succeeded"),
            JobProgress::Ended(Ending::Failed, _) => ("completed", "failed"),
            JobProgress::Ended(Ending::Canceled, _) => ("completed", "cancelled"),
        };
        let wire = JobWire {
            job_id: Some(job.id.clone()),
            job_status: Some(status.to_owned()),
            job_result: Some(result.to_owned()),
            errors: None,
        };
        let (errors, end) = match progress {
            JobProgress::NotStarted | JobProgress::Running => {
                // An end that is none, without a zone (documented).
                (json!([]), "0001-01-01T00:00:00".to_owned())
            }
            JobProgress::Ended(Ending::Failed, at) => (self.errors(job), time(at)),
            JobProgress::Ended(Ending::Succeeded | Ending::Canceled, at) => (json!([]), time(at)),
        };
        let mut value = json!(wire);
        if let Some(fields) = value.as_object_mut() {
            let uri = format!("{RESOURCES}/configure/{}", job.id);
            fields.insert("jobStart".to_owned(), time(job.started).into());
            fields.insert("jobEnd".to_owned(), end.into());
            fields.insert("resourceUri".to_owned(), uri.into());
            fields.insert("errors".to_owned(), errors);
        }
        value
    }

    /// Why a job failed. The words of all three were seen by clients.
    fn errors(&self, job: &Job) -> Value {
        let of = |version: u64| format!("submission/{}/{}", self.guid, number(version));
        let product = || format!("product/{}", self.guid);
        match &job.work {
            Work::InProgress(version) => error(
                &product(),
                "internalServerError",
                &format!("An In Progress submission {} already exists.", number(*version)),
                &json!([]),
            ),
            Work::NotLatest(version) => error(
                &of(*version),
                "conflict",
                "The submission cannot be pushed to live as its not the latest submission.",
                &json!([]),
            ),
            Work::Operation(index) => {
                let Some(operation) = self.offer.operations.get(*index) else { return json!([]) };
                let resource = of(operation.version);
                error(
                    &resource,
                    "internalServerError",
                    "Operation failed",
                    &certification(operation.plan.failure()),
                )
            }
            Work::Edit(_) => json!([]),
        }
    }
}

fn error(resource: &str, code: &str, message: &str, details: &Value) -> Value {
    let error = json!({
        "resourceId": resource, "code": code, "message": message, "details": details
    });
    json!([error])
}

/// The causes of a failed certification, one in the other. The seed's own words stand innermost;
/// the service gives no more than the first two (seen by clients).
fn certification(html: Option<&str>) -> Value {
    let own = html.filter(|html| *html != DEFAULT_FAILURE);
    let inner: Vec<Value> = own
        .map(|own| json!({"code": "businessValidationError", "message": own, "details": []}))
        .into_iter()
        .collect();
    json!([{
        "code": "invalidState",
        "message": "Certification",
        "details": [{
            "code": "invalidState",
            "message": "Issues found during Certification.",
            "details": inner
        }]
    }])
}

impl Plan {
    /// What a failure says.
    fn failure(&self) -> Option<&str> {
        match self {
            Self::Fail(_, message) => Some(&message.html),
            Self::Succeed | Self::Cancel | Self::Block(..) => None,
        }
    }
}
