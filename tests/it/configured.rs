//! `golive.yaml`: two publishers with an API, an endpoint and a token each, in one run; which value
//! wins; and what is wrong with it.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use axum::Router;
use axum::extract::Request;
use http::Method;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::test_env::{TOKEN, TestEnv, live};

/// The token of the account at the other server.
const OTHER_TOKEN: &str = "another-secret-token-51ab07";

const GUID: &str = "7f0e2b0c-0000-4000-8000-000000000001";

/// A server of the Product Ingestion API with one product, `vm`, whose preview goes live when asked.
struct Ingestion {
    address: SocketAddr,
    seen: Seen,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Each request: method and path, and the tokens and ids that it carries.
type Seen = Arc<Mutex<Vec<(String, [Option<String>; 3])>>>;

impl Ingestion {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let (seen, is_live) = (Seen::default(), Arc::new(Mutex::new(false)));
        let log = Arc::clone(&seen);
        let router = Router::new().fallback(move |request: Request| {
            let (log, is_live) = (Arc::clone(&log), Arc::clone(&is_live));
            async move { axum::Json(answer(&request, &log, &mut is_live.lock().unwrap())) }
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let serving = axum::serve(listener, router);
                serving.with_graceful_shutdown(async { drop(stopped.await) }).await.unwrap();
            });
        });
        Self { address, seen, stop: Some(stop), thread: Some(thread) }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|(line, _)| line.clone()).collect()
    }
}

