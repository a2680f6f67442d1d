//! Walks a document's tree, and collects every error in it.

use std::collections::HashMap;
use std::ops::Range;

use super::characters::first_foreign;
use super::diagnostic::Diagnostic;
use super::explain::MAX_ERRORS;
use super::rules::{self, Problem, quoted};
use super::source::Source;
use super::syntax::RENDER;
use super::tree::{NodeId, Scalar, Tree};

/// The fields that a mapping may have.
pub(crate) struct FieldList<'a> {
    /// Each with an example, the required ones first.
    pub(crate) all: &'a [(&'static str, &'static str)],
    /// How many are required.
    pub(crate) required: usize,
    /// Fields that a later golive will read.
    pub(crate) later: &'static [&'static str],
}

/// The fields that have a value, by name.
pub(crate) type Fields = HashMap<&'static str, NodeId>;

pub(crate) struct Walk<'t, 'a> {
    pub(crate) tree: &'t Tree<'a>,
    pub(super) source: &'t Source<'a>,
    pub(super) errors: &'t mut Vec<Diagnostic>,
}

impl<'t> Walk<'t, '_> {
    pub(crate) fn error(&mut self, node: NodeId, problem: Problem) {
        self.error_at(self.tree.place(node), problem);
    }

    /// An error that doesn't show the line, which may hold a secret.
    pub(crate) fn error_unquoted(&mut self, node: NodeId, problem: Problem) {
        self.error(node, problem);
        if let Some(last) = self.errors.last_mut() {
            last.excerpt = None;
        }
    }

    /// The number of errors so far.
    pub(crate) fn count(&self) -> usize {
        self.errors.len()
    }

    /// Shows no lines in the errors from that number on: they may hold a secret.
    pub(crate) fn hide_lines_since(&mut self, count: usize) {
        for error in self.errors.iter_mut().skip(count) {
            error.excerpt = None;
        }
    }

    fn error_at(&mut self, place: Range<usize>, problem: Problem) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(self.source.diagnostic(place, problem));
        }
    }

    pub(crate) fn twice(&mut self, node: NodeId, what: String, first: NodeId) {
        self.error(node, Problem::new(what).hint("remove one of the two"));
        if let Some(last) = self.errors.last_mut() {
            last.related = Some(self.source.related("first given", self.tree.place(first).start));
        }
    }

    /// Checks that each field is known and given once, and that no required one is missing.
    pub(crate) fn fields(
        &mut self,
        root: NodeId,
        entries: &[(NodeId, NodeId)],
        known: &FieldList<'_>,
    ) -> Fields {
        let mut values = HashMap::new();
        let mut keys = HashMap::new();
        let mut meant = Vec::new();
        for (key, value) in entries.iter().copied() {
            let Some(name) = self.key(key) else { continue };
            let Some((name, _)) = known.all.iter().find(|(field, _)| *field == name) else {
                meant.extend(self.unknown_field(key, name, known));
                continue;
            };
            let name = *name;
            if let Some(first) = keys.get(name) {
                self.twice(key, format!("{name:?} is given twice"), *first);
                continue;
            }
            keys.insert(name, key);
            if self.tree.scalar(value) == Some(Scalar::Null) {
                let problem = Problem::new(format!("{name:?} has no value"));
                self.error(key, problem.hint("give it a value, or remove the line"));
                continue;
            }
            values.insert(name, value);
        }
        for (name, example) in known.all.iter().take(known.required) {
            // A misspelled field is one error, not two.
            if !keys.contains_key(name) && !meant.contains(name) {
                let place = self.tree.place(root).start;
                let problem = Problem::new(format!("{name:?} is missing"));
                self.error_at(place..place, problem.hint(format!("add it, like: {example}")));
            }
        }
        values
    }

    /// The field that is meant, if one is like it.
    fn unknown_field(
        &mut self,
        key: NodeId,
        name: &str,
        known: &FieldList<'_>,
    ) -> Option<&'static str> {
        if name == rules::MERGE_KEY {
            self.error(key, rules::merge_key());
            return None;
        }
        if self.errors.len() >= MAX_ERRORS {
            return None; // The search would be for nothing.
        }
        if known.later.contains(&name) {
            let what = format!("{name:?} is not supported yet by this version of golive");
            self.error(key, Problem::new(what).hint("remove it"));
            return None;
        }
        let names: Vec<&'static str> = known.all.iter().map(|(name, _)| *name).collect();
        self.error(key, rules::unknown(format!("unknown field {}", quoted(name)), name, &names));
        rules::nearest(name, names)
    }

    /// The name of a field or label.
    pub(crate) fn key(&mut self, key: NodeId) -> Option<&'t str> {
        let text = self.tree.text(key);
        if text.is_none() {
            let problem =
                Problem::new(format!("a name must be a text, not {}", self.describe(key)));
            let is_template = self.source.from(self.tree.place(key).start).starts_with('{');
            self.error(key, if is_template { problem.hint(RENDER) } else { problem });
        }
        text
    }

    /// What a node is, in words, with its value.
    pub(crate) fn describe(&self, node: NodeId) -> String {
        let tree = self.tree;
        if tree.has_local_tag(node) {
            return "a value with a tag".to_owned();
        }
        match (tree.scalar(node), tree.text(node)) {
            (Some(Scalar::Null), _) => "nothing".to_owned(),
            (Some(Scalar::Bool(value)), _) => format!("the boolean {value}"),
            (Some(Scalar::Unsigned(_) | Scalar::Number), Some(text)) => {
                format!("the number {text}")
            }
            (Some(Scalar::Text(text)), _) => format!("the text {}", quoted(text)),
            (Some(_), _) => "a value with a tag".to_owned(),
            (None, _) if tree.items(node).is_some() => "a list".to_owned(),
            (None, _) => "a mapping".to_owned(),
        }
    }

    pub(crate) fn wrong_type(
        &mut self,
        what: &str,
        node: NodeId,
        wanted: &str,
        hint: Option<String>,
    ) {
        let what = format!("{what} must be {wanted}, not {}", self.describe(node));
        let is_template = || self.source.from(self.tree.place(node).start).starts_with("{{");
        let hint = hint.or_else(|| match self.tree.text(node) {
            Some(text) => first_foreign(text),
            None => is_template().then(|| RENDER.to_owned()),
        });
        self.error(node, Problem { what, hint });
    }

    pub(crate) fn text<T>(
        &mut self,
        fields: &Fields,
        name: &str,
        rule: impl Fn(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        self.item(&format!("{name:?}"), *fields.get(name)?, rule)
    }

    pub(crate) fn item<T>(
        &mut self,
        what: &str,
        node: NodeId,
        rule: impl Fn(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        let scalar = self.tree.scalar(node);
        if let Some(Scalar::Text(text)) = scalar {
            return self.checked(node, rule(text));
        }
        let is_bare =
            matches!(scalar, Some(Scalar::Bool(_) | Scalar::Unsigned(_) | Scalar::Number));
        let text = self.tree.text(node).filter(|_| is_bare);
        let hint = text.map(|text| format!("quote it: {}", quoted(text)));
        self.wrong_type(what, node, "a text", hint);
        None
    }

    pub(crate) fn checked<T>(&mut self, node: NodeId, value: Result<T, Problem>) -> Option<T> {
        value.map_err(|problem| self.error(node, problem)).ok()
    }

    /// The error of a file with more than one document.
    pub(super) fn second_document(&mut self, root: NodeId) {
        let place = self.tree.place(root).start;
        let problem = Problem::new("this file has one document, and this is a second one");
        self.error_at(place..place, problem.hint("remove the line --- before it"));
    }
}
