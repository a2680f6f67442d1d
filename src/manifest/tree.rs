//! The slow path: documents as trees with positions, within bounds.
//!
//! Only files with an error, and unusual ones (see `screen`), are read this way. The nodes are in one
//! list, so that neither building nor dropping a tree recurses.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::rules::Problem;

/// How many levels a document may be nested.
const MAX_DEPTH: usize = 100;
/// The limit for what all aliases of a file expand to, in nodes and bytes of text together.
const MAX_EXPANSION: usize = 4 << 20;

pub(crate) type NodeId = usize;

/// One node of a document.
#[derive(Debug)]
struct Node<'a> {
    /// In characters.
    place: Range<usize>,
    kind: Kind<'a>,
    /// Its tag, resolved: `!x` for a local one, `tag:yaml.org,2002:x` for YAML's own.
    tag: Option<String>,
}

#[derive(Debug)]
enum Kind<'a> {
    Scalar { text: Cow<'a, str>, plain: bool },
    List(Vec<NodeId>),
    Mapping(Vec<(NodeId, NodeId)>),
    Alias(NodeId),
}

/// Where the parser stopped, and why.
#[derive(Debug)]
pub(super) struct Stop {
    pub(super) at: usize,
    pub(super) problem: Problem,
}

/// The documents of a file, as far as it could be read.
#[derive(Debug, Default)]
pub(crate) struct Tree<'a> {
    nodes: Vec<Node<'a>>,
    /// The root of each whole document.
    pub(super) documents: Vec<NodeId>,
    pub(super) stop: Option<Stop>,
}

impl<'a> Tree<'a> {
    pub(super) fn parse(text: &'a str) -> Self {
        let mut builder = Builder::default();
        builder.tree.stop = builder.read(&mut Parser::new_from_str(text)).err();
        builder.tree
    }

    /// A node; for an alias, its target.
    fn resolve(&self, id: NodeId) -> &Node<'a> {
        match self.nodes[id].kind {
            // An alias is never the target of an alias.
            Kind::Alias(target) => &self.nodes[target],
            Kind::Scalar { .. } | Kind::List(_) | Kind::Mapping(_) => &self.nodes[id],
        }
    }

    /// The items of a list.
    pub(crate) fn items(&self, id: NodeId) -> Option<&[NodeId]> {
        if let Kind::List(items) = &self.resolve(id).kind { Some(items) } else { None }
    }

    /// The keys and values of a mapping.
    pub(crate) fn entries(&self, id: NodeId) -> Option<&[(NodeId, NodeId)]> {
        if let Kind::Mapping(entries) = &self.resolve(id).kind { Some(entries) } else { None }
    }

    /// A scalar as it is written.
    pub(crate) fn text(&self, id: NodeId) -> Option<&str> {
        if let Kind::Scalar { text, .. } = &self.resolve(id).kind { Some(text) } else { None }
    }

    /// What a scalar stands for.
    pub(crate) fn scalar(&self, id: NodeId) -> Option<Scalar<'_>> {
        let node = self.resolve(id);
        let Kind::Scalar { text, plain } = &node.kind else { return None };
        Some(scalar(text, *plain, node.tag.as_deref()))
    }

    /// Whether there is nothing at all.
    pub(crate) fn is_blank(&self, id: NodeId) -> bool {
        let Node { kind, tag, .. } = self.resolve(id);
        matches!(kind, Kind::Scalar { text, plain: true } if text.is_empty()) && tag.is_none()
    }

    /// Whether a node has a tag that is not YAML's own: a type that golive doesn't know.
    pub(crate) fn has_local_tag(&self, id: NodeId) -> bool {
        self.resolve(id).tag.as_deref().is_some_and(|tag| tag.starts_with('!'))
    }

    /// Where a node stands in the text, in characters; for an alias, where the alias stands.
    pub(crate) fn place(&self, id: NodeId) -> Range<usize> {
        self.nodes[id].place.clone()
    }
}

#[derive(Default)]
struct Builder<'a> {
    tree: Tree<'a>,
    /// The lists and mappings that are not closed yet.
    open: Vec<Open>,
    /// This document's anchors. The parser numbers them, and gives none twice.
    anchors: HashMap<usize, Anchor>,
    /// What the aliases so far expand to.
    expanded: usize,
}

struct Anchor {
    node: NodeId,
    /// What the node expands to: itself, all below it, and their text. `None` while it is open.
    size: Option<usize>,
}

struct Open {
    node: NodeId,
    /// The number of its anchor; 0 for none.
    anchor: usize,
    /// A mapping's key that has no value yet.
    key: Option<NodeId>,
    size: usize,
}

