//! Which offers a page shows, by the query of its address.

use url::form_urlencoded;

use crate::marketplace::{OfferId, PublisherId, clean_line};
use crate::status::{OfferRecord, Phase};

/// The longest search text, in characters.
const MAX_TEXT: usize = 200;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) phase: Option<Phase>,
    pub(super) publisher: Option<PublisherId>,
    /// All of its words must occur, without case.
    pub(super) text: String,
    /// The words of `text`, in lower case.
    words: Vec<String>,
}

impl Filter {
    /// Reads a query. Empty fields, as a form sends them, and unknown ones filter nothing. The error
    /// is a sentence.
    pub(super) fn parse(query: &str) -> Result<Self, String> {
        let mut filter = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = value.trim();
            if value.is_empty() {
                continue;
            }
            match &*name {
                "phase" => {
                    let phase = Phase::ALL
                        .into_iter()
                        .find(|phase| phase.as_str().eq_ignore_ascii_case(value));
                    let phases = || Phase::ALL.map(Phase::as_str).join(", ");
                    filter.phase =
                        Some(phase.ok_or_else(|| format!("phase is one of {}", phases()))?);
                }
                "publisher" => {
                    let id = PublisherId::new(value).map_err(|error| format!("publisher: {error}"));
                    filter.publisher = Some(id?);
                }
                "q" => {
                    filter.text = clean_line(value).chars().take(MAX_TEXT).collect();
                    let text = filter.text.to_lowercase();
                    filter.words = text.split_whitespace().map(str::to_owned).collect();
                }
                _ => {}
            }
        }
        Ok(filter)
    }

    /// Whether offers of this phase are shown.
    pub(super) fn has_phase(&self, phase: Phase) -> bool {
        self.phase.is_none_or(|wanted| wanted == phase)
    }

    /// Whether the filter admits an offer, apart from its phase.
    pub(super) fn admits_but_phase(&self, offer: &OfferId, record: &OfferRecord) -> bool {
        let publisher = self.publisher.as_ref();
        publisher.is_none_or(|publisher| publisher == offer.publisher())
            && (self.words.is_empty() || self.has_words(offer, record))
    }

    fn has_words(&self, offer: &OfferId, record: &OfferRecord) -> bool {
        let error = record.error.as_ref().map_or("", |error| &error.message);
        let step = record.running().and_then(|operation| operation.current_step());
        let step = step.map_or("", |step| &step.name);
        let (file, message, reason) = (&record.manifest.file, &record.message, record.reason);
        let mut text = format!("{offer}\n{reason}\n{message}\n{error}\n{step}\n{file}");
        if text.is_ascii() {
            text.make_ascii_lowercase();
        } else {
            text = text.to_lowercase();
        }
        self.words.iter().all(|word| text.contains(word))
    }

    /// Whether nothing is filtered.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The same filter for another phase.
    pub(super) fn with_phase(&self, phase: Option<Phase>) -> Self {
        Self { phase, ..self.clone() }
    }

    /// A path with this filter as its query.
    pub(super) fn address(&self, path: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if let Some(phase) = self.phase {
            query.append_pair("phase", phase.as_str());
        }
        if let Some(publisher) = &self.publisher {
            query.append_pair("publisher", publisher.as_str());
        }
        if !self.text.is_empty() {
            query.append_pair("q", &self.text);
        }
        let query = query.finish();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::tests::invented;

    fn parse(query: &str) -> Filter {
        Filter::parse(query).unwrap()
    }

    #[test]
    fn a_query_is_read_and_written() {
        let filter = parse("phase=inprogress&publisher=Contoso&q=+a%26b+%3Cx%3E+");
        assert_eq!(filter.phase, Some(Phase::InProgress));
        assert_eq!(filter.text, "a&b <x>");
        let address = filter.address("/events");
        assert_eq!(address, "/events?phase=InProgress&publisher=Contoso&q=a%26b+%3Cx%3E");
        assert_eq!(parse(address.split_once('?').unwrap().1), filter);
    }

    #[test]
    fn empty_and_unknown_fields_filter_nothing() {
        for query in ["", "phase=&publisher=&q=", "x=1", "q=%20", "=&&"] {
            assert!(parse(query).is_empty(), "{query}");
            assert_eq!(parse(query).address("/"), "/");
        }
    }

    #[test]
    fn what_is_no_phase_or_publisher_is_refused() {
        assert!(Filter::parse("phase=Alive").unwrap_err().contains("Live, Preview"));
        assert!(Filter::parse("publisher=a%2Fb").unwrap_err().contains("not allowed"));
    }

    #[test]
    fn a_text_is_short_and_harmless() {
        let long = parse(&format!("q={}", "x".repeat(100_000)));
        assert_eq!(long.text.len(), MAX_TEXT);
        assert_eq!(parse("q=a%0Ab%E2%80%AEc%1B[2J").text, "a bc");
    }

    #[test]
    fn all_words_must_be_somewhere() {
        let record = invented::running("Certification", Some(42));
        let offer: OfferId = "contoso/vm".parse().unwrap();
        let admits = |query: &str, record: &OfferRecord| {
            let filter = parse(query);
            filter.has_phase(record.phase) && filter.admits_but_phase(&offer, record)
        };
        for (query, shown) in [
            ("q=VM", true),
            ("q=certif+contoso", true),
            ("q=golive", true),
            ("q=CERTIFICATION++VM", true),
            ("q=%C3%89TAPE", false),
            ("q=vm+absent", false),
            ("phase=InProgress&q=vm", true),
            ("phase=Live&q=vm", false),
            ("publisher=CONTOSO", true),
            ("publisher=fabrikam", false),
        ] {
            assert_eq!(admits(query, &record), shown, "{query}");
        }
        let record = invented::running("Étape 1", Some(42));
        assert!(admits("q=%C3%89TAPE+vm", &record));
    }
}
