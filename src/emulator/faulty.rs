//! Does to answers what the fault rules say.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::stream::{self, Stream, StreamExt as _};
use http::{HeaderValue, StatusCode, header};

use super::fault::{Action, Fault, RetryAfter, When};
use super::reply::Reply;
use crate::backends::http::Dropped;

/// Answers a request that a rule hits. `honest` is the true answer; it is not begun where the
/// rule strikes before.
pub(super) async fn strike(action: Action, honest: impl Future<Output = Response>) -> Response {
    match (action.when, action.fault) {
        (When::Before, Fault::Delay(delay)) => {
            tokio::time::sleep(delay).await;
            honest.await
        }
        (When::After, Fault::Delay(delay)) => {
            let response = honest.await;
            tokio::time::sleep(delay).await;
            response
        }
        (When::Before, fault) => {
            let unseen = Reply::json(StatusCode::OK, &serde_json::json!({"status": "running"}));
            spoil(fault, unseen.into_response()).await
        }
        (When::After, fault) => spoil(fault, honest.await).await,
    }
}

async fn spoil(fault: Fault, response: Response) -> Response {
    match fault {
        Fault::Answer { status, retry_after, body } => answer(status, retry_after, body),
        Fault::Delay(delay) => later(delay, response).await,
        Fault::Reset => dropped(),
        Fault::CutBody(length) => cut(response, length).await,
        Fault::Html(status) => {
            let status = self::status(status);
            let reason = status.canonical_reason().unwrap_or("Error");
            let code = status.as_u16();
            let page = format!(
                "<!DOCTYPE html>\r\n<html><head><title>{code} {reason}</title></head>\r\n<body>\
                 <center><h1>{code} {reason}</h1></center><hr>Gateway</body></html>\r\n"
            );
            with_body(status, "text/html", Body::from(page))
        }
        Fault::Redirect(location) => {
            let mut response = Reply::empty(StatusCode::FOUND).into_response();
            if let Ok(location) = HeaderValue::from_str(&location) {
                response.headers_mut().insert(header::LOCATION, location);
            }
            response
        }
        Fault::EndlessBody => {
            let body = Body::from_stream(endless());
            with_body(StatusCode::OK, "application/json; charset=utf-8", body)
        }
    }
}

async fn later(delay: Duration, response: Response) -> Response {
    tokio::time::sleep(delay).await;
    response
}

fn status(number: u16) -> StatusCode {
    StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn answer(number: u16, retry_after: Option<RetryAfter>, body: Option<String>) -> Response {
    let status = status(number);
    let reason = status.canonical_reason().unwrap_or("Error");
    let reply = Reply::error(status, &reason.replace(' ', ""), "This answer is a fault.");
    let reply = match retry_after {
        Some(retry_after) => reply.with(header::RETRY_AFTER, retry_after.to_string()),
        None => reply,
    };
    let mut response = reply.into_response();
    if let Some(body) = body {
        *response.body_mut() = Body::from(body);
    }
    response
}

fn with_body(status: StatusCode, content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn dropped() -> Response {
    let broken = stream::once(async { Err::<Bytes, _>(reset()) });
    let mut response = Response::new(Body::from_stream(broken));
    response.extensions_mut().insert(Dropped);
    response
}

fn reset() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the connection was dropped")
}

/// The first bytes of an answer, under the length of the whole.
async fn cut(response: Response, length: usize) -> Response {
    let (mut parts, body) = response.into_parts();
    // The emulator's own bodies are in memory: reading one cannot fail.
    let whole = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len().max(length + 1)));
    let part = whole.slice(..length.min(whole.len()));
    let broken = stream::iter([Ok(part)]).chain(stream::once(async {
        // A pause lets the server send what it has before it learns that there is no more.
        tokio::task::yield_now().await;
        Err(reset())
    }));
    Response::from_parts(parts, Body::from_stream(broken))
}

/// White space, which is JSON as far as it goes.
fn endless() -> impl Stream<Item = io::Result<Bytes>> {
    stream::repeat(()).then(|()| async {
        tokio::task::yield_now().await;
        Ok(Bytes::from_static(&[b' '; 8192]))
    })
}