impl<'a> Builder<'a> {
    fn read(&mut self, parser: &mut Parser<'a, StrInput<'a>>) -> Result<(), Stop> {
        while let Some(next) = parser.next_event() {
            let (event, span) = next.map_err(|error| syntax(&error))?;
            match event {
                Event::StreamEnd => break,
                Event::Nothing | Event::StreamStart | Event::DocumentEnd => {}
                // The parser would let an alias reach into an earlier document.
                Event::DocumentStart(_) => self.anchors.clear(),
                Event::Alias(anchor) => self.alias(anchor, span)?,
                Event::Scalar(text, style, anchor, tag) => {
                    let size = 1 + text.len();
                    let plain = style == ScalarStyle::Plain;
                    let id = self.push(Kind::Scalar { text, plain }, span, tag);
                    if anchor > 0 {
                        self.anchors.insert(anchor, Anchor { node: id, size: Some(size) });
                    }
                    self.attach(id, size);
                }
                Event::SequenceStart(anchor, tag) => {
                    self.enter(Kind::List(Vec::new()), anchor, span, tag)?;
                }
                Event::MappingStart(anchor, tag) => {
                    self.enter(Kind::Mapping(Vec::new()), anchor, span, tag)?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.leave(span),
            }
        }
        Ok(())
    }

    fn push(&mut self, kind: Kind<'a>, span: Span, tag: Option<Cow<'_, Tag>>) -> NodeId {
        let place = span.start.index()..span.end.index().max(span.start.index());
        let tag = tag.map(|tag| format!("{}{}", tag.handle, tag.suffix));
        self.tree.nodes.push(Node { place, kind, tag });
        self.tree.nodes.len() - 1
    }

    fn enter(
        &mut self,
        kind: Kind<'a>,
        anchor: usize,
        span: Span,
        tag: Option<Cow<'_, Tag>>,
    ) -> Result<(), Stop> {
        if self.open.len() == MAX_DEPTH {
            let problem = Problem::new(format!("nested more than {MAX_DEPTH} levels deep"));
            return Err(Stop { at: span.start.index(), problem });
        }
        let node = self.push(kind, span, tag);
        if anchor > 0 {
            self.anchors.insert(anchor, Anchor { node, size: None });
        }
        self.open.push(Open { node, anchor, key: None, size: 1 });
        Ok(())
    }

    fn leave(&mut self, span: Span) {
        let Some(Open { node, anchor, key: _, size }) = self.open.pop() else { return };
        let place = &mut self.tree.nodes[node].place;
        place.end = place.end.max(span.end.index());
        if let Some(anchor) = self.anchors.get_mut(&anchor) {
            anchor.size = Some(size);
        }
        self.attach(node, size);
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Stop> {
        let at = span.start.index();
        let stop = |problem: Problem| Err(Stop { at, problem });
        let Some(&Anchor { node: target, size }) = self.anchors.get(&anchor) else {
            return stop(Problem::new("this alias names an anchor of an earlier document"));
        };
        let Some(size) = size else {
            return stop(Problem::new("this alias refers to a value that contains it"));
        };
        self.expanded = self.expanded.saturating_add(size);
        if self.expanded > MAX_EXPANSION {
            let most = MAX_EXPANSION >> 20;
            return stop(
                Problem::new(format!("the aliases up to here expand to more than {most} MiB"))
                    .hint("write the values out, or split the file"),
            );
        }
        let id = self.push(Kind::Alias(target), span, None);
        self.attach(id, size);
        Ok(())
    }

    /// Adds a complete node to the list, mapping or document that is open.
    fn attach(&mut self, id: NodeId, size: usize) {
        let Some(open) = self.open.last_mut() else {
            self.tree.documents.push(id);
            return;
        };
        open.size = open.size.saturating_add(size);
        match &mut self.tree.nodes[open.node].kind {
            Kind::List(items) => items.push(id),
            Kind::Mapping(entries) => match open.key.take() {
                Some(key) => entries.push((key, id)),
                None => open.key = Some(id),
            },
            Kind::Scalar { .. } | Kind::Alias(_) => {}
        }
    }
}

fn syntax(error: &ScanError) -> Stop {
    let info = error.info();
    let problem = if info.contains("recursion limit") {
        Problem::new(format!("nested more than {MAX_DEPTH} levels deep"))
    } else {
        let problem = Problem::new(format!("invalid YAML: {info}"));
        match usual_cause(info) {
            Some(hint) => problem.hint(hint),
            None => problem,
        }
    };
    Stop { at: error.marker().index(), problem }
}

/// The most common cause of a parser's message.
fn usual_cause(info: &str) -> Option<&'static str> {
    const CAUSES: [(&str, &str); 8] = [
        (
            "mapping values are not allowed",
            "check the indentation; a text with \": \" in it must be quoted",
        ),
        ("simple key expect", "the line before has no \":\" after its field's name"),
        ("illegal placement of ':'", "a bracket or a quote before this may not be closed"),
        ("did not find expected ','", "a bracket or a quote before this may not be closed"),
        ("while parsing a flow", "a bracket before this may not be closed"),
        ("quoted scalar", "a quote may not be closed"),
        ("unexpected character", "quote the text"),
        ("unknown anchor", "an anchor is known only after it, and within its own document"),
    ];
    CAUSES.into_iter().find(|(said, _)| info.contains(said)).map(|(_, cause)| cause)
}

/// What a scalar stands for, by `serde_yaml`'s rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scalar<'a> {
    Null,
    Bool(bool),
    Unsigned(u64),
    /// Any other number: negative, too large, or with a fraction.
    Number,
    Text(&'a str),
    /// A text that doesn't fit its tag.
    Tagged,
}

const CORE: &str = "tag:yaml.org,2002:";

fn scalar<'a>(text: &'a str, plain: bool, tag: Option<&str>) -> Scalar<'a> {
    let Some(tag) = tag else {
        return if plain { untagged(text) } else { Scalar::Text(text) };
    };
    if tag.starts_with('!') {
        return Scalar::Tagged;
    }
    match (tag.strip_prefix(CORE), untagged(text)) {
        (Some("bool"), value @ Scalar::Bool(_))
        | (Some("int"), value @ (Scalar::Unsigned(_) | Scalar::Number))
        | (Some("null"), value @ Scalar::Null) => value,
        (Some("float"), Scalar::Unsigned(_) | Scalar::Number) => Scalar::Number,
        (Some("bool" | "int" | "null" | "float"), _) => Scalar::Tagged,
        (Some(_) | None, _) => Scalar::Text(text),
    }
}

