//! From a document's tree to every error in it.

use std::collections::{BTreeMap, HashMap};

use super::characters::first_foreign;
use super::diagnostic::Diagnostic;
use super::field::{Draft, Field};
use super::foreign;
use super::labels::Labels;
use super::offer::Manifest;
use super::rules::{self, Problem, quoted};
use super::source::Source;
use super::syntax::RENDER;
use super::tree::{Kind, NodeId, Scalar, Tree, scalar};
use crate::marketplace::{OfferId, PublisherId, Version};

/// More errors than this in one file are not told: somebody checks in a wrong file, not typos.
pub(super) const MAX_ERRORS: usize = 1000;

/// What a document turned out to hold.
#[derive(Debug, Default)]
pub(super) struct Explained {
    /// The manifest, where nothing is wrong with it.
    pub(super) manifest: Option<Manifest>,
    /// The offer, where at least its name can be read.
    pub(super) id: Option<OfferId>,
    /// Where the offer's own id stands, for errors that are about the offer.
    pub(super) id_node: Option<NodeId>,
    /// Where the items of `after` stand.
    pub(super) after_nodes: Vec<NodeId>,
    /// Whether there is nothing in the document.
    pub(super) blank: bool,
    /// Whether it is plainly no manifest.
    pub(super) foreign: bool,
}

impl Explained {
    /// Whether nothing in it can be an offer that is not known.
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
    let before = errors.len();
    let mut walk = Walk { tree, source, errors };
    let mut explained = Explained::default();
    let node = tree.resolve(root);
    explained.foreign = foreign::is_foreign(tree, root);
    let entries = match &node.kind {
        Kind::Mapping(entries) if explained.foreign => {
            walk.error(entries.first().map_or(root, |(key, _)| *key), foreign::document());
            return explained;
        }
        Kind::Mapping(entries) => entries,
        Kind::Scalar { text, plain: true } if text.is_empty() && node.tag.is_none() => {
            explained.blank = true;
            return explained;
        }
        Kind::Scalar { .. } | Kind::List(_) | Kind::Alias(_) => {
            let what = format!("a manifest is a mapping of fields, not {}", walk.describe(root));
            let hint = match &node.kind {
                Kind::List(_) => {
                    "write the manifests one below the other, with a line --- between them"
                }
                Kind::Scalar { .. } | Kind::Alias(_) | Kind::Mapping(_) => {
                    "begin with \"publisher: …\""
                }
            };
            walk.error(root, Problem::new(what).hint(hint));
            return explained;
        }
    };
    let values = walk.fields(root, entries);
    explained.id_node = values.get(&Field::Offer).copied().or(Some(root));
    let draft = walk.draft(&values, &mut explained);
    if let (Some(publisher), Some(offer)) = (&draft.publisher, &draft.offer) {
        explained.id = OfferId::new(publisher.clone(), offer.clone()).ok();
    }
    if errors.len() == before {
        explained.manifest = draft.finish();
    }
    explained
}

struct Walk<'t, 'a> {
    tree: &'t Tree<'a>,
    source: &'t Source<'a>,
    errors: &'t mut Vec<Diagnostic>,
}

