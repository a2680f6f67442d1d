//! Reads the configuration, and finds every error in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::file::{Config, CredentialConfig, PublisherConfig};
use super::flags::{FLAGS, Flag, Kind};
use crate::backends::http::{Endpoint, EndpointError};
use crate::manifest::{
    Diagnostics, FieldList, Fields, NodeId, Problem, Scalar, Walk, publisher, quoted,
    read_document, unknown,
};
use crate::marketplace::{Api, PublisherId};

/// The longest name of a variable.
const LONGEST_NAME: usize = 64;

/// The kinds of credentials that a later golive will read.
const LATER_KINDS: [&str; 7] = [
    "client-secret",
    "workload-identity",
    "github",
    "azure-pipelines",
    "gitlab",
    "azure-cli",
    "managed-identity",
];

const HOW_TO_GIVE_A_TOKEN: &str = "write {kind: token, env: NAME} for a variable that holds a \
                                   token, or {kind: token, file: PATH} for a file";

/// Reads a configuration.
///
/// # Errors
/// Every error in the file.
pub fn read(path: &Path) -> Result<Config, Diagnostics> {
    let config = read_document(path, |walk, root| match root {
        Some(root) => config(walk, root),
        None => Config::default(),
    })?;
    Ok(Config { folder: crate::disk::folder_of(path).to_owned(), ..config })
}

fn config(walk: &mut Walk<'_, '_>, root: NodeId) -> Config {
    // `notifications` is for a later golive.
    let known = FieldList { all: &Config::fields(), required: 0, later: &["notifications"] };
    let Some(fields) = mapping(walk, root, "the configuration", &known) else {
        return Config::default();
    };
    let api = walk.text(&fields, "api", api);
    let publishers = publishers(walk, &fields);
    let flags = FLAGS.iter().filter_map(|it| Some((it.argument, flag(walk, &fields, it)?)));
    Config { api, publishers, flags: flags.collect(), folder: PathBuf::new() }
}

/// The fields of a mapping; an error if it is something else.
fn mapping(
    walk: &mut Walk<'_, '_>,
    node: NodeId,
    what: &str,
    known: &FieldList<'_>,
) -> Option<Fields> {
    let entries = walk.tree.entries(node).filter(|_| !walk.tree.has_local_tag(node));
    let Some(entries) = entries else {
        let example = known.all.first().map_or("", |(_, example)| example);
        let problem = Problem::new(format!("{what} must be a mapping of fields"));
        // Not what it is instead: a token may stand there.
        walk.error_unquoted(node, problem.hint(format!("write it like: {example}")));
        return None;
    };
    Some(walk.fields(node, entries, known))
}

fn api(text: &str) -> Result<Api, Problem> {
    let known = Api::ALL.map(Api::as_str);
    text.parse().map_err(|_| unknown(format!("unknown api {}", quoted(text)), text, &known))
}

fn publishers(walk: &mut Walk<'_, '_>, fields: &Fields) -> BTreeMap<PublisherId, PublisherConfig> {
    let mut all = BTreeMap::new();
    let Some(node) = fields.get("publishers").copied() else { return all };
    let Some(entries) = walk.tree.entries(node).filter(|_| !walk.tree.has_local_tag(node)) else {
        let hint = "write it as a mapping, like: publishers: {contoso: {api: product-ingestion}}";
        walk.wrong_type("\"publishers\"", node, "a mapping", Some(hint.to_owned()));
        return all;
    };
    let mut keys: BTreeMap<PublisherId, NodeId> = BTreeMap::new();
    for (key, value) in entries.iter().copied() {
        let Some(id) = walk.key(key) else { continue };
        let Some(id) = walk.checked(key, publisher(id)) else { continue };
        if let Some(first) = keys.insert(id.clone(), key) {
            walk.twice(key, format!("the publisher {id} is given twice"), first);
            continue;
        }
        if walk.tree.scalar(value) == Some(Scalar::Null) {
            let problem = Problem::new(format!("the publisher {id} has no value"));
            walk.error(key, problem.hint("give it an api, or remove the line"));
            continue;
        }
        let what = format!("the publisher {id}");
        let Some(fields) = mapping(walk, value, &what, &PublisherConfig::FIELDS) else { continue };
        let publisher = PublisherConfig {
            api: walk.text(&fields, "api", api),
            endpoint: endpoint(walk, &fields),
            credential: fields.get("credential").and_then(|node| credential(walk, *node)),
        };
        all.insert(id, publisher);
    }
    all
}

