//! Faults: chooses the requests that the seed's rules hit, and spoils their answers.

use std::io;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::stream::{self, Stream, StreamExt as _};
use http::{HeaderValue, StatusCode, header};

use super::portal;
use super::reply::Reply;
use super::seed::fault::{Action, Fault, Rule, When};
use crate::backends::http::Dropped;

fn matches(rule: &Rule, method: &str, path: &str) -> bool {
    rule.method.as_deref().is_none_or(|own| own.eq_ignore_ascii_case(method))
        && glob(&rule.path.to_ascii_lowercase(), &path.to_ascii_lowercase())
}

/// Whether a text matches a pattern, in which `*` matches any text.
fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(head) else {
        return false;
    };
    // All but the last piece are taken where they come first; the last one must end the text.
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        match text.split_once(piece) {
            Some((_, after)) => text = after,
            None => return false,
        }
    }
    text.ends_with(last)
}

/// The rules, and how often each has matched. Kept for the life of the process only.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    rules: Vec<(Rule, u32)>,
}

impl Faults {
    pub(crate) fn new(rules: impl IntoIterator<Item = Rule>) -> Self {
        Self { rules: rules.into_iter().map(|rule| (rule, 0)).collect() }
    }

    /// Adds a rule, asked after the others.
    pub(crate) fn add(&mut self, rule: Rule) {
        self.rules.push((rule, 0));
    }

    /// What hits this request. Every rule that matches counts it, whether it hits or not.
    pub(crate) fn hit(&mut self, method: &str, path: &str) -> Option<Action> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut action = None;
        for (rule, seen) in &mut self.rules {
            if !matches(rule, method, path) {
                continue;
            }
            *seen = seen.saturating_add(1);
            let since = seen.checked_sub(rule.nth.get());
            let hits = since.is_some_and(|since| rule.count.allows(since));
            if hits && action.is_none() {
                action = Some(rule.action.clone());
            }
        }
        action
    }
}

/// Answers a request that a rule hits. `true_answer` is not polled if the rule keeps the request
/// from being processed.
pub(super) async fn inject(
    action: Action,
    true_answer: impl Future<Output = Response>,
) -> Response {
    let response = match (action.when, &action.fault) {
        (When::Before, Fault::Delay(delay)) => {
            tokio::time::sleep(*delay).await;
            return true_answer.await;
        }
        (When::Before, _) => {
            let running = serde_json::json!({"status": "running"});
            Reply::json(StatusCode::OK, &running).into_response()
        }
        (When::After, _) => true_answer.await,
    };
    match action.fault {
        Fault::Answer { status, retry_after, body } => {
            let status = status_code(status);
            let reason = status.canonical_reason().unwrap_or("Error");
            let code = reason.replace(' ', "");
            let reply = portal::error(status, &code, "This answer is a fault.");
            let mut response = reply.with_retry_after(retry_after.as_ref()).into_response();
            if let Some(body) = body {
                *response.body_mut() = Body::from(body);
            }
            response
        }
        Fault::Delay(delay) => {
            tokio::time::sleep(delay).await;
            response
        }
        Fault::Reset => dropped(),
        Fault::CutBody(length) => cut(response, length).await,
        Fault::Html(status) => {
            let status = status_code(status);
            let reason = status.canonical_reason().unwrap_or("Error");
            let code = status.as_u16();
            let page = format!(
                "<!DOCTYPE html>\r\n<html><head><title>{code} {reason}</title></head>\r\n<body>\
                 <center><h1>{code} {reason}</h1></center><hr>Gateway</body></html>\r\n"
            );
            with_body(status, "text/html", Body::from(page))
        }
        Fault::Redirect(location) => {
            Reply::empty(StatusCode::FOUND).with(header::LOCATION, location).into_response()
        }
        Fault::EndlessBody => {
            let body = Body::from_stream(endless());
            with_body(StatusCode::OK, "application/json; charset=utf-8", body)
        }
    }
}

fn status_code(number: u16) -> StatusCode {
    StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text) in [
            ("*", ""),
            ("*", "/api"),
            ("/api", "/api"),
            ("*/golive", "/api/publishers/contoso/offers/vm/golive"),
            ("/api/*/vm/*", "/api/publishers/contoso/offers/vm/status"),
            ("*/offers/*/golive", "/api/publishers/contoso/offers/vm/golive"),
        ] {
            assert!(glob(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("/api", "/api/x"), ("*/golive", "/golive/x"), ("a*b*b", "ab"), ("ab*ba", "aba")]
        {
            assert!(!glob(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_rule_hits_from_the_nth_match_and_count_times() {
        let rule: Rule = serde_json::from_value(serde_json::json!({
            "method": "post", "path": "*/GoLive", "nth": 2, "count": 2, "action": {"status": 503}
        }))
        .unwrap();
        let mut faults = Faults::new([rule]);
        assert_eq!(faults.hit("GET", "/x/golive"), None);
        let hits: Vec<bool> = (0..5).map(|_| faults.hit("POST", "/x/golive/").is_some()).collect();
        assert_eq!(hits, [false, true, true, false, false]);
    }

    #[test]
    fn an_action_is_exactly_one() {
        let parse = |value| serde_json::from_value::<Action>(value).map_err(|e| e.to_string());
        assert!(parse(serde_json::json!({})).unwrap_err().contains("exactly one of"));
        let two = serde_json::json!({"delay": "1s", "html": 502});
        assert!(parse(two).unwrap_err().contains("exactly one of"));
        assert!(parse(serde_json::json!({"status": 99})).unwrap_err().contains("200 to 599"));
        let cut = parse(serde_json::json!({"cutBody": 3})).unwrap();
        assert_eq!(cut, Action { when: When::After, fault: Fault::CutBody(3) });
        let reset = parse(serde_json::json!({"reset": "after"})).unwrap();
        assert_eq!(reset, Action { when: When::After, fault: Fault::Reset });
    }
}