impl<'t> Walk<'t, '_> {
    fn error(&mut self, node: NodeId, problem: Problem) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(self.source.diagnostic(self.tree.place(node), problem));
        }
    }

    fn twice(&mut self, node: NodeId, what: String, first: NodeId) {
        self.error(node, Problem::new(what).hint("remove one of the two"));
        if let Some(last) = self.errors.last_mut() {
            last.related = Some(self.source.related("first given", self.tree.place(first).start));
        }
    }

    /// Tells the fields apart; checks that each is known, given once, and none is missing.
    fn fields(&mut self, root: NodeId, entries: &[(NodeId, NodeId)]) -> HashMap<Field, NodeId> {
        let mut values = HashMap::new();
        let mut keys = HashMap::new();
        let mut meant = Vec::new();
        for (key, value) in entries.iter().copied() {
            let Some(name) = self.key(key) else { continue };
            let Some(field) = Field::ALL.into_iter().find(|field| field.name() == name) else {
                meant.extend(self.unknown_field(key, name));
                continue;
            };
            if let Some(first) = keys.get(&field) {
                self.twice(key, format!("{:?} is given twice", field.name()), *first);
                continue;
            }
            keys.insert(field, key);
            if self.is_null(value) {
                let problem = Problem::new(format!("{:?} has no value", field.name()));
                self.error(key, problem.hint("give it a value, or remove the line"));
                continue;
            }
            values.insert(field, value);
        }
        for field in Field::REQUIRED {
            // A misspelled field is one error, not two.
            if !keys.contains_key(&field) && !meant.contains(&field.name()) {
                let place = self.tree.place(root).start;
                let problem = Problem::new(format!("{:?} is missing", field.name()))
                    .hint(format!("add it, like: {}", field.example()));
                if self.errors.len() < MAX_ERRORS {
                    self.errors.push(self.source.diagnostic(place..place, problem));
                }
            }
        }
        values
    }

    fn unknown_field(&mut self, key: NodeId, name: &str) -> Option<&'static str> {
        let names = Field::ALL.map(Field::name);
        if name == rules::MERGE_KEY {
            self.error(key, rules::merge_key());
            return None;
        }
        if self.errors.len() >= MAX_ERRORS {
            return None; // Nobody sees what would be looked for here.
        }
        let what = format!("unknown field {}", quoted(name));
        self.error(key, rules::unknown(what, name, &names));
        rules::nearest(name, names)
    }

    /// The name of a field or label.
    fn key(&mut self, key: NodeId) -> Option<&'t str> {
        match &self.tree.resolve(key).kind {
            Kind::Scalar { text, .. } => Some(text.as_ref()),
            Kind::List(_) | Kind::Mapping(_) | Kind::Alias(_) => {
                let what = format!("a name must be a text, not {}", self.describe(key));
                let problem = Problem::new(what);
                self.error(
                    key,
                    if self.source.from(self.tree.place(key).start).starts_with('{') {
                        problem.hint(RENDER)
                    } else {
                        problem
                    },
                );
                None
            }
        }
    }

    fn draft(&mut self, values: &HashMap<Field, NodeId>, explained: &mut Explained) -> Draft {
        let mut draft = Draft::default();
        // By this order, not the map's, so that the same file gives the same errors.
        for field in Field::ALL {
            let Some(value) = values.get(&field).copied() else { continue };
            match field {
                Field::Publisher => draft.publisher = self.text(field, value, rules::publisher),
                Field::Offer => draft.offer = self.text(field, value, rules::offer),
                Field::State => draft.state = self.text(field, value, rules::state),
                Field::Version => draft.version = self.version(value),
                Field::NotBefore => draft.not_before = self.text(field, value, rules::not_before),
                Field::Suspend => draft.suspend = self.suspend(value),
                Field::After => {
                    let publisher = draft.publisher.clone();
                    let rule = |text: &str| after_rule(text, publisher.as_ref());
                    draft.after = self.list(field, value, rule);
                    if let Kind::List(items) = &self.tree.resolve(value).kind {
                        explained.after_nodes.clone_from(items);
                    }
                }
                Field::Notify => draft.notify = self.list(field, value, rules::email),
                Field::Labels => draft.labels = self.labels(value),
            }
        }
        draft
    }

    fn scalar(&self, node: NodeId) -> Option<Scalar<'t>> {
        let node = self.tree.resolve(node);
        match &node.kind {
            Kind::Scalar { text, plain } => Some(scalar(text, *plain, node.tag.as_deref())),
            Kind::List(_) | Kind::Mapping(_) | Kind::Alias(_) => None,
        }
    }

    fn is_null(&self, node: NodeId) -> bool {
        self.scalar(node) == Some(Scalar::Null)
    }

    /// What a node is, in words.
    fn describe(&self, id: NodeId) -> String {
        let node = self.tree.resolve(id);
        if node.has_local_tag() {
            return "a value with a tag".to_owned();
        }
        match &node.kind {
            Kind::List(_) => "a list".to_owned(),
            Kind::Mapping(_) => "a mapping".to_owned(),
            Kind::Alias(_) => "an alias".to_owned(),
            Kind::Scalar { text, plain } => match scalar(text, *plain, node.tag.as_deref()) {
                Scalar::Null => "nothing".to_owned(),
                Scalar::Bool(value) => format!("the boolean {value}"),
                Scalar::Unsigned(_) | Scalar::Number => format!("the number {text}"),
                Scalar::Text(text) => format!("the text {}", quoted(text)),
                Scalar::Tagged => "a value with a tag".to_owned(),
            },
        }
    }

    fn wrong_type(&mut self, what: &str, node: NodeId, wanted: &str, hint: Option<String>) {
        let what = format!("{what} must be {wanted}, not {}", self.describe(node));
        let hint = hint.or_else(|| match &self.tree.resolve(node).kind {
            Kind::Mapping(_) if self.source.from(self.tree.place(node).start).starts_with("{{") => {
                Some(RENDER.to_owned())
            }
            Kind::Scalar { text, .. } => first_foreign(text),
            Kind::Mapping(_) | Kind::List(_) | Kind::Alias(_) => None,
        });
        self.error(node, Problem { what, hint });
    }

    fn text<T>(
        &mut self,
        field: Field,
        node: NodeId,
        rule: impl Fn(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        self.item(&format!("{:?}", field.name()), node, rule)
    }

    fn item<T>(
        &mut self,
        what: &str,
        node: NodeId,
        rule: impl Fn(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        match self.scalar(node) {
            Some(Scalar::Text(text)) => match rule(text) {
                Ok(value) => return Some(value),
                Err(problem) => self.error(node, problem),
            },
            Some(Scalar::Bool(_) | Scalar::Unsigned(_) | Scalar::Number) => {
                let hint = match &self.tree.resolve(node).kind {
                    Kind::Scalar { text, .. } => format!("quote it: {}", quoted(text)),
                    Kind::List(_) | Kind::Mapping(_) | Kind::Alias(_) => "quote it".to_owned(),
                };
                self.wrong_type(what, node, "a text", Some(hint));
            }
            Some(Scalar::Null | Scalar::Tagged) | None => {
                self.wrong_type(what, node, "a text", None);
            }
        }
        None
    }

    fn version(&mut self, node: NodeId) -> Option<Version> {
        let hint = match self.scalar(node) {
            Some(Scalar::Unsigned(number)) => match rules::version(number) {
                Ok(version) => return Some(version),
                Err(problem) => {
                    self.error(node, problem);
                    return None;
                }
            },
            Some(Scalar::Text(text)) if text.parse::<u64>().is_ok() => {
                Some(format!("remove the quotes: {text}"))
            }
            Some(
                Scalar::Null | Scalar::Bool(_) | Scalar::Number | Scalar::Text(_) | Scalar::Tagged,
            )
            | None => None,
        };
        self.wrong_type("\"version\"", node, "a whole number from 1 to 18446744073709551615", hint);
        None
    }

    fn suspend(&mut self, node: NodeId) -> bool {
        let hint = match self.scalar(node) {
            Some(Scalar::Bool(value)) => return value,
            Some(Scalar::Text(text)) => match text.to_ascii_lowercase().as_str() {
                "yes" | "on" | "y" | "true" => Some("write true".to_owned()),
                "no" | "off" | "n" | "false" => Some("write false".to_owned()),
                _ => None,
            },
            Some(Scalar::Null | Scalar::Unsigned(_) | Scalar::Number | Scalar::Tagged) | None => {
                None
            }
        };
        self.wrong_type("\"suspend\"", node, "true or false", hint);
        false
    }

    fn list<T>(
        &mut self,
        field: Field,
        node: NodeId,
        rule: impl Fn(&str) -> Result<T, Problem>,
    ) -> Vec<T> {
        let resolved = self.tree.resolve(node);
        match &resolved.kind {
            Kind::List(items) if !resolved.has_local_tag() => {
                let what = format!("an item of {:?}", field.name());
                items.iter().filter_map(|item| self.item(&what, *item, &rule)).collect()
            }
            Kind::List(_) | Kind::Scalar { .. } | Kind::Mapping(_) | Kind::Alias(_) => {
                let hint = format!("write it as a list, like: {}", field.example());
                self.wrong_type(&format!("{:?}", field.name()), node, "a list", Some(hint));
                Vec::new()
            }
        }
    }

    fn labels(&mut self, node: NodeId) -> Labels {
        let resolved = self.tree.resolve(node);
        let entries = match &resolved.kind {
            Kind::Mapping(entries) if !resolved.has_local_tag() => entries,
            Kind::Mapping(_) | Kind::List(_) | Kind::Scalar { .. } | Kind::Alias(_) => {
                let hint = format!("write it as a mapping, like: {}", Field::Labels.example());
                self.wrong_type("\"labels\"", node, "a mapping", Some(hint));
                return Labels::default();
            }
        };
        let mut labels = BTreeMap::new();
        let mut keys: HashMap<&str, NodeId> = HashMap::new();
        for (key, value) in entries.iter().copied() {
            let Some(name) = self.key(key) else { continue };
            if let Some(first) = keys.get(name).copied() {
                self.twice(key, format!("the label {} is given twice", quoted(name)), first);
                continue;
            }
            keys.insert(name, key);
            let checked = rules::label_key(name);
            let what = format!("the label {}", quoted(name));
            if self.is_null(value) {
                let problem = Problem::new(format!("{what} has no value"));
                self.error(key, problem.hint("give it one, or write \"\""));
                continue;
            }
            match checked {
                Err(problem) => self.error(key, problem),
                Ok(name) => {
                    if let Some(value) = self.item(&what, value, rules::label_value) {
                        labels.insert(name, value);
                    }
                }
            }
        }
        labels.into()
    }
}

/// An offer's name without its publisher is the usual slip in `after`.
fn after_rule(text: &str, publisher: Option<&PublisherId>) -> Result<OfferId, Problem> {
    rules::offer_id(text).map_err(|problem| {
        let whole = publisher.and_then(|publisher| OfferId::new(publisher.clone(), text).ok());
        match whole {
            Some(whole) => problem.hint(format!("did you mean \"{whole}\"?")),
            None => problem,
        }
    })
}