fn endpoint(walk: &mut Walk<'_, '_>, fields: &Fields) -> Option<String> {
    let node = *fields.get("endpoint")?;
    let Some(Scalar::Text(text)) = walk.tree.scalar(node) else {
        walk.wrong_type("\"endpoint\"", node, "a text", None);
        return None;
    };
    match text.parse::<Endpoint>() {
        Ok(endpoint) if endpoint.is_origin() => Some(text.to_owned()),
        Ok(endpoint) => {
            let problem = Problem::new("the endpoint has a path in it: golive adds the path");
            walk.error(node, problem.hint(format!("write {}", endpoint.origin())));
            None
        }
        Err(error @ EndpointError::Credentials) => {
            let hint = "leave them out; a credential of the kind token names a variable or a file";
            let what = error.to_string();
            let what = what.split(": ").next().unwrap_or_default();
            walk.error_unquoted(node, Problem::new(what).hint(hint));
            None
        }
        Err(error) => {
            walk.error(node, Problem::new(error.to_string()));
            None
        }
    }
}

/// The value of a `credential`. Its errors show neither values nor lines: somebody may have written
/// the secret itself.
fn credential(walk: &mut Walk<'_, '_>, node: NodeId) -> Option<CredentialConfig> {
    let kind = kind(walk, node);
    if let Some((kind, at)) = kind.filter(|(kind, _)| kind != "token") {
        // The fields of another kind are not looked at.
        let problem = if LATER_KINDS.contains(&kind.as_str()) {
            let what = format!(
                "credentials of the kind {} are not supported yet by this version of golive",
                quoted(&kind)
            );
            Problem::new(what).hint(HOW_TO_GIVE_A_TOKEN)
        } else {
            let known: Vec<_> = std::iter::once("token").chain(LATER_KINDS).collect();
            unknown(format!("unknown kind of credential {}", quoted(&kind)), &kind, &known)
        };
        walk.error(at, problem);
        return None;
    }
    let before = walk.count();
    let fields = mapping(walk, node, "\"credential\"", &CredentialConfig::FIELDS);
    walk.hide_lines_since(before);
    let fields = fields?;
    let given = |name| fields.get(name).copied();
    match (given("env"), given("file")) {
        (Some(env), None) => variable(walk, env).map(CredentialConfig::TokenVariable),
        (None, Some(file)) => path(walk, file).map(CredentialConfig::TokenFile),
        (Some(_), Some(file)) => {
            let problem = Problem::new("\"env\" and \"file\" are both given");
            walk.error(file, problem.hint("remove one of the two"));
            None
        }
        (None, None) if walk.count() == before => {
            let problem = Problem::new("\"credential\" doesn't say where the token is");
            walk.error_unquoted(node, problem.hint(HOW_TO_GIVE_A_TOKEN));
            None
        }
        (None, None) => None,
    }
}

/// The `kind` of a credential, if it is a text.
fn kind(walk: &Walk<'_, '_>, node: NodeId) -> Option<(String, NodeId)> {
    let mut entries = walk.tree.entries(node)?.iter();
    let (_, value) = entries.find(|(key, _)| walk.tree.text(*key) == Some("kind"))?;
    match walk.tree.scalar(*value)? {
        Scalar::Text(text) => Some((text.to_owned(), *value)),
        Scalar::Null | Scalar::Bool(_) | Scalar::Unsigned(_) | Scalar::Number | Scalar::Tagged => {
            None
        }
    }
}

fn variable(walk: &mut Walk<'_, '_>, node: NodeId) -> Option<String> {
    if let Some(Scalar::Text(name)) = walk.tree.scalar(node) {
        let mut characters = name.chars();
        let starts = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        let is_name = starts && characters.all(|c| c.is_ascii_alphanumeric() || c == '_');
        if is_name && name.len() <= LONGEST_NAME {
            return Some(name.to_owned());
        }
    }
    let what = "\"env\" must be the name of an environment variable: letters, digits and '_'";
    let hint = "the token itself never stands here; put it into a variable, and name that";
    walk.error_unquoted(node, Problem::new(what).hint(hint));
    None
}

fn path(walk: &mut Walk<'_, '_>, node: NodeId) -> Option<PathBuf> {
    match walk.tree.scalar(node) {
        Some(Scalar::Text(path)) if !path.trim().is_empty() => Some(PathBuf::from(path)),
        Some(_) | None => {
            let problem = Problem::new("\"file\" must be the path of a file that holds a token");
            walk.error_unquoted(node, problem);
            None
        }
    }
}

/// The value of a flag, as the command line takes it.
fn flag(walk: &mut Walk<'_, '_>, fields: &Fields, flag: &Flag) -> Option<String> {
    let node = *fields.get(flag.name())?;
    let scalar = walk.tree.scalar(node);
    let text = match (flag.kind, &scalar) {
        // The rule also refuses a number without a unit.
        (Kind::Duration(_), _) => walk.tree.text(node).map(str::to_owned),
        (_, Some(Scalar::Unsigned(number))) => Some(number.to_string()),
        (_, _) => None,
    };
    let Some(text) = text else {
        let is_quoted = matches!(scalar, Some(Scalar::Text(text)) if text.parse::<u64>().is_ok());
        let hint = is_quoted.then(|| "remove the quotes".to_owned());
        walk.wrong_type(&format!("{:?}", flag.name()), node, flag.kind.wanted(), hint);
        return None;
    };
    walk.checked(node, flag.kind.check(&text).map_err(Problem::new))?;
    Some(text)
}