fn untagged(text: &str) -> Scalar<'_> {
    match text {
        "" | "null" | "Null" | "NULL" | "~" => return Scalar::Null,
        "true" | "True" | "TRUE" => return Scalar::Bool(true),
        "false" | "False" | "FALSE" => return Scalar::Bool(false),
        _ => {}
    }
    let positive = text.strip_prefix('+').unwrap_or(text);
    if let Some(number) = integer(positive) {
        return u64::try_from(number).map_or(Scalar::Number, Scalar::Unsigned);
    }
    let negative = text.strip_prefix('-').is_some_and(|rest| integer(rest).is_some());
    if negative || is_float(text) { Scalar::Number } else { Scalar::Text(text) }
}

/// An integer without its sign.
fn integer(text: &str) -> Option<u128> {
    if text.starts_with(['+', '-']) {
        return None;
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            return if digits.starts_with('+') {
                None
            } else {
                u128::from_str_radix(digits, radix).ok()
            };
        }
    }
    if leading_zero(text) { None } else { text.parse().ok() }
}

/// `007` is a text in YAML 1.2.
fn leading_zero(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned.starts_with(['+', '-']) || leading_zero(unsigned) {
        return false;
    }
    matches!(unsigned, ".inf" | ".Inf" | ".INF")
        || matches!(text, ".nan" | ".NaN" | ".NAN")
        || unsigned.parse::<f64>().is_ok_and(f64::is_finite)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn stopped(text: &str) -> (usize, String) {
        let stop = Tree::parse(text).stop.unwrap();
        (stop.at, stop.problem.what)
    }

    #[test]
    fn invalid_yaml_stops_with_a_position() {
        assert!(stopped("a: [b\nc: d\n").1.contains("invalid YAML"));
        assert!(stopped("a: *b").1.contains("unknown anchor"));
        let (at, what) = stopped("a: &a b\n---\nc: *a\n");
        assert_eq!(at, 15);
        assert!(what.contains("earlier document"));
        assert!(stopped("a: &a [*a]").1.contains("refers to a value that contains it"));
    }

    #[test]
    fn depth_is_bounded_exactly() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Tree::parse(&nested(MAX_DEPTH)).stop.is_none());
        assert_eq!(stopped(&nested(MAX_DEPTH + 1)).0, MAX_DEPTH);
        assert!(stopped(&"[".repeat(1 << 20)).1.contains("levels deep"));
        assert!(stopped(&"- ".repeat(1 << 19)).1.contains("levels deep"));
        assert!(stopped(&"{a: ".repeat(1 << 18)).1.contains("levels deep"));
    }

    #[test]
    fn aliases_expand_within_a_budget() {
        let mut bomb = "a: &x0 [lol, lol]\n".to_owned();
        for level in 1..30 {
            let below = level - 1;
            writeln!(bomb, "b{level}: &x{level} [*x{below}, *x{below}, *x{below}]").unwrap();
        }
        assert!(stopped(&bomb).1.contains("expand to more than 4 MiB"));
        let long = format!("a: &a {}\nb: [{}]", "x".repeat(1 << 18), "*a , ".repeat(1 << 15));
        assert!(stopped(&long).1.contains("expand to more than 4 MiB"));
        assert!(Tree::parse("a: &a b\nc: [*a , *a ]").stop.is_none());
    }

    #[test]
    fn positions_are_in_characters() {
        let tree = Tree::parse("é: ü\r\nb: x");
        let Kind::Mapping(entries) = &tree.resolve(tree.documents[0]).kind else { panic!() };
        assert_eq!(tree.place(entries[0].1), 3..4);
        assert_eq!(tree.place(entries[1].0), 6..7);
    }
}
