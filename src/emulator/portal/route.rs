//! The resource that a request names.

use http::Method;

use crate::emulator::world::Key;

/// What a POST asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Publish,
    GoLive,
    Cancel,
}

/// A slot of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlotName {
    Draft,
    Preview,
    Production,
}

/// A resource below one offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    Itself,
    Slot(SlotName),
    Version(u64),
    Status,
    Submissions,
    Operation(String),
    /// `…/operations/…$version$slot`: the newest operation on that version and slot.
    LatestOperation(u64, SlotName),
    Command(Command),
}

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Publishers,
    Offers(String),
    Offer { publisher: String, id: String, resource: Resource },
}

impl Route {
    /// The resource a path names, if it names one. The API's own words compare without case.
    pub(super) fn parse(segments: &[String]) -> Option<Self> {
        let folded: Vec<String> = segments.iter().map(|s| s.to_ascii_lowercase()).collect();
        let words: Vec<&str> = folded.iter().map(String::as_str).collect();
        let own = |index: usize| segments.get(index).filter(|own| !own.is_empty()).cloned();
        let resource = match words.as_slice() {
            ["api", "publishers"] => return Some(Self::Publishers),
            ["api", "publishers", _, "offers"] => return Some(Self::Offers(own(2)?)),
            ["api", "operations", _] => return Self::operation(&own(2)?),
            ["api", "publishers", _, "offers", _, below @ ..] => match below {
                [] => Resource::Itself,
                ["slot" | "slots", slot] => Resource::Slot(slot_name(slot)?),
                ["versions", version] => Resource::Version(version.parse().ok()?),
                ["status"] => Resource::Status,
                ["submissions"] => Resource::Submissions,
                ["operations", id] => Resource::Operation((*id).to_owned()),
                ["publish"] => Resource::Command(Command::Publish),
                ["golive"] => Resource::Command(Command::GoLive),
                ["cancel"] => Resource::Command(Command::Cancel),
                _ => return None,
            },
            _ => return None,
        };
        Some(Self::Offer { publisher: own(2)?, id: own(4)?, resource })
    }

    /// `publisher$offer$version$slot`
    fn operation(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('$').collect();
        let [publisher, id, version, slot] = parts.as_slice() else {
            return None;
        };
        let resource = Resource::LatestOperation(
            version.parse().ok()?,
            slot_name(&slot.to_ascii_lowercase())?,
        );
        Some(Self::Offer { publisher: (*publisher).to_owned(), id: (*id).to_owned(), resource })
    }

    pub(super) fn key(&self) -> Option<Key> {
        match self {
            Self::Publishers | Self::Offers(_) => None,
            Self::Offer { publisher, id, .. } => Some(Key::new(publisher, id)),
        }
    }

    /// The methods it answers.
    pub(super) fn methods(&self) -> &'static [Method] {
        match self {
            Self::Offer { resource: Resource::Itself, .. } => &[Method::GET, Method::PUT],
            Self::Offer { resource: Resource::Command(_), .. } => &[Method::POST],
            Self::Publishers | Self::Offers(_) | Self::Offer { .. } => &[Method::GET],
        }
    }
}

fn slot_name(text: &str) -> Option<SlotName> {
    match text {
        "draft" => Some(SlotName::Draft),
        "preview" | "staging" => Some(SlotName::Preview),
        "production" | "live" => Some(SlotName::Production),
        _ => None,
    }
}

/// The type of offer in a filter `offerTypeId eq '…'`, the only one that is known to be served.
pub(super) fn type_filter(filter: &str) -> Option<&str> {
    let value = filter.trim().strip_prefix("offerTypeId")?.trim().strip_prefix("eq")?.trim();
    value.strip_prefix('\'')?.strip_suffix('\'')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::request::segments;

    #[test]
    fn what_is_no_resource_is_none() {
        let parse = |path: &str| Route::parse(&segments(path));
        for path in [
            "/",
            "/api",
            "/api/publishers//offers",
            "/api/publishers/p/offers//",
            "/api/publishers/p/offers/o/slot/attic",
            "/api/publishers/p/offers/o/versions/x",
            "/api/operations/p$o$x$preview",
            "/api/operations/p$o$1",
        ] {
            assert_eq!(parse(path), None, "{path}");
        }
        // One slash at the end is as none: this is the list of offers.
        let offers = Some(Route::Offers("p".into()));
        assert_eq!(parse("/api/publishers/p/offers/"), offers);
        assert_eq!(parse("/API/Publishers/P/offers/"), Some(Route::Offers("P".into())));
        let operation = parse("/api/operations/p%24o%242%24preview");
        let resource = Resource::LatestOperation(2, SlotName::Preview);
        assert_eq!(
            operation,
            Some(Route::Offer { publisher: "p".into(), id: "o".into(), resource })
        );
    }
}
