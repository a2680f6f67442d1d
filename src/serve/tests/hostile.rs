//! Texts that would do harm, had they a chance.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use html5gum::{Token, Tokenizer};

use super::{Fixture, invented};
use crate::manifest::FileManifests;
use crate::marketplace::{ChangedTime, Level, Message, OperationKind, Release, Step, StepStatus};
use crate::status::{ErrorRecord, SourceRecord};

/// What is harmless once it is cleaned, as every text of a record is, but not yet in a page.
const MARKUP: &str = "</p><script>alert(1)</script>\"'><img src=x onerror=alert(1)> &amp; `";

/// The same, and characters that turn, hide and control.
const RAW: &str =
    "</code><script>alert(1)</script>\"' onx=\"\u{202e}\u{200b}\u{1b}[2J\u{9b}31m\u{2028}\n\u{0}";

/// All that pages are made of.
const ELEMENTS: &[&str] = &[
    "a", "article", "b", "body", "button", "caption", "code", "dd", "div", "dl", "dt", "footer",
    "form", "h1", "h2", "h3", "head", "header", "html", "input", "label", "li", "link", "main",
    "meta", "nav", "ol", "option", "p", "pre", "progress", "script", "section", "select", "small",
    "span", "table", "tbody", "td", "th", "thead", "time", "title", "tr", "ul", "wbr",
];

const ATTRIBUTES: &[&str] = &[
    "action",
    "aria-current",
    "aria-label",
    "aria-labelledby",
    "charset",
    "class",
    "content",
    "data-digest",
    "data-events",
    "data-t",
    "datetime",
    "defer",
    "href",
    "id",
    "lang",
    "max",
    "maxlength",
    "method",
    "name",
    "placeholder",
    "rel",
    "role",
    "scope",
    "selected",
    "src",
    "tabindex",
    "title",
    "type",
    "value",
];

/// Fails where a page has anything that no page has, or a character that does harm.
#[track_caller]
fn is_harmless(page: &str) {
    let mut scripts = 0;
    for token in Tokenizer::new(page) {
        let Ok(Token::StartTag(tag)) = token else { continue };
        let name = String::from_utf8_lossy(&tag.name).into_owned();
        assert!(ELEMENTS.contains(&&*name), "<{name}> in {page}");
        scripts += usize::from(name == "script");
        for (attribute, value) in &tag.attributes {
            let attribute = String::from_utf8_lossy(attribute);
            assert!(ATTRIBUTES.contains(&&*attribute), "{attribute} in {page}");
            if attribute == "href" || attribute == "src" || attribute == "action" {
                let begins = ["./", "../", "offers/contoso/", "#main"];
                assert!(begins.iter().any(|it| value.starts_with(it.as_bytes())), "{value:?}");
            }
        }
    }
    assert_eq!(scripts, 1, "{page}");
    let harmful = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
    };
    assert_eq!(page.chars().find(|c| harmful(*c)), None, "{page}");
}

/// A record with markup wherever it has a text.
fn record() -> crate::status::OfferRecord {
    let text = || MARKUP.to_owned();
    let message = Message { at: Some(text()), level: Level::Unknown(text()), text: text() };
    let step = Step {
        estimate: Some(text()),
        id: text(),
        messages: vec![message.clone()],
        name: text(),
        progress: Some(255),
        status: StepStatus::Unknown(text()),
    };
    let mut record = invented::running(MARKUP, Some(42));
    record.message = text();
    record.manifest.file = RAW.to_owned();
    record.manifest.digest = RAW.to_owned();
    record.error = Some(ErrorRecord::new(invented::at(), format!("{MARKUP} else")));
    if let Some(observed) = &mut record.observed {
        observed.changed_time = Some(ChangedTime(RAW.to_owned()));
        observed.fingerprint = Some(RAW.to_owned());
        observed.live = Some(Release::new(text()));
        observed.preview = Some(Release::new(text()));
        observed.status = text();
    }
    if let Some(operation) = &mut record.operation {
        operation.id = Some(text());
        operation.kind = OperationKind::Unknown(text());
        operation.messages = vec![message];
        operation.steps = vec![step];
        operation.status = crate::marketplace::OperationStatus::Unknown(text());
        record.history.push((**operation).clone());
    }
    record
}

#[tokio::test(start_paused = true)]
async fn no_text_becomes_more_than_a_text() {
    let fixture = Fixture::new();
    fixture.set("contoso/vm", record());
    let yaml = format!("publisher: contoso\noffer: vm\nstate: {RAW}\n{RAW}: x\n");
    let read = FileManifests::from_bytes(Path::new(RAW), yaml.replace('\u{0}', "").as_bytes());
    assert!(!read.problems().is_empty());
    fixture.serving.service_state.update(|service| {
        RAW.clone_into(&mut service.place);
        service.problems = Arc::new(read.problems().to_vec());
        service.source_problem = Some(RAW.to_owned());
        service.source = Some(SourceRecord {
            branch: Some(RAW.to_owned()),
            commit: RAW.to_owned(),
            url: RAW.to_owned(),
        });
    });
    for path in ["/", "/offers/contoso/vm"] {
        let page = fixture.text(path).await;
        is_harmless(&page);
        assert!(page.contains("&lt;script&gt;"), "the texts are there");
    }
}

#[tokio::test(start_paused = true)]
async fn a_manifest_is_shown_and_does_nothing() {
    let fixture = Fixture::new();
    let yaml = "publisher: contoso\noffer: vm\nstate: live\nnotify: [\"'<b>'@x\"]\n\
                labels: {'</dd><script>': \"\\e[2J\\u202e\\\"<script>\"}\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vm.yaml");
    #[expect(clippy::disallowed_methods, reason = "a test's file needs no flush")]
    std::fs::write(&path, yaml).unwrap();
    let read = crate::manifest::load(&[path]);
    // What the rules refuse is shown as a problem, and what they let pass as a field.
    let page = match read {
        Ok(mut set) => {
            for loaded in set.offers.values_mut() {
                Arc::get_mut(loaded).unwrap().file = PathBuf::from(RAW);
            }
            fixture.serving.service_state.update(|service| service.desired = Arc::new(set.offers));
            fixture.text("/offers/contoso/vm").await
        }
        Err(problems) => {
            let problems = problems.into_iter().collect();
            fixture.serving.service_state.update(|service| service.problems = Arc::new(problems));
            fixture.text("/").await
        }
    };
    is_harmless(&page);
    assert!(page.contains("script&gt;"), "{page}");
}
