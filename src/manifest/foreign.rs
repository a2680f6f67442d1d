//! Recognizes other tools' files, which get one error instead of one for each field.

use super::characters::is_lookalike_space;
use super::offer::Manifest;
use super::rules::Problem;
use super::tree::{NodeId, Tree};

/// The similarity from which on a name counts as misspelled.
const LIKE: f64 = 0.75;

/// Whether fields with these names are a manifest's, perhaps misspelled. `publisher` or `offer` is
/// enough. Similar names count only both together or beside `state`, and only if hardly any other
/// field is there: other tools have `offers` and `publishers`, too.
pub(super) fn is_ours<'a>(names: impl IntoIterator<Item = &'a str>) -> bool {
    let (mut publisher, mut offer, mut state, mut strange) = (false, false, false, 0);
    for name in names {
        match name {
            "publisher" | "offer" => return true,
            "state" => state = true,
            other if is_like(other, "publisher") => publisher = true,
            other if is_like(other, "offer") => offer = true,
            other => {
                let is_field = Manifest::FIELDS.iter().any(|(name, _)| is_like(other, name));
                strange += usize::from(!is_field);
            }
        }
    }
    strange <= MOST_STRANGE && (publisher && offer || state && (publisher || offer))
}

/// How many fields of a misspelled manifest may resemble no field of a manifest.
const MOST_STRANGE: usize = 1;

/// Whether a document is another tool's, not a manifest.
pub(super) fn is_foreign(tree: &Tree<'_>, root: NodeId) -> bool {
    let is_ours = |id: NodeId| match (tree.entries(id), tree.text(id)) {
        (Some(entries), _) => is_ours(entries.iter().filter_map(|(key, _)| tree.text(*key))),
        (None, Some(text)) => is_ours_by_lines(text),
        (None, None) => false,
    };
    match tree.items(root) {
        // A list of manifests is a usual mistake.
        Some(items) => !items.iter().copied().any(is_ours),
        None => !is_ours(root),
    }
}

fn is_like(name: &str, wanted: &str) -> bool {
    // Spares comparing names of very different length.
    name.len() < 2 * wanted.len()
        && 2 * name.len() > wanted.len()
        && strsim::normalized_damerau_levenshtein(&name.trim().to_lowercase(), wanted) >= LIKE
}

/// Like [`is_ours`], for a text that isn't valid YAML: by the first word of each line.
pub(super) fn is_ours_by_lines(text: &str) -> bool {
    let mut names = Vec::new();
    for line in text.lines() {
        let line = line.trim_start_matches(|c| is_lookalike_space(c) || "\u{feff}{\"'".contains(c));
        let end = line.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(line.len());
        let (name, rest) = line.split_at(end);
        let is_named = matches!(name, "publisher" | "offer");
        let behind = rest.trim_start_matches(|c: char| c.is_whitespace() || "\"'".contains(c));
        let has_colon = behind.starts_with([':', '\u{ff1a}', '\u{2236}', '\u{fe55}']);
        // The colon may be missing after the two names that are enough by themselves.
        if !name.is_empty() && (has_colon || is_named && rest.starts_with(char::is_whitespace)) {
            names.push(name);
        }
    }
    is_ours(names)
}

/// The error of a file, or of one document of it.
pub(super) fn what(what: &str) -> String {
    format!(
        "this {what} isn't a manifest: it has no \"publisher\" and no \"offer\" at its top level"
    )
}

/// The error of a document beside others that are manifests, so that its file can't be left out.
pub(super) fn document() -> Problem {
    Problem::new(what("document")).hint("move it to a file of its own, or add the two fields")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_recognized_by_its_fields() {
        for ours in [
            &["publisher"][..],
            &["kind", "offer"],
            &["publisherr", "state"],
            &["Offer", "state"],
            &["Publisher", "OFFER"],
            &["publihser", "offr"],
            &["\u{a0}offer", "state"],
        ] {
            assert!(is_ours(ours.iter().copied()), "{ours:?}");
        }
        for other in [
            &[][..],
            &["state", "version", "labels"],
            &["offers", "version"],
            &["publishers", "api"],
            &["apiVersion", "kind", "metadata", "data"],
            &["stages", "trigger", "pool"],
            &["order", "state"],
            &["replicaCount", "image", "offers", "state"],
        ] {
            assert!(!is_ours(other.iter().copied()), "{other:?}");
        }
    }

    #[test]
    fn invalid_yaml_is_recognized_by_its_lines() {
        for ours in [
            "publisher: a\noffer: [",
            "{{ if x }}\n\"publisher\" : a\n{{ end }}",
            "{publisher: a",
            "offer\u{a0}:\u{a0}vm",
            "publisher：contoso",
            "publisher contoso\n",
            "\u{a0}offer: vm",
            "publisherr: x: y\nstate: live",
        ] {
            assert!(is_ours_by_lines(ours), "{ours:?}");
        }
        for other in [
            "",
            "{{- if .Values.enabled }}\nkind: Deployment\n{{- end }}",
            "image:\n  publisher: Canonical\n  offer: x\n\t- [",
            "# publisher: a\nname: {{ x }}",
            "[[[",
            "offering: {{ x }}\nstate: 1",
            "state: {{ x }}\n",
        ] {
            assert!(!is_ours_by_lines(other), "{other:?}");
        }
    }
}
