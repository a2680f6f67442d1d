//! The client against scripted servers, in process, with paused time.

mod inspect;
mod posts;
mod reads;
mod runs;
mod service;

use jiff::Timestamp;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use http::{Method, Response};
use tokio::time::Instant;

use super::*;
use crate::backends::http::{ClientParts, EnvToken, InProcessTransport, MAX_BODY, TokenSource};
use crate::backends::scripted_server::{
    NumberedTokens, ReceivedRequest, ScriptedServer, TOKEN, answer, client_parts, contoso, dropped,
    is_lost, vm, with,
};
use crate::clock::{Clock as _, RuntimeClock};
use crate::marketplace::{
    Backend as _, Fence, Following, Inquiry, Launch, MarketplaceError, OperationKind, OperationRef,
    PublisherId, RefusalKind, Release, RequestId,
};

const GUID: &str = "5d3a7f2e-0b1c-4c6e-9a52-1f2e3d4c5b6a";
const JOB: &str = "7b1a6cd2-4a6b-4b3e-9d53-0a1c1f2e3d4c";

/// Clients of a scripted server, and what they have sent.
trait Clients {
    fn client(&self) -> IngestionClient;
    fn client_with(&self, tokens: Arc<dyn TokenSource>) -> IngestionClient;
    async fn client_with_known_product(&self) -> IngestionClient;
    fn add_answers(&self, answers: impl IntoIterator<Item = Response<Body>>);
    fn requests(&self) -> Vec<String>;
}

impl Clients for ScriptedServer {
    fn client(&self) -> IngestionClient {
        self.client_with(Arc::new(EnvToken::new(Some(TOKEN)).unwrap()))
    }

    fn client_with(&self, tokens: Arc<dyn TokenSource>) -> IngestionClient {
        IngestionClient::new(client_parts(DEFAULT_ENDPOINT, self.transport(), tokens))
    }

    /// A client that knows the product of `contoso/vm`.
    async fn client_with_known_product(&self) -> IngestionClient {
        self.answers.lock().unwrap().push_front(products(&[("vm", GUID, "")]));
        let client = self.client();
        client.survey(&contoso()).await.unwrap();
        self.received.lock().unwrap().clear();
        client
    }

    fn add_answers(&self, answers: impl IntoIterator<Item = Response<Body>>) {
        self.answers.lock().unwrap().extend(answers);
    }

    /// Method and path of each request, after the base and without the version.
    fn requests(&self) -> Vec<String> {
        let short = |request: ReceivedRequest| {
            let path = request.target.split_once("/rp/product-ingestion/").unwrap().1.to_owned();
            let path = path.replace("$version=2022-03-01-preview2", "").replace(GUID, "GUID");
            format!("{} {}", request.method, path.replace(JOB, "JOB").trim_end_matches(['?', '&']))
        };
        self.received().into_iter().map(short).collect()
    }
}

/// A list of products: name, GUID, further fields.
fn products(all: &[(&str, &str, &str)]) -> Response<Body> {
    let product = |(name, guid, more): &(&str, &str, &str)| {
        format!(
            r#"{{"$schema": "https://product-ingestion.azureedge.net/schema/product/2022-03-01-preview3",
                "id": "product/{guid}", "identity": {{"externalId": "{name}"}},
                "type": "azureVirtualMachine", "alias": "x"{more}}}"#
        )
    };
    let all: Vec<_> = all.iter().map(product).collect();
    answer(200, &format!(r#"{{"value": [{}]}}"#, all.join(",")))
}

/// A submission as the service writes it: number, target, status, result.
fn submission(number: &str, target: &str, status: &str, result: &str) -> String {
    let state = match status {
        "" => String::new(),
        _ => format!(
            r#", "status": "{status}", "result": "{result}",
                "created": "2026-11-2{}T10:00:00.1234567Z""#,
            number.len() % 10
        ),
    };
    format!(
        r#"{{"$schema": "https://schema.mp.microsoft.com/schema/submission/2022-03-01-preview2",
            "id": "submission/{GUID}/{number}", "product": "product/{GUID}",
            "target": {{"targetType": "{target}"}}, "lifecycleState": "generallyAvailable",
            "resourceName": "x"{state}}}"#
    )
}

/// A list of submissions, with the draft before them.
fn submissions(all: &[&str]) -> Response<Body> {
    let mut list = vec![submission("0", "draft", "", "")];
    for text in all {
        let words: Vec<_> = text.split([' ', '/']).collect();
        let [number, target, status, result] = words[..] else { panic!("{text}") };
        list.push(submission(number, target, status, result));
    }
    answer(200, &format!(r#"{{"value": [{}]}}"#, list.join(",")))
}

/// A job, with these errors.
fn job(status: &str, result: &str, errors: &str) -> String {
    format!(
        r#"{{"$schema": "https://schema.mp.microsoft.com/schema/configure-status/2022-03-01-preview2",
            "jobId": "{JOB}", "jobStatus": "{status}", "jobResult": "{result}",
            "jobStart": "2026-11-30T10:00:00.1234567Z", "jobEnd": "0001-01-01T00:00:00",
            "resourceUri": "https://product-ingestion.mp.microsoft.com/configure/{JOB}",
            "errors": [{errors}]}}"#
    )
}

fn golive() -> Launch {
    Launch {
        kind: OperationKind::GoLive,
        release: Release::new("1152921504606846977"),
        fence: Some(Fence("1152921504606846977".to_owned())),
        request_id: RequestId::from_random([7; 16]),
        notify: Vec::new(),
    }
}

fn publish() -> Launch {
    let kind = OperationKind::Publish;
    Launch { kind, release: Release::new("0"), fence: None, ..golive() }
}

fn look() -> Inquiry {
    Inquiry { wants_live: true, ..Inquiry::default() }
}

/// The same, at the time of the tests' clock.
fn just_started() -> Following {
    Following { started_at: crate::backends::scripted_server::clock().now(), ..following() }
}

/// golive follows the golive of release 2, which started long ago.
fn following() -> Following {
    Following {
        kind: OperationKind::GoLive,
        operation: Some(OperationRef { id: JOB.to_owned(), location: None }),
        release: Some(Release::new("2")),
        started_at: Timestamp::UNIX_EPOCH,
        latest: None,
    }
}
