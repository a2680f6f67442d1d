//! Lists in pages.

use http::StatusCode;
use serde_json::{Value, json};

use super::bad_request;
use crate::emulator::reply::Reply;
use crate::emulator::request::ApiRequest;
use crate::emulator::seed::IngestionOverrides;
use crate::emulator::seed::ingestion::NextLink;

/// Seen by clients that asked for so many; open: how many there are by default.
const PAGE_SIZE: usize = 200;

/// The parameter that names a page.
const TOKEN: &str = "continuationToken";

/// One page of a list, and the link to the next one: an absolute URI, absent at the end
/// (documented, seen by clients).
pub(super) fn page<T>(
    request: &ApiRequest,
    answers: &IngestionOverrides,
    list: &[T],
    value: impl FnMut(&T) -> Value,
) -> Result<Reply, Reply> {
    let start = match request.parameter(TOKEN) {
        None => 0,
        // Letters and digits only: a client was seen that decodes nothing in the link.
        Some(token) => token
            .strip_prefix('p')
            .and_then(|start| start.parse::<usize>().ok())
            .ok_or_else(|| bad_request("The continuation token is not valid."))?,
    };
    let asked = match request.parameter("$maxpagesize") {
        None => None,
        Some(size) => Some(
            size.parse::<usize>()
                .ok()
                .filter(|size| *size > 0)
                .ok_or_else(|| bad_request("$maxpagesize must be a positive number."))?,
        ),
    };
    let most = answers.page_size.map(|size| usize::try_from(size.get()).unwrap_or(PAGE_SIZE));
    let size = asked.unwrap_or(usize::MAX).min(most.unwrap_or(PAGE_SIZE));
    let end = start.saturating_add(size).min(list.len());
    let elements = list.get(start.min(end)..end).unwrap_or_default();
    let values: Vec<Value> = elements.iter().map(value).collect();
    let mut body = json!({ "value": values });
    let origin = request.origin.as_deref().unwrap_or("http://localhost");
    let link = match answers.next_link {
        None if end < list.len() => Some(link(request, origin, end)),
        None => None,
        Some(NextLink::Elsewhere) => Some(link(request, "https://elsewhere.example", end)),
        Some(NextLink::Endless) => Some(link(request, origin, start.saturating_add(size))),
    };
    if let (Some(link), Some(fields)) = (link, body.as_object_mut()) {
        fields.insert("@nextLink".to_owned(), Value::String(link));
    }
    Ok(Reply::json(StatusCode::OK, &body))
}

/// The same request for the elements from there on. A `$` stands for itself in a query.
fn link(request: &ApiRequest, origin: &str, start: usize) -> String {
    let others = request.query.iter().filter(|(name, _)| !name.eq_ignore_ascii_case(TOKEN));
    let others = others.map(|(name, value)| {
        let value: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
        format!("{name}={value}&")
    });
    let path = request.segments.join("/");
    format!("{origin}/{path}?{}{TOKEN}=p{start}", others.collect::<String>())
}
