//! The one handler: every request goes through it, and every response gets its security headers here.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::map_response;
use axum::response::{Html, IntoResponse as _, Response};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use prometheus_client::encoding::prometheus_text;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::compression::CompressionLayer;

use super::events::{self, STREAMS, Subject};
use super::filter::Filter;
use super::host::Hosts;
use super::renderer::Renderer;
use super::route::{asset_at, offer_at};
use super::{Serving, api, offer_page, page};
use crate::watch::Service;

const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The handler's state.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) serving: Serving,
    hosts: Hosts,
    pub(super) renderer: Renderer,
    status: api::StatusCache,
    /// One permit for each event stream that may still begin.
    streams: Arc<Semaphore>,
    /// Cancelled when the server stops.
    pub(super) stopping: CancellationToken,
}

impl Site {
    pub(super) fn new(
        serving: Serving,
        listening: SocketAddr,
        stopping: CancellationToken,
    ) -> Self {
        let hosts = Hosts::new(listening, &serving.hosts);
        let renderer = Renderer::new(serving.clone());
        let streams = Arc::new(Semaphore::new(STREAMS));
        Self { serving, hosts, renderer, status: api::StatusCache::default(), streams, stopping }
    }
}

/// The site as a service.
pub(super) fn router(site: Arc<Site>) -> Router {
    Router::new()
        .fallback(handle)
        .with_state(site)
        // tower-http doesn't compress event streams, which would delay their events.
        .layer(CompressionLayer::new())
        .layer(map_response(api::weaken_compressed_tag))
}

async fn handle(State(site): State<Arc<Site>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let mut response = respond(&site, &parts).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Responses that may be cached say so themselves.
    let no_store = HeaderValue::from_static("no-store");
    headers.entry(header::CACHE_CONTROL).or_insert(no_store);
    response
}

async fn respond(site: &Arc<Site>, request: &Parts) -> Response {
    if !site.hosts.admit(request) {
        let text = "golive does not answer to this name. Use an address, or allow the name: \
                    golive watch --allow-host NAME\n";
        return (StatusCode::MISDIRECTED_REQUEST, text).into_response();
    }
    if request.method != Method::GET && request.method != Method::HEAD {
        let text = "nothing can be changed here: GET or HEAD only\n";
        let allow = [(header::ALLOW, "GET, HEAD")];
        return (StatusCode::METHOD_NOT_ALLOWED, allow, text).into_response();
    }
    let query = request.uri.query().unwrap_or_default();
    let serving = &site.serving;
    match request.uri.path() {
        "/" => match Filter::parse(query) {
            Ok(filter) => all_offers(site, filter).await,
            Err(why) => bad_request(&why),
        },
        "/events" => match Subject::parse(query) {
            Ok(subject) => events(site, subject),
            Err(why) => bad_request(&why),
        },
        "/api/status" => {
            let (store, renderer) = (&serving.store, &site.renderer);
            let status = api::status(store, renderer, &site.status, &request.headers).await;
            status.unwrap_or_else(|| {
                (StatusCode::INTERNAL_SERVER_ERROR, "the status can't be shown\n").into_response()
            })
        }
        "/metrics" => {
            let content_type = [(header::CONTENT_TYPE, prometheus_text::CONTENT_TYPE)];
            (content_type, serving.metrics.text(serving)).into_response()
        }
        "/healthz" if serving.service_state.is_alive().await => "ok\n".into_response(),
        "/healthz" => {
            (StatusCode::SERVICE_UNAVAILABLE, "the loop does not answer\n").into_response()
        }
        "/readyz" => ready(&serving.service_state.service()),
        path => {
            if let Some(asset) = asset_at(path) {
                let content_type = (header::CONTENT_TYPE, asset.content_type);
                // An asset's name changes with its content.
                let cache = (header::CACHE_CONTROL, "public, max-age=31536000, immutable");
                return ([content_type, cache], asset.content).into_response();
            }
            let page = offer_at(path).and_then(|offer| offer_page::render(serving, &offer));
            if let Some(page) = page {
                return Html(page.into_string()).into_response();
            }
            let page = page::not_found(serving, path).into_string();
            (StatusCode::NOT_FOUND, Html(page)).into_response()
        }
    }
}

fn bad_request(why: &str) -> Response {
    (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response()
}

async fn all_offers(site: &Site, filter: Filter) -> Response {
    let page = site.renderer.render(move |serving| page::render(serving, &filter).into_string());
    match page.await {
        Some(page) => Html(page).into_response(),
        None => (StatusCode::INTERNAL_SERVER_ERROR, "the page can't be shown\n").into_response(),
    }
}

fn events(site: &Arc<Site>, subject: Subject) -> Response {
    let Ok(permit) = Arc::clone(&site.streams).try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many pages are open\n").into_response();
    };
    let stream = events::stream(Arc::clone(site), subject, permit);
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        // nginx then passes events on as they come.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, Body::from_stream(stream)).into_response()
}

fn ready(service: &Service) -> Response {
    if service.ready {
        return "ready\n".into_response();
    }
    let why = if service.desired.is_empty() {
        "manifests were not read yet"
    } else {
        "not every offer has been checked once"
    };
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")).into_response()
}
