//! The one handler. Every request goes through it, and every answer gets its headers here, so that
//! none is forgotten.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::map_response;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::compression::CompressionLayer;

use super::assets::Asset;
use super::events::{self, STREAMS, Subject};
use super::filter::Filter;
use super::host::Hosts;
use super::renderer::Renderer;
use super::route::Route;
use super::{Serving, api, offer_page, page};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// What the handler needs.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) serving: Serving,
    hosts: Hosts,
    pub(super) renderer: Renderer,
    status: api::Kept,
    /// How many event streams may still begin.
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
        Self { serving, hosts, renderer, status: api::Kept::default(), streams, stopping }
    }
}

/// The site as a service.
pub(super) fn router(site: Arc<Site>) -> Router {
    Router::new()
        .fallback(handle)
        .with_state(site)
        // Leaves event streams alone: they would be held back until there is enough to compress.
        .layer(CompressionLayer::new())
        .layer(map_response(api::mark_compressed))
}

async fn handle(State(site): State<Arc<Site>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let mut response = answer(&site, &parts).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // What may be kept says so itself.
    let no_store = HeaderValue::from_static("no-store");
    headers.entry(header::CACHE_CONTROL).or_insert(no_store);
    response
}

async fn answer(site: &Arc<Site>, request: &Parts) -> Response {
    if !site.hosts.admit(request) {
        return plain(
            StatusCode::MISDIRECTED_REQUEST,
            "golive does not answer to this name. Use an address, or allow the name: \
             golive watch --allow-host NAME\n",
        );
    }
    if request.method != Method::GET && request.method != Method::HEAD {
        let mut response = plain(
            StatusCode::METHOD_NOT_ALLOWED,
            "nothing can be changed here: GET or HEAD only\n",
        );
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let query = request.uri.query().unwrap_or_default();
    let path = request.uri.path();
    match Route::parse(path) {
        Some(Route::Page) => match Filter::parse(query) {
            Ok(filter) => all_offers(site, filter).await,
            Err(why) => plain(StatusCode::BAD_REQUEST, format!("{why}\n")),
        },
        Some(Route::Offer(offer)) => match offer_page::render(&site.serving, &offer) {
            Some(page) => html(StatusCode::OK, page),
            None => html(StatusCode::NOT_FOUND, page::not_found(&site.serving, path)),
        },
        Some(Route::Events) => events(site, query),
        Some(Route::Status) => status(site, &request.headers).await,
        Some(Route::Metrics) => metrics(site),
        Some(Route::Health) => health(site).await,
        Some(Route::Ready) => ready(site),
        Some(Route::Asset(file)) => asset(file),
        None => html(StatusCode::NOT_FOUND, page::not_found(&site.serving, path)),
    }
}

async fn all_offers(site: &Site, filter: Filter) -> Response {
    let page = site.renderer.render(move |serving| page::render(serving, &filter).into_string());
    match page.await {
        Some(page) => respond(StatusCode::OK, HTML, page),
        None => plain(StatusCode::INTERNAL_SERVER_ERROR, "the page can't be shown\n"),
    }
}

fn events(site: &Arc<Site>, query: &str) -> Response {
    let subject = match Subject::parse(query) {
        Ok(subject) => subject,
        Err(why) => return plain(StatusCode::BAD_REQUEST, format!("{why}\n")),
    };
    let Ok(place) = Arc::clone(&site.streams).try_acquire_owned() else {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "too many pages are open\n");
    };
    let stream = events::stream(Arc::clone(site), subject, place);
    let mut response = respond(StatusCode::OK, "text/event-stream", Body::from_stream(stream));
    // Has nginx pass events on as they come.
    let name = HeaderName::from_static("x-accel-buffering");
    response.headers_mut().insert(name, HeaderValue::from_static("no"));
    response
}

async fn status(site: &Site, headers: &HeaderMap) -> Response {
    let status = api::status(&site.serving.store, &site.renderer, &site.status, headers);
    match status.await {
        Some(response) => response,
        None => plain(StatusCode::INTERNAL_SERVER_ERROR, "the status can't be shown\n"),
    }
}

fn metrics(site: &Site) -> Response {
    let text = site.serving.metrics.text(&site.serving);
    respond(StatusCode::OK, prometheus_client::encoding::prometheus_text::CONTENT_TYPE, text)
}

async fn health(site: &Site) -> Response {
    if site.serving.service_state.is_alive().await {
        plain(StatusCode::OK, "ok\n")
    } else {
        plain(StatusCode::SERVICE_UNAVAILABLE, "the loop does not answer\n")
    }
}

fn ready(site: &Site) -> Response {
    let service = site.serving.service_state.service();
    if service.ready {
        return plain(StatusCode::OK, "ready\n");
    }
    let why = if service.desired.is_empty() {
        "manifests were not read yet"
    } else {
        "not every offer has been looked at once"
    };
    plain(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n"))
}

fn asset(asset: &'static Asset) -> Response {
    let mut response = respond(StatusCode::OK, asset.media, asset.content);
    let for_ever = HeaderValue::from_static("public, max-age=31536000, immutable");
    response.headers_mut().insert(header::CACHE_CONTROL, for_ever);
    response
}

fn html(status: StatusCode, page: maud::Markup) -> Response {
    respond(status, HTML, page.into_string())
}

fn plain(status: StatusCode, text: impl Into<Body>) -> Response {
    respond(status, PLAIN, text)
}

pub(super) fn respond(status: StatusCode, media: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
}
