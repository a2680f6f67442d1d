//! Finds every error in a document's tree.

use std::collections::{BTreeMap, HashMap};

use super::diagnostic::Diagnostic;
use super::foreign;
use super::labels::Labels;
use super::offer::Manifest;
use super::rules::{self, Problem, quoted};
use super::source::Source;
use super::tree::{NodeId, Scalar, Tree};
use super::walk::{Fields, Walk};
use crate::marketplace::{OfferId, PublisherId, Version};

/// The most errors that are reported for one file. More mean that it is the wrong file.
pub(super) const MAX_ERRORS: usize = 1000;

/// What a document holds.
#[derive(Debug, Default)]
pub(super) struct Explained {
    /// The manifest, if it has no errors.
    pub(super) manifest: Option<Manifest>,
    /// The offer, if at least its id can be read.
    pub(super) id: Option<OfferId>,
    /// Where the offer's id is, for errors about the offer.
    pub(super) id_node: Option<NodeId>,
    /// Where the items of `after` are.
    pub(super) after_nodes: Vec<NodeId>,
    /// Whether the document is empty.
    pub(super) blank: bool,
    /// Whether it is another tool's document.
    pub(super) foreign: bool,
}

impl Explained {
    /// Whether the document declares no offer that golive could not read.
    pub(super) fn is_known(&self) -> bool {
        self.blank || self.foreign || self.id.is_some()
    }
}

/// Explains the document below `root`. Errors are added to `errors`.
pub(super) fn explain(
    tree: &Tree<'_>,
    source: &Source<'_>,
    root: NodeId,
    errors: &mut Vec<Diagnostic>,
) -> Explained {
    let mut walk = Walk { tree, source, errors };
    let foreign = foreign::is_foreign(tree, root);
    match tree.entries(root) {
        Some(entries) if foreign => {
            walk.error(entries.first().map_or(root, |(key, _)| *key), foreign::document());
            Explained { foreign, ..Explained::default() }
        }
        Some(entries) => walk.manifest(root, entries),
        None if tree.is_blank(root) => Explained { blank: true, foreign, ..Explained::default() },
        None => {
            let what = format!("a manifest is a mapping of fields, not {}", walk.describe(root));
            walk.error(
                root,
                Problem::new(what).hint(if tree.items(root).is_some() {
                    "write the manifests one below the other, with a line --- between them"
                } else {
                    "begin with \"publisher: …\""
                }),
            );
            Explained { foreign, ..Explained::default() }
        }
    }
}

impl Walk<'_, '_> {
    fn manifest(&mut self, root: NodeId, entries: &[(NodeId, NodeId)]) -> Explained {
        let before = self.errors.len();
        let fields = self.fields(root, entries, &Manifest::FIELD_LIST);
        let publisher = self.text(&fields, "publisher", rules::publisher);
        let offer = self.text(&fields, "offer", rules::offer);
        let state = self.text(&fields, "state", rules::state);
        let version = self.version(&fields);
        let not_before = self.text(&fields, "notBefore", rules::not_before);
        let suspend = self.suspend(&fields);
        let after = self.list(&fields, "after", |text| after_rule(text, publisher.as_ref()));
        let notify = self.list(&fields, "notify", rules::email);
        let labels = self.labels(&fields);

        let after_nodes = fields.get("after").and_then(|node| self.tree.items(*node));
        let id = publisher.clone().zip(offer.clone());
        let mut explained = Explained {
            id: id.and_then(|(publisher, offer)| OfferId::new(publisher, offer).ok()),
            id_node: Some(fields.get("offer").copied().unwrap_or(root)),
            after_nodes: after_nodes.unwrap_or_default().to_vec(),
            ..Explained::default()
        };
        if self.errors.len() == before
            && let (Some(publisher), Some(offer), Some(state)) = (publisher, offer, state)
        {
            explained.manifest = Some(Manifest {
                publisher,
                offer,
                state,
                version,
                not_before,
                suspend,
                after,
                notify,
                labels,
            });
        }
        explained
    }

    fn version(&mut self, fields: &Fields) -> Option<Version> {
        let node = *fields.get("version")?;
        let hint = match self.tree.scalar(node) {
            Some(Scalar::Unsigned(number)) => return self.checked(node, rules::version(number)),
            Some(Scalar::Text(text)) if text.parse::<u64>().is_ok() => {
                Some(format!("remove the quotes: {text}"))
            }
            _ => None,
        };
        self.wrong_type("\"version\"", node, "a whole number from 1 to 18446744073709551615", hint);
        None
    }

    fn suspend(&mut self, fields: &Fields) -> bool {
        let Some(node) = fields.get("suspend").copied() else { return false };
        let hint = match self.tree.scalar(node) {
            Some(Scalar::Bool(value)) => return value,
            Some(Scalar::Text(text)) => match text.to_ascii_lowercase().as_str() {
                "yes" | "on" | "y" | "true" => Some("write true".to_owned()),
                "no" | "off" | "n" | "false" => Some("write false".to_owned()),
                _ => None,
            },
            _ => None,
        };
        self.wrong_type("\"suspend\"", node, "true or false", hint);
        false
    }

    fn list<T>(
        &mut self,
        fields: &Fields,
        name: &str,
        rule: impl Fn(&str) -> Result<T, Problem>,
    ) -> Vec<T> {
        let Some(node) = fields.get(name).copied() else { return Vec::new() };
        if let Some(items) = self.tree.items(node).filter(|_| !self.tree.has_local_tag(node)) {
            let what = format!("an item of {name:?}");
            return items.iter().filter_map(|item| self.item(&what, *item, &rule)).collect();
        }
        let hint = format!("write it as a list, like: {}", Manifest::example(name));
        self.wrong_type(&format!("{name:?}"), node, "a list", Some(hint));
        Vec::new()
    }

    fn labels(&mut self, fields: &Fields) -> Labels {
        let Some(node) = fields.get("labels").copied() else { return Labels::default() };
        let entries = self.tree.entries(node).filter(|_| !self.tree.has_local_tag(node));
        let Some(entries) = entries else {
            let hint = format!("write it as a mapping, like: {}", Manifest::example("labels"));
            self.wrong_type("\"labels\"", node, "a mapping", Some(hint));
            return Labels::default();
        };
        let mut labels = BTreeMap::new();
        let mut keys: HashMap<&str, NodeId> = HashMap::new();
        for (key, value) in entries.iter().copied() {
            let Some(name) = self.key(key) else { continue };
            let what = format!("the label {}", quoted(name));
            if let Some(first) = keys.get(name).copied() {
                self.twice(key, format!("{what} is given twice"), first);
                continue;
            }
            keys.insert(name, key);
            if self.tree.scalar(value) == Some(Scalar::Null) {
                let problem = Problem::new(format!("{what} has no value"));
                self.error(key, problem.hint("give it one, or write \"\""));
                continue;
            }
            let Some(name) = self.checked(key, rules::label_key(name)) else { continue };
            if let Some(value) = self.item(&what, value, rules::label_value) {
                labels.insert(name, value);
            }
        }
        labels.into()
    }
}

/// The rule for `after`; a common mistake is an offer's id without its publisher.
fn after_rule(text: &str, publisher: Option<&PublisherId>) -> Result<OfferId, Problem> {
    rules::offer_id(text).map_err(|problem| {
        let whole = publisher.and_then(|publisher| OfferId::new(publisher.clone(), text).ok());
        match whole {
            Some(whole) => problem.hint(format!("did you mean \"{whole}\"?")),
            None => problem,
        }
    })
}