impl Drop for Ingestion {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn answer(request: &Request, log: &Seen, is_live: &mut bool) -> Value {
    let header = |name: &str| Some(request.headers().get(name)?.to_str().unwrap().to_owned());
    let path = request.uri().path();
    let headers =
        [header("authorization"), header("client-request-id"), header("x-ms-client-request-id")];
    log.lock().unwrap().push((format!("{} {path}", request.method()), headers));
    let path = path.strip_prefix("/rp/product-ingestion/").unwrap();
    let job = |status: &str, result: &str| json!({"jobId": "job-1", "jobStatus": status, "jobResult": result});
    match (request.method(), path) {
        (&Method::GET, "product") => json!({"value": [
            {"id": format!("product/{GUID}"), "identity": {"externalId": "vm"}, "type": "azureVirtualMachine"}
        ]}),
        (&Method::POST, "configure") => {
            *is_live = true;
            job("notStarted", "pending")
        }
        (&Method::GET, "configure/job-1/status") => job("completed", "succeeded"),
        (&Method::GET, _) => json!({"value": [{
            "id": format!("submission/{GUID}/1152921504606846977"),
            "product": format!("product/{GUID}"),
            "target": {"targetType": if *is_live { "live" } else { "preview" }},
            "status": "completed", "result": "succeeded", "created": "2026-01-01T00:00:00Z"
        }]}),
        other => panic!("{other:?}"),
    }
}

/// contoso is at the Product Ingestion API, fabrikam at the portal, which takes its own token only.
fn two_publishers() -> (TestEnv, Ingestion) {
    let ingestion = Ingestion::start();
    let mut env = TestEnv::with_seed(&format!("{{token: {TOKEN}, offers: {{fabrikam/vm: {{}}}}}}"));
    env.set_env("CONTOSO_TOKEN", OTHER_TOKEN);
    env.write("contoso.yaml", live("contoso/vm", "notify: [release@example.com]"));
    env.write("fabrikam.yaml", live("fabrikam/vm", ""));
    env.write(
        "golive.yaml",
        format!(
            "publishers:\n  contoso:\n    api: product-ingestion\n    endpoint: http://{}\n    \
             credential: {{kind: token, env: CONTOSO_TOKEN}}\n",
            ingestion.address
        ),
    );
    (env, ingestion)
}

#[test]
fn two_publishers_have_an_api_and_a_token_each() {
    let (env, ingestion) = two_publishers();
    let ran = env.golive("apply --wait --poll 10ms").code(0);
    assert!(!ran.stdout.contains(OTHER_TOKEN) && !ran.stderr.contains(OTHER_TOKEN));
    ran.stdout_has("contoso/vm   Live   InProduction")
        .stdout_has("fabrikam/vm  Live   InProduction");
    assert_eq!(env.golives("fabrikam/vm"), (1, 1));
    let seen = ingestion.seen.lock().unwrap().clone();
    let posts = seen.iter().filter(|(line, _)| line.starts_with("POST")).count();
    assert_eq!(posts, 1, "{seen:?}");
    for (line, [token, client_id, id]) in &seen {
        assert_eq!(token.as_deref(), Some(&*format!("Bearer {OTHER_TOKEN}")), "{line}");
        assert!(client_id.is_some() && client_id == id, "{line} has {client_id:?} and {id:?}");
    }
    let asked = env.requests();
    assert!(asked.iter().all(|line| line.contains("/fabrikam/")), "{asked:?}");
    let status = env.status();
    let marketplaces: Vec<_> = status
        .marketplace
        .iter()
        .map(|(publisher, it)| format!("{} {} {}", publisher.as_str(), it.api, it.origin))
        .collect();
    assert_eq!(
        marketplaces,
        [
            format!("contoso product-ingestion http://{}", ingestion.address),
            format!("fabrikam cloud-partner-portal http://{}", env.address()),
        ]
    );
    let product = env.record("contoso/vm").observed.unwrap().product;
    assert_eq!(product.as_deref(), Some(GUID));
    // A second run asks each publisher's marketplace once.
    let before = ingestion.seen().len();
    let (ran, asked) = env.requests_during(|| env.golive("apply"));
    ran.code(0).stdout_has("Nothing to do: every offer is as desired");
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(ingestion.seen().len() - before, 1);
}

#[test]
fn plan_tells_what_was_not_checked() {
    let (env, _ingestion) = two_publishers();
    let ran = env.golive("plan").code(0).stderr("");
    let notes: Vec<_> = ran.stdout.lines().filter(|line| line.starts_with("note:")).collect();
    assert_eq!(
        notes,
        [
            "note: contoso: the publisher's name was not checked: the Product Ingestion API names no \
             publisher, so the token alone decides whose offers these are",
            "note: contoso: notify of 1 manifest is not used: the Product Ingestion API takes no \
             e-mail addresses",
        ]
    );
    // Shaped: the product's GUID.
    let page =
        "https://partner.microsoft.com/dashboard/commercial-marketplace/offers/[ID]/overview";
    assert!(ran.stdout.contains(&format!("\n  {page}\n")), "{}", ran.stdout);
    let document = env.golive("plan -o json").code(0).json();
    assert_eq!(document["offers"][0]["page"], page);
    assert_eq!(document["offers"][1].get("page"), None);
    assert_eq!(document["notes"].as_array().unwrap().len(), 2);
    assert_eq!(document["notes"][0]["publisher"], "contoso");
}

#[test]
fn a_token_that_is_missing_is_one_publisher_s_problem() {
    let (mut env, ingestion) = two_publishers();
    env.remove_env("CONTOSO_TOKEN");
    env.golive("plan")
        .code(1)
        .stdout_has(
            "contoso/vm   blocked   no token for the marketplace: CONTOSO_TOKEN is not set; ",
        )
        .stdout_has("az account get-access-token --resource https://graph.microsoft.com ")
        .stdout_has("fabrikam/vm  go live");
    assert_eq!(ingestion.seen(), Vec::<String>::new());
    // From a file, which is taken from the folder of the configuration.
    let config = env.read("golive.yaml").replace("env: CONTOSO_TOKEN", "file: secrets/token");
    env.write("golive.yaml", config);
    env.golive("plan").code(1).stdout_has("golive.yaml: cannot read secrets/token: ");
    env.write("secrets/token", OTHER_TOKEN);
    env.golive("plan").code(0).stdout_has("contoso/vm   go live");
}

#[test]
fn a_flag_wins_over_a_variable_and_a_variable_over_the_file() {
    let mut env = TestEnv::in_preview(&["vm"]);
    env.write("golive.yaml", "maxChanges: 0\n");
    let refused = "--max-changes allows 0, but this would make it 1";
    env.golive("apply").code(1).stderr_has(refused);
    env.golive("plan").code(0);
    env.golive("apply --max-changes 1").code(0);
    // What is on record of one API says nothing about another.
    env.remove("golive.status.json");
    let unchecked = |env: &TestEnv, flags: &str| {
        let ran = env.golive(&format!("plan {flags}"));
        ran.stdout.contains("the publisher's name was not checked")
    };
    assert!(!unchecked(&env, ""));
    env.write("golive.yaml", "api: product-ingestion\n");
    assert!(unchecked(&env, ""));
    assert!(!unchecked(&env, "--api cloud-partner-portal"));
    env.set_env("GOLIVE_API", "cloud-partner-portal");
    assert!(!unchecked(&env, ""));
    assert!(unchecked(&env, "--api product-ingestion"));
    // What it says of the publisher itself is nearer than all of them.
    env.write("golive.yaml", "publishers: {contoso: {api: product-ingestion}}\n");
    assert!(unchecked(&env, "--api cloud-partner-portal"));
    env.set_env("GOLIVE_API", "graph");
    env.golive("plan").code(64).stderr_has("GOLIVE_API").stderr_has("[possible values: cloud-");
}

#[test]
fn it_is_found_above_or_named_and_is_no_manifest() {
    let mut env = TestEnv::in_preview(&["vm"]);
    env.write("offers/compute/vm.yaml", env.read("vm.yaml"));
    env.remove("vm.yaml");
    let refused = "--max-changes allows 0";
    let is_read = |env: &TestEnv, flags: &str| {
        let ran = env.golive(&format!("apply offers/compute {flags} --expect no"));
        ran.stderr.contains(refused) || ran.stderr.contains("golive.yaml")
    };
    env.write("golive.yaml", "api: 5\n");
    assert!(!is_read(&env, ""), "a file above counts only within a repository");
    env.write(".git/HEAD", "");
    assert!(is_read(&env, ""));
    env.write("other.config", "");
    assert!(!is_read(&env, "--config other.config"));
    env.set_env("GOLIVE_CONFIG", "other.config");
    assert!(!is_read(&env, ""));
    assert!(is_read(&env, "--config golive.yaml"));
    env.golive("plan offers --config gone.yaml").code(1).stderr_has("gone.yaml: cannot be read");
    env.write("golive.yaml", "");
    env.golive("validate").code(0).stdout("1 offer in 1 file: all valid\n");
    env.golive("validate golive.yaml")
        .code(1)
        .stderr_has("golive.yaml: this is golive's configuration, not a manifest");
}

#[test]
fn its_errors_are_told_like_those_of_manifests_and_nothing_is_sent() {
    let env = TestEnv::in_preview(&["vm"]);
    env.write(
        "golive.yaml",
        "apii: product-ingestion\npublishers:\n  contoso: {credential: {kind: client-secret, secretEnv: S}}\n",
    );
    insta::assert_snapshot!(env.golive("apply").code(1).transcript());
    let document = env.golive("plan -o json").code(1).json();
    let errors = document["error"]["manifests"].as_array().unwrap();
    assert_eq!(errors.len(), 2);
    assert_eq!(errors[0]["file"], "golive.yaml");
    assert_eq!((&errors[0]["line"], &errors[0]["column"]), (&json!(1), &json!(1)));
    assert_eq!(env.requests(), Vec::<String>::new());
    env.golive("validate").code(1).stderr_has("golive.yaml:1:1: unknown field \"apii\"");
}

#[test]
fn two_publishers_with_one_credential_may_not_name_one_offer() {
    let env = TestEnv::in_preview(&["vm"]);
    env.write("two.yaml", live("fabrikam/VM", ""));
    env.golive("validate").code(0);
    env.write("golive.yaml", "api: product-ingestion\n");
    insta::assert_snapshot!(env.golive("apply").code(1).transcript());
    assert_eq!(env.requests(), Vec::<String>::new());
    env.golive("validate").code(1).stderr_has("are one product");
    let own = "api: product-ingestion\n\
               publishers: {fabrikam: {credential: {kind: token, env: FABRIKAM_TOKEN}}}\n";
    env.write("golive.yaml", own);
    env.golive("validate").code(0);
    env.write("golive.yaml", own.replace("FABRIKAM_TOKEN", "GOLIVE_TOKEN"));
    env.golive("validate").code(1).stderr_has("are one product");
}

#[test]
fn an_offer_that_the_portal_does_not_know_may_be_one_of_the_other_api() {
    let env = TestEnv::in_preview(&["vm"]);
    env.write("gone.yaml", live("contoso/gone", ""));
    env.write("far.yaml", live("fabrikam/vm", ""));
    let ran = env.golive("plan").code(1);
    let told = ran.stdout.lines().filter(|line| line.contains("try api: product-ingestion"));
    assert_eq!(told.count(), 2, "{}", ran.stdout);
    let (env, _ingestion) = two_publishers();
    env.write("contoso.yaml", live("contoso/gone", ""));
    env.golive("plan").code(1).stdout_has(
        "there is no product with the external id \"gone\", or it isn't visible to this app",
    );
}

#[test]
fn another_api_is_another_marketplace() {
    let (env, ingestion) = two_publishers();
    env.golive("apply --wait --poll 10ms").code(0);
    let before = ingestion.seen().len();
    env.write("golive.yaml", "");
    env.golive("apply")
        .code(1)
        .stderr_has("what it knows of the offers of contoso is about http://")
        .stderr_has("(product-ingestion), and this run is about http://");
    assert_eq!(ingestion.seen().len(), before);
}
