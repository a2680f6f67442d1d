//! The module as a whole: what goes wrong, and how it is told.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use tempfile::TempDir;

const GOOD: &str = "publisher: contoso\noffer: vm\nstate: live\n";

fn read(text: impl AsRef<[u8]>) -> FileManifests {
    FileManifests::from_bytes(Path::new("a.yaml"), text.as_ref())
}

/// `line:column: what` of each error.
fn errors(text: impl AsRef<[u8]>) -> Vec<String> {
    let tell = |d: &Diagnostic| format!("{}:{}: {}", d.line, d.column, d.what);
    read(text).problems().iter().map(tell).collect()
}

fn hint(text: &str) -> String {
    let file = read(text);
    assert_eq!(file.problems().len(), 1, "{:?}", file.problems());
    file.problems()[0].hint.clone().unwrap_or_default()
}

fn with(line: &str) -> String {
    format!("{GOOD}{line}\n")
}

/// The manifests of a text without errors.
fn manifests(text: impl AsRef<[u8]>) -> Vec<Manifest> {
    let folder = folder(&[]);
    let path = folder.path().join("a.yaml");
    put(&path, text.as_ref());
    match load(&[path]) {
        Ok(set) => set.offers.into_values().map(|loaded| loaded.manifest.clone()).collect(),
        Err(errors) => panic!("{errors}"),
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's file needs no flush")]
fn put(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        put(&path, text.as_bytes());
    }
    folder
}

/// All errors as they are shown, with the folder's name taken out.
fn shown(folder: &TempDir) -> String {
    let errors = load(&[folder.path().to_owned()]).unwrap_err();
    errors.to_string().replace(&format!("{}/", folder.path().display()), "")
}

fn offer(name: &str, more: &str) -> String {
    format!("publisher: contoso\noffer: {name}\nstate: live\n{more}\n")
}

mod one_file {
    use super::*;

    #[test]
    fn all_errors_are_reported_with_their_positions() {
        let text = "\
publisher: con toso
offer: 5
state: liev
version: 0
notBefore: tomorrow
suspend: yes
after: [vm, contoso/base, 7]
notify:
  - a@b@example.com
labels: {a=b: c, team: 1}
colour: red
offer: vm
---
publisher: contoso
offer: other
---
- a
---
kind: ConfigMap
data: {}
";
        assert_eq!(
            errors(text),
            [
                "11:1: unknown field \"colour\"",
                "12:1: \"offer\" is given twice",
                "1:12: \"con toso\" isn't a valid publisher id: ' ' is not allowed in an id: use letters, digits, '-', '_' and '.'",
                "2:8: \"offer\" must be a text, not the number 5",
                "3:8: unknown state \"liev\"",
                "4:10: a version is at least 1",
                "5:12: \"tomorrow\" isn't a valid RFC 3339 timestamp",
                "6:10: \"suspend\" must be true or false, not the text \"yes\"",
                "7:9: \"vm\" isn't a valid offer id: an offer is named publisher/offer, with one slash",
                "7:27: an item of \"after\" must be a text, not the number 7",
                "9:5: \"a@b@example.com\" isn't a valid e-mail address: it has more than one \"@\"",
                "10:10: \"a=b\" isn't a valid label: '=' is not allowed in its name",
                "10:24: the label \"team\" must be a text, not the number 1",
                "14:1: \"state\" is missing",
                "17:1: a manifest is a mapping of fields, not a list",
                "19:1: this document isn't a manifest: it has no \"publisher\" and no \"offer\" at its top level",
            ]
        );
    }

    #[test]
    fn an_error_is_shown_as_a_person_reads_it() {
        let folder =
            folder(&[("a.yaml", "publisher: contoso\noffer: vm\nstat: live\nlabels:\n  é: 1\n")]);
        assert_eq!(
            shown(&folder),
            "\
a.yaml:3:1: unknown field \"stat\"
3 | stat: live
  | ^^^^
  = hint: did you mean \"state\"?

a.yaml:5:6: the label \"é\" must be a text, not the number 1
5 |   é: 1
  |      ^
  = hint: quote it: \"1\""
        );
    }

    #[test]
    fn hints_say_what_to_write() {
        for (line, expected) in [
            ("labels: {a: true}", "quote it: \"true\""),
            ("version: '5'", "remove the quotes: 5"),
            ("suspend: off", "write false"),
            ("after: contoso/base", "write it as a list, like: after: [contoso/base-image]"),
            ("after: [base]", "did you mean \"contoso/base\"?"),
            ("after:", "give it a value, or remove the line"),
            ("notBefore: ~", "give it a value, or remove the line"),
            ("labels: {a: }", "give it one, or write \"\""),
            ("notbefore: 2030-01-01T00:00:00Z", "did you mean \"notBefore\"?"),
            ("notBefore: 2030-01-01T00:00:00", "say which time zone: 2030-01-01T00:00:00Z is UTC"),
            (
                "<<: {state: live}",
                "merge keys are not part of YAML 1.2: write the fields out, or alias single values",
            ),
            (
                "labels: {<<: a}",
                "merge keys are not part of YAML 1.2: write the fields out, or alias single values",
            ),
            ("labels: [a]", "write it as a mapping, like: labels: {team: compute}"),
        ] {
            assert_eq!(hint(&with(line)), expected, "{line}");
        }
        assert_eq!(
            hint("publisher: contoso\noffer: contoso/vm\nstate: live\n"),
            "the publisher has a field of its own; here write only \"vm\""
        );
        assert_eq!(hint("publisher: contoso\noffer: vm\nstate: Live\n"), "did you mean \"live\"?");
    }

    #[test]
    fn wrong_types_of_all_kinds_are_told() {
        for line in [
            "version: -1",
            "version: 1.5",
            "version: 18446744073709551616",
            "version: [1]",
            "version: !x 5",
            "suspend: {a: b}",
            "suspend: 'true'",
            "after: [[a/b]]",
            "after: !x [a/b]",
            "notify: {a: b}",
            "notify: [~]",
            "labels: {a: [b]}",
            "labels: {a: !x b}",
            "labels: {? [a] : b}",
            "labels: {a: b, a: c}",
            "? {a: b}\n: c",
            "1: 2",
        ] {
            let found = errors(with(line));
            assert_eq!(found.len(), 1, "{line}: {found:?}");
            assert!(found[0].starts_with("4:"), "{line}: {found:?}");
        }
        for root in ["a", "5", "~", "null", "[]", "--- ''", "!x"] {
            assert_eq!(errors(root).len(), 1, "{root}");
        }
    }

    #[test]
    fn a_duplicate_shows_both_positions() {
        let folder =
            folder(&[("a.yaml", "publisher: contoso\noffer: vm\nstate: live\nstate: preview\n")]);
        assert_eq!(
            shown(&folder),
            "\
a.yaml:4:1: \"state\" is given twice
4 | state: preview
  | ^^^^^
  = hint: remove one of the two
  = first given at a.yaml:3:1"
        );
    }

    #[test]
    fn a_syntax_error_is_reported_once_beside_earlier_errors() {
        let text = format!(
            "publisher: contoso\noffer: vm\nstate: x\n---\n{GOOD}labels: {{a: b\n---\n{GOOD}"
        );
        let found = errors(&text);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("3:8: unknown state"));
        assert!(found[1].contains("invalid YAML"), "{found:?}");
        assert_eq!(errors("publisher: 'contoso").len(), 1);
        assert_eq!(errors("a: b: c").len(), 1);
    }

    #[test]
    fn merge_conflicts_and_templates_are_recognized() {
        let text =
            format!("publisher: a\n<<<<<<< HEAD\noffer: b\n=======\noffer: c\n>>>>>>> x\n{GOOD}");
        assert_eq!(errors(text), ["2:1: a merge conflict is not resolved"]);
        assert!(hint(&with("labels: {{ .Values.labels }}")).starts_with("render templates"));
    }

    #[test]
    fn only_tabs_in_indentation_are_errors() {
        for text in [
            "publisher: contoso\noffer: vm\nstate: live\nlabels:\n\tteam: compute\n",
            "publisher: contoso\r\noffer: vm\r\nstate: live\r\nlabels:\r\n\tteam: compute\r\n",
        ] {
            assert_eq!(errors(text), ["5:1: a tab is used for indentation"]);
            assert!(hint(text).contains("spaces"));
        }
        assert_eq!(manifests("publisher:\tcontoso\noffer: vm\t\nstate: live # \t\n").len(), 1);
    }

    #[test]
    fn invalid_utf_8_is_reported_with_its_position() {
        let found = errors(b"publisher: contoso\r\noffer: \xc3\xa9\xff\n");
        assert_eq!(found, ["2:9: the byte 0xff is not UTF-8"]);
        assert_eq!(errors(b"\xef\xbb\xbfoffer: \xff"), ["1:8: the byte 0xff is not UTF-8"]);
        let utf_16: Vec<u8> =
            "\u{feff}publisher: contoso".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(errors(&utf_16), ["0:0: this file is in UTF-16"]);
        assert_eq!(read(&utf_16).problems()[0].hint.as_deref(), Some("save the file as UTF-8"));
    }

    #[test]
    fn a_byte_order_mark_and_crlf_are_allowed_and_shift_no_column() {
        assert_eq!(
            manifests("\u{feff}publisher: contoso\r\noffer: vm\r\nstate: live\r\n").len(),
            1
        );
        let found = errors("\u{feff}publisher: contoso\r\noffer: vm\r\nstate: x\r\nversion: 0\r\n");
        assert_eq!(found, ["3:8: unknown state \"x\"", "4:10: a version is at least 1"]);
        assert_eq!(errors("\u{feff}x: 1\noffer: vm")[0], "1:1: unknown field \"x\"");
    }

    #[test]
    fn files_with_only_comments_are_allowed() {
        for text in ["# only\n# comments\n", "---\n", "---\n# a\n---\n...\n", "%YAML 1.2\n---\n"] {
            assert_eq!(manifests(text), [], "{text:?}");
        }
        let blanks = format!("---\n---\n{GOOD}---\n\n---\n# none\n");
        assert_eq!(manifests(blanks).len(), 1);
    }

    #[test]
    fn an_empty_file_is_an_error() {
        for text in ["", "\n\n", " \t\r\n", "\u{feff}"] {
            assert_eq!(errors(text), ["0:0: this file is empty"], "{text:?}");
        }
    }

    /// There may be an offer behind each of them, so that none is to be left out.
    #[test]
    fn a_file_in_place_of_a_manifest_is_recognized() {
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 46\n";
        let cases: [(&[u8], &str, &str); 6] = [
            (pointer.as_bytes(), "this is a Git LFS pointer", "git lfs pull brings the file"),
            (
                b"../base/vm.yaml",
                "this is a symbolic link that was",
                "put the manifest itself here",
            ),
            (b"\x1f\x8b\x08\0\0\0\0\0", "this file is compressed with gzip", "unpack it"),
            (b"\0GITCRYPT\0\x81\x02", "this file is encrypted with git-crypt", "git-crypt unlock"),
            (b"\x8f\x01\x02\xffno text\0", "this file isn't text", "restore it"),
            (b"p\0u\0b\0", "this file is in UTF-16", "save the file as UTF-8"),
        ];
        for (bytes, what, hint) in cases {
            let file = read(bytes);
            let [problem] = file.problems() else { panic!("{:?}", file.problems()) };
            assert!(problem.what.starts_with(what), "{problem:?}");
            assert!(problem.hint.as_ref().unwrap().starts_with(hint), "{problem:?}");
            assert!(!file.complete, "it may hide a manifest: {problem:?}");
        }
    }

    #[test]
    fn another_tool_s_document_does_not_hide_a_manifest_beside_it() {
        let told = hint(&format!("{GOOD}---\napiVersion: v1\nkind: Secret\n"));
        assert_eq!(told, "move it to a file of its own, or add the two fields");
    }

    /// A `.goliveignore` is no help for what is named on the command line.
    #[test]
    fn the_hint_depends_on_how_the_file_was_named() {
        let large = "#".repeat((1 << 20) + 1);
        let folder = folder(&[("a.yaml", ""), ("b.yaml", "kind: Job\n"), ("c.yaml", &large)]);
        let hints = |paths: &[PathBuf]| -> Vec<String> {
            load(paths).unwrap_err().into_iter().map(|it| it.hint.unwrap()).collect()
        };
        let found = hints(&[folder.path().to_owned()]);
        assert!(found.iter().all(|hint| hint.contains(".goliveignore")), "{found:#?}");
        let paths = ["a.yaml", "b.yaml", "c.yaml"].map(|name| folder.path().join(name));
        let mut both = vec![folder.path().to_owned()];
        both.extend(paths.clone());
        for named in [hints(&paths), hints(&both)] {
            assert_eq!(named.len(), 3);
            assert!(named.iter().all(|hint| hint.contains("name another file")), "{named:#?}");
            assert!(!named.iter().any(|hint| hint.contains(".goliveignore")), "{named:#?}");
        }
    }

    /// Of the files of other tools that lie in a repository, each is one error.
    #[test]
    fn another_tool_s_file_is_one_error() {
        for text in [
            "trigger:\n  branches: {include: [main]}\npool: {vmImage: x}\nstages:\n  - stage: plan\n",
            "apiVersion: v2\nname: golive\nversion: 0.1.0\n",
            "services:\n  golive: {image: golive}\nversion: '3'\n",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: offers}\n---\nkind: Secret\n---\n# none\n",
            "{{- if .Values.enabled }}\nkind: Deployment\n{{- end }}\n",
            "{% for x in y %}\nname: {{ x }}\n{% endfor %}\n",
            "name: {{ .Chart.Name }}\nlabels: {{- include \"x\" . | nindent 4 }}\n",
            "site_name: x\nnav: []\nmarkdown_extensions:\n  - x: {y: !!python/name:a.b.c }\nz: !ENV [A, b]\n",
            "Resources:\n  A: !Ref B\n  C: !Sub '${D}'\n",
            "- hosts: all\n  tasks: []\n",
            "- a\n",
            "just a text\n",
            "42\n",
            "[]\n",
            "{}\n",
            "{\"openapi\": \"3.0.0\", \"paths\": {}}\n",
            "on: push\njobs:\n\tx: y\n",
            "a: &a 1\nb: *a\n<<: *c\n",
            "a: {b: [\n",
            "a: b: c\n",
            "%YAML 1.1\n---\na: b\n",
            "nav: \"\u{2764}\u{fe0f}\"\n",
            "state: live\nversion: 3\nlabels: {}\n",
            "image:\n  publisher: Canonical\n  offer: ubuntu\n  sku: x\n",
            "name: caf\u{e9}\n<<<<<<< HEAD\na: b\n=======\na: c\n>>>>>>> x\n",
        ] {
            let file = read(text);
            let [problem] = file.problems() else { panic!("{text:?}: {:?}", file.problems()) };
            assert_eq!(problem.place(), "a.yaml:1:1", "{text:?}");
            assert!(problem.what.starts_with("this file isn't a manifest"), "{problem:?}");
            assert!(problem.hint.as_ref().unwrap().contains(".goliveignore"));
            assert!(file.complete, "it hides no manifest");
        }
        let latin_1 = b"name: caf\xe9\n";
        assert!(errors(latin_1)[0].starts_with("1:1: this file isn't a manifest"));
        assert!(errors("[".repeat(500))[0].starts_with("1:1: this file isn't a manifest"));
    }

    #[test]
    fn misspelled_fields_do_not_make_a_file_another_tool_s() {
        for (text, first) in [
            ("publisherr: contoso\noffer: vm\nstate: live\n", "1:1: unknown field \"publisherr\""),
            ("publisherr: contoso\nstate: live\n", "1:1: unknown field \"publisherr\""),
            ("Publisher: contoso\nOffer: vm\nState: live\n", "1:1: unknown field \"Publisher\""),
            ("offerr: vm\nstate: live\n", "1:1: unknown field \"offerr\""),
            ("offer: vm\n", "1:1: \"publisher\" is missing"),
            (
                "- publisher: contoso\n  offer: vm\n",
                "1:1: a manifest is a mapping of fields, not a list",
            ),
            ("publisher contoso\noffer vm\n", "1:1: a manifest is a mapping"),
        ] {
            let found = errors(text);
            assert!(found[0].starts_with(first), "{found:?}");
        }
        let template =
            "{{- range .Values.offers }}\npublisher: contoso\noffer: {{ .name }}\n{{- end }}\n";
        assert_eq!(hint(template), "render templates before golive reads them");
        let values = read("publisher: {{ .a }}\noffer: {{ .b }}\nstate: live\n");
        assert!(
            values
                .problems()
                .iter()
                .all(|it| it.hint.as_deref() == Some("render templates before golive reads them"))
        );
        assert_eq!(
            hint(&with("labels: {{ .Values.labels }}\nafter: {% raw %}")),
            "render templates before golive reads them"
        );
    }

    /// What is wrong is the character, wherever the parser notices it.
    #[test]
    fn a_lookalike_is_reported_at_its_position() {
        const NBSP: &str = "U+00A0 (no-break space) is not a space in YAML";
        const WIDE: &str = "U+3000 (ideographic space) is not a space in YAML";
        const DASH: &str = "is not a list's dash in YAML";
        const COLON: &str = "U+FF1A (fullwidth colon) is not a colon in YAML";
        let nbsp = |text: &str, place: &str| (text.to_owned(), format!("{place}: {NBSP}"));
        let told =
            |text: &str, place: &str, what: &str| (text.to_owned(), format!("{place}: {what}"));
        let listed = |line: &str| format!("{GOOD}after:\n  - contoso/a\n{line}\n");
        let of_line = |line: &str, place: &str, what: &str| told(&listed(line), place, what);
        for (text, expected) in [
            nbsp("publisher: contoso\noffer:\u{a0}vm\nstate: live\n", "2:7"),
            nbsp("publisher:\u{a0}contoso\noffer: vm\nstate: live\n", "1:11"),
            told(
                "publisher: contoso\noffer: vm\nstate:\u{2007}live",
                "3:7",
                "U+2007 (figure space) is not a space in YAML",
            ),
            nbsp(
                "publisher: contoso\noffer: vm\nstate: live\nlabels:\n\u{a0}\u{a0}team: compute\n",
                "5:1",
            ),
            told("publisher: contoso\n\u{3000}offer: vm\nstate: live\n", "2:1", WIDE),
            nbsp("publisher: contoso\n\u{a0}\noffer: vm\nstate: live\n", "2:1"),
            told(
                "publisher: contoso\noffer: vm\nstate: live\u{202f}# now\n",
                "3:12",
                "U+202F (narrow no-break space) is not a space in YAML",
            ),
            nbsp("publisher: contoso\noffer: vm\nstate: live\u{a0}\n", "3:12"),
            nbsp("publisher: contoso\r\noffer\u{a0}: vm\r\nstate: live\r\n", "2:6"),
            nbsp(
                "publisher: contoso\noffer: vm\nstate: live\nafter: [contoso/a,\u{a0}contoso/b]\n",
                "4:19",
            ),
            nbsp("publisher: contoso\noffer: vm\nstate: live\nafter:\n-\u{a0}contoso/a\n", "5:2"),
            of_line("  – contoso/b", "6:3", &format!("U+2013 (en dash) {DASH}")),
            of_line("  — contoso/b", "6:3", &format!("U+2014 (em dash) {DASH}")),
            told(
                "publisher: a\noffer: b\nstate: live\n—-\npublisher: a\noffer: c\nstate: live\n",
                "4:1",
                "U+2014 (em dash) is not a separator of documents",
            ),
            told("publisher: contoso\noffer：vm\nstate: live\n", "2:6", COLON),
            told("publisher： contoso\noffer: vm\nstate: live\n", "1:10", COLON),
            of_line(
                "labels: {a: \"x”}",
                "6:15",
                "U+201D (right double quotation mark) is not a quotation mark in YAML",
            ),
            of_line("labels: {a：b}", "6:11", COLON),
        ] {
            assert_eq!(errors(&text), [expected], "{text:?}");
        }
    }

    /// The hint is about what stands there, not about what a parser met lines later.
    #[test]
    fn a_missing_colon_or_space_is_reported_where_it_is_missing() {
        let no_colon = "this line has no colon after a field's name";
        for (text, expected, hinted) in [
            (
                "publisher: contoso\noffer vm\nstate: live\n",
                format!("2:1: {no_colon}"),
                "write it like: offer: vm",
            ),
            (
                "publisher: contoso\noffer: vm\nstate live",
                format!("3:1: {no_colon}"),
                "write it like: state: live",
            ),
            (
                "publisher contoso\noffer: vm\nstate: live\n",
                format!("1:1: {no_colon}"),
                "write it like: publisher: contoso",
            ),
            (
                "offer: vm\nlabels:\n  team compute\n  a: b\n",
                format!("3:3: {no_colon}"),
                "write it like: team: compute",
            ),
            (
                "publisher: contoso\noffer: vm\n\n# c\nstate:live\n\n# x\n",
                "5:6: a space is missing after the colon".to_owned(),
                "write it like: state: live",
            ),
            (
                "publisher:contoso\noffer: vm\n",
                "1:10: a space is missing after the colon".to_owned(),
                "write it like: publisher: contoso",
            ),
            (
                "offer: vm\nnotify:\n-a@b.c\n",
                "3:1: a space is missing after the dash".to_owned(),
                "write a list's items like: - contoso/vm",
            ),
        ] {
            assert_eq!((errors(text), &*hint(text)), (vec![expected], hinted), "{text:?}");
        }
        // Where that is not what is wrong, it is not said.
        for text in
            ["offer: vm\n  state: live\n", "offer: vm\nstate: live: now\n", "offer: 'x\nstate: a\n"]
        {
            assert!(errors(text)[0].contains("invalid YAML"), "{text:?}");
        }
    }

    #[test]
    fn a_lookalike_neither_hides_nor_causes_other_errors() {
        let quotes = "publisher: “contoso”\noffer: ‘vm’\nstate: live\n";
        assert_eq!(
            errors(quotes),
            [
                "1:12: U+201C (left double quotation mark) is not a quotation mark in YAML",
                "1:20: U+201D (right double quotation mark) is not a quotation mark in YAML",
                "2:8: U+2018 (left single quotation mark) is not a quotation mark in YAML",
                "2:11: U+2019 (right single quotation mark) is not a quotation mark in YAML",
            ]
        );
        // What else is wrong is told beside it, in its place.
        assert_eq!(
            errors("publisher: contoso\noffer:\u{a0}vm\nstate: liev\nversion: 0 # \u{a0}\n"),
            [
                "3:8: unknown state \"liev\"",
                "4:10: a version is at least 1",
                "2:7: U+00A0 (no-break space) is not a space in YAML",
            ]
        );
        // The offer has a name, but no manifest in force.
        let file = read("publisher: contoso\noffer: vm\nstate: live\u{a0}\n");
        assert_eq!((file.names().count(), file.loaded().count()), (1, 0));
    }

    #[test]
    fn a_lookalike_within_a_text_is_allowed() {
        let text =
            with("labels: {a: “x”, b: R\u{a0}D, c: 'é\u{a0}: –', d: 10–20} # – \u{a0}«é\u{a0}»");
        assert_eq!(manifests(&text)[0].labels.get("b"), Some("R\u{a0}D"));
        // Nor is it blamed for another's error.
        assert_eq!(errors(format!("{text}version: 0\n")), ["5:10: a version is at least 1"]);
        let cyrillic = "publisher: contoso\noffer: vm\nstate: l\u{456}ve\n";
        assert_eq!(hint(cyrillic), "did you mean \"live\"? 'і' is U+0456");
        assert_eq!(
            hint("publisher: contoso\noffer: a–b\nstate: live\n"),
            "'–' is U+2013 (en dash)"
        );
    }

    #[test]
    fn invisible_characters_are_errors_anywhere() {
        for c in [
            '\u{202e}',
            '\u{200b}',
            '\u{ad}',
            '\u{3164}',
            '\u{fe0f}',
            '\u{200d}',
            '\u{e0061}',
            '\u{feff}',
        ] {
            for line in
                [format!("labels: {{a: x{c}y}}"), format!("# x{c}y"), format!("version: 1 # {c}")]
            {
                let found = errors(with(&line));
                assert_eq!(found.len(), 1, "{line:?}: {found:?}");
                assert!(
                    found[0].starts_with(&format!(
                        "4:{}: the invisible character U+",
                        1 + line.chars().position(|it| it == c).unwrap()
                    )),
                    "{found:?}"
                );
            }
        }
        for escaped in
            ["labels: {a: \"x\\u202Ey\"}", "labels: {\"x\\u200By\": a}", "notify: [\"a\\u3164@b\"]"]
        {
            assert_eq!(errors(with(escaped)).len(), 1, "{escaped}");
        }
        for line in ["labels: {a: \"x_y\"}", "labels: {\"x_y\": a}", "notify: [\"a_@b\"]"] {
            for escape in ["\\u2028", "\\u2029", "\\L", "\\P"] {
                assert_eq!(errors(with(&line.replace('_', escape))).len(), 1, "{line} {escape}");
            }
        }
        for (escape, named) in [
            ("\\n", "the control character U+000A (line feed)"),
            ("\\r", "the control character U+000D (carriage return)"),
            ("\\t", "the control character U+0009 (tab)"),
            ("\\L", "the invisible character U+2028 (line separator)"),
        ] {
            let found = errors(with(&format!("labels: {{a: \"x{escape}y\"}}")));
            assert!(found[0].ends_with(&format!("{named} is not allowed")), "{found:?}");
        }
    }

    #[test]
    fn hostile_characters_never_reach_the_terminal() {
        for text in [
            "a: \u{1b}[2J\u{7}",
            "\"a\\e[2J\": b",
            "publisher: \"\\e]0;x\\a\"\noffer: vm\nstate: live",
            "publisher: \u{202e}x\noffer: vm\nstate: live",
            "publisher: contoso\noffer: vm\nstate: live\u{2028}\n",
            "publisher: contoso\noffer: vm\nstate: live\nlabels: {\"\\u009b2J\": \"\\u202E\"}",
            "publisher: &\u{202e}x [\n",
        ] {
            let folder = folder(&[("a.yaml", text)]);
            let shown = shown(&folder);
            let bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}' || c == '\u{2028}';
            assert!(!shown.contains(bad), "{shown:?}");
        }
        assert_eq!(
            errors("a: b\noffer: \u{1b}"),
            ["2:8: the invisible character U+001B (escape) is not allowed"]
        );
    }

    #[test]
    fn aliases_are_followed_within_a_document() {
        let text = "publisher: &p contoso\noffer: vm\nstate: live\nafter: &l [contoso/base]\nlabels: {owner: *p }\n---\npublisher: contoso\noffer: base\nstate: live";
        let read = manifests(text);
        assert_eq!(read[1].labels.get("owner"), Some("contoso"));
        assert_eq!(
            errors(format!("{GOOD}---\nstate: *p")),
            ["5:8: invalid YAML: while parsing node, found unknown anchor"]
        );
        let found = errors("publisher: &a contoso\noffer: *a\nstate: *a\n");
        assert_eq!(found, ["3:8: unknown state \"contoso\""]);
    }

    #[test]
    fn ambiguous_anchors_are_refused() {
        // serde_yaml takes the second `a` and `b` for the same anchor.
        let text = "publisher: &a contoso\noffer: &a vm\nstate: live\nlabels: {x: &b y, z: *a }\n";
        assert_eq!(errors(text), ["1:1: the anchors of this document can be read in two ways"]);
    }

    #[test]
    fn an_offer_has_a_digest_that_ignores_formatting() {
        let digest = |text: &str| match &read(text).documents[0] {
            file::Document::Whole(loaded) => loaded.digest.clone(),
            file::Document::Broken { .. } => panic!("broken"),
        };
        let one = digest(
            "publisher: contoso\noffer: vm\nstate: live\nlabels: {a: b, c: d}\nnotBefore: 2030-01-01T00:00:00Z",
        );
        let two = digest(
            "# why\nstate: 'live'\r\nnotBefore: 2030-01-01T01:00:00+01:00\nlabels:\n  c: d\n  a: b\noffer: vm\npublisher: contoso\nsuspend: false\n",
        );
        assert_eq!(one, two);
        assert!(one.starts_with("sha256:") && one.len() == 71);
    }
}

mod bounds {
    use super::*;

    /// Reads on a thread of its own, so that a hang is a failure.
    fn that_ends(name: &str, bytes: Vec<u8>) -> Vec<String> {
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || sender.send(errors(bytes)));
        // Not how fast it is, which depends on the machine, but that it ends at all.
        match receiver.recv_timeout(Duration::from_mins(5)) {
            Ok(errors) => errors,
            Err(error) => panic!("{name}: {error}"),
        }
    }

    #[test]
    fn a_large_file_is_not_read() {
        let folder = folder(&[("a.yaml", &"# comment\n".repeat(2 << 20 >> 3))]);
        let text = shown(&folder);
        assert!(
            text.starts_with("a.yaml: larger than 1 MiB\n  = hint: ")
                || text.starts_with("a.yaml: larger than 1 MiB\n = hint: "),
            "{text}"
        );
        let just = format!("{GOOD}#{}", "x".repeat((1 << 20) - GOOD.len() - 1));
        assert_eq!(manifests(just).len(), 1);
    }

    #[test]
    fn repeated_input_is_read_in_time() {
        // Those that cost a parser the most, of some six hundred that were measured.
        let size = usize::try_from(input::MAX_FILE_BYTES).unwrap();
        let cases = [
            ("", "["),
            ("", "{a: "),
            ("", "- "),
            ("", "a:\n"),
            ("", "? a\n"),
            ("", "---\n"),
            ("", "%TAG !a! b\n"),
            ("- |\n  ", "[\n"),
            ("a: [", "a: b, "),
            ("notify: [\"", "a\n"),
            ("publisher: contoso\nlabels: {", "a,"),
        ];
        for (prefix, unit) in cases {
            let text = format!("{prefix}{}", unit.repeat((size - prefix.len()) / unit.len()));
            that_ends(unit, text.into_bytes());
        }
    }

    #[test]
    fn too_deep_nesting_is_reported() {
        let at_depth = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let after = |depth| format!("offer: vm\nafter: {}", at_depth(depth));
        assert!(
            errors(after(99))
                .contains(&"2:9: an item of \"after\" must be a text, not a list".to_owned())
        );
        assert_eq!(errors(after(100)), ["2:107: nested more than 100 levels deep"]);
        let mut text = "offer:\n".to_owned();
        for depth in 1..110 {
            writeln!(text, "{}a:", " ".repeat(depth)).unwrap();
        }
        assert_eq!(errors(text), ["101:101: nested more than 100 levels deep"]);
    }

    #[test]
    fn alias_bombs_are_refused() {
        let long = format!(
            "{GOOD}notify:\n  - &a {}@example.com\n{}",
            "x".repeat(1 << 19),
            "  - *a\n".repeat(60_000)
        );
        let found = that_ends("notify", long.into_bytes());
        assert_eq!(found.len(), 1);
        assert!(
            found[0].ends_with("the aliases up to here expand to more than 4 MiB"),
            "{found:?}"
        );
        let mut laughs = "offer: &x0 [lol, lol]\n".to_owned();
        for level in 1..30 {
            writeln!(laughs, "b{level}: &x{level} [{}]", format!("*x{} ,", level - 1).repeat(9))
                .unwrap();
        }
        let found = that_ends("laughs", laughs.into_bytes());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("expand to more than"), "{found:?}");
    }

    #[test]
    fn the_errors_of_a_file_are_limited() {
        let found = errors(format!("offer: vm\n{}", "a: b\n".repeat(5000)));
        assert_eq!(found.len(), 1001);
        assert!(found[1000].contains("only the first 1000"));
    }
}

mod across_files {
    use super::*;

    #[test]
    fn a_duplicate_offer_shows_both_positions() {
        let folder = folder(&[
            ("a.yaml", &format!("{}---\n{}", offer("one", ""), offer("VM", ""))),
            ("b/c.yml", "# another\npublisher: Contoso\nstate: live\noffer: vm\n"),
        ]);
        assert_eq!(
            shown(&folder),
            "\
b/c.yml:4:8: the offer Contoso/vm has more than one manifest
4 | offer: vm
  |        ^^
  = hint: keep one of them
  = first defined at a.yaml:7:8"
        );
    }

    #[test]
    fn an_unknown_offer_in_after_is_reported_with_a_suggestion() {
        let folder = folder(&[
            ("a.yaml", &offer("vm", "after: [contoso/base-imgae, fabrikam/zzz]")),
            ("b.yaml", &offer("base-image", "")),
        ]);
        assert_eq!(
            shown(&folder),
            "\
a.yaml:4:9: no manifest declares the offer \"contoso/base-imgae\"
4 | after: [contoso/base-imgae, fabrikam/zzz]
  |         ^^^^^^^^^^^^^^^^^^
  = hint: did you mean \"contoso/base-image\"?

a.yaml:4:29: no manifest declares the offer \"fabrikam/zzz\"
4 | after: [contoso/base-imgae, fabrikam/zzz]
  |                             ^^^^^^^^^^^^
  = hint: add a manifest for it, or remove it here"
        );
    }

    #[test]
    fn an_offer_with_another_error_is_not_unknown() {
        let folder = folder(&[
            ("a.yaml", &offer("vm", "after: [contoso/base]")),
            ("b.yaml", &offer("base", "version: 0")),
        ]);
        assert!(shown(&folder).starts_with("b.yaml:4:10: a version"));
        // One that cannot even be named may be it, but all errors are shown.
        put(&folder.path().join("b.yaml"), b"offer: [");
        let shown = shown(&folder);
        assert!(shown.starts_with("a.yaml:4:9: no manifest declares"), "{shown}");
        assert!(shown.contains("\nb.yaml:1:"), "{shown}");
    }

    #[test]
    fn each_cycle_is_reported_once() {
        let folder = folder(&[
            ("a.yaml", &offer("a", "after: [contoso/b]")),
            ("b.yaml", &offer("b", "after:\n- contoso/c\n- contoso/d")),
            ("c.yaml", &offer("c", "after: [contoso/A]")),
            ("d.yaml", &offer("d", "after: [contoso/d]")),
            ("e.yaml", &offer("e", "after: [contoso/a]")),
        ]);
        assert_eq!(
            shown(&folder),
            "\
c.yaml:4:9: these offers wait for each other: contoso/a → contoso/b → contoso/c → contoso/a
4 | after: [contoso/A]
  |         ^^^^^^^^^
  = hint: remove one of them from an \"after\"

d.yaml:4:9: contoso/d cannot come after itself
4 | after: [contoso/d]
  |         ^^^^^^^^^
  = hint: remove it from its own \"after\""
        );
    }

    #[test]
    fn a_long_chain_is_allowed_and_a_long_cycle_is_abbreviated() {
        let chain = |last: &str| {
            let mut text = String::new();
            for index in 0..5000 {
                let after =
                    if index == 4999 { last.to_owned() } else { format!("contoso/o{}", index + 1) };
                let after =
                    if after.is_empty() { String::new() } else { format!("after: [{after}]") };
                writeln!(text, "---\n{}", offer(&format!("o{index}"), &after)).unwrap();
            }
            text
        };
        assert_eq!(manifests(chain("")).len(), 5000);
        let folder = folder(&[("a.yaml", &chain("contoso/o0"))]);
        let shown = shown(&folder);
        assert!(shown.contains("… (5000 offers) → contoso/o0"), "{shown}");
    }

    #[test]
    fn the_errors_of_all_files_are_sorted() {
        let folder = folder(&[
            ("b.yaml", "offer: x\nx: 1\n"),
            ("a.yaml", &offer("vm", "version: 0\nafter: [contoso/vm]")),
        ]);
        std::fs::create_dir(folder.path().join("c")).unwrap();
        let errors = load(&[folder.path().to_owned(), folder.path().join("none")]).unwrap_err();
        let places: Vec<String> = errors
            .iter()
            .map(|d| format!("{}:{}", d.file.file_name().unwrap().display(), d.line))
            .collect();
        assert_eq!(places, ["a.yaml:4", "b.yaml:1", "b.yaml:1", "b.yaml:2", "none:0"]);
    }

    #[test]
    fn a_set_lists_its_files() {
        let folder = folder(&[("a.yaml", &offer("vm", "")), ("b.yaml", "# none\n"), ("c.txt", "")]);
        let set = load(&[folder.path().to_owned()]).unwrap();
        assert_eq!(set.files, [folder.path().join("a.yaml"), folder.path().join("b.yaml")]);
        let loaded = &set.offers[&"CONTOSO/vm".parse().unwrap()];
        assert_eq!(loaded.file, folder.path().join("a.yaml"));
        assert_eq!(loaded.digest, loaded.manifest.digest());
    }

    #[test]
    fn many_files_are_read_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for index in 0..300 {
            put(
                &folder.path().join(format!("{index:03}.yaml")),
                offer(&format!("o{index}"), "").as_bytes(),
            );
        }
        let set = load(&[folder.path().to_owned()]).unwrap();
        assert_eq!(set.offers.len(), 300);
        assert!(set.files.is_sorted() && set.files.len() == 300);
    }

    #[test]
    fn an_error_in_a_removed_file_has_no_line() {
        let gone = |name: &str| FileManifests::from_bytes(Path::new(name), GOOD.as_bytes());
        let found = Found::default();
        let errors = assemble(&found, &[gone("gone/a.yaml"), gone("gone/b.yaml")]).unwrap_err();
        assert_eq!(
            errors.to_string(),
            "gone/b.yaml: the offer contoso/vm has more than one manifest\n = hint: keep one of them\n = first defined at gone/a.yaml"
        );
    }

    #[test]
    fn a_file_without_permission_is_an_error() {
        let path = PathBuf::from("a.yaml");
        let refused = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let problem = Diagnostic::unreadable(&path, &refused);
        let found = Found { files: vec![path], problems: vec![problem], ..Found::default() };
        let errors = assemble(&found, &[]).unwrap_err();
        assert_eq!(
            errors.to_string(),
            "a.yaml: cannot be read: permission denied\n = hint: give the user that golive runs as the permission to read it"
        );
    }
}

mod any_input {
    use super::*;
    use proptest::prelude::*;

    const PIECES: &[&str] = &[
        "publisher: contoso\n",
        "offer: vm\n",
        "state: live\n",
        "state: preview\n",
        "version: ",
        "notBefore: ",
        "suspend: ",
        "after: ",
        "notify: ",
        "labels: ",
        "after:\n",
        "labels:\n",
        "---\n",
        "...\n",
        "- ",
        "  - ",
        "  ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        ": ",
        "a",
        "a: b",
        "contoso/vm",
        "a@example.com",
        "5",
        "0",
        "-1",
        "1.5",
        "0x1F",
        "1e3",
        ".inf",
        "007",
        "+5",
        "true",
        "no",
        "~",
        "null",
        "''",
        "\"x\"",
        "'y'",
        "&a ",
        "*a ",
        "!x ",
        "!!str ",
        "!!int ",
        "!!null ",
        "# c\n",
        "\n",
        "\r\n",
        "\t",
        "é",
        "|\n",
        ">-\n",
        "? ",
        "<<: ",
        "%TAG ! b\n",
        "\u{2028}",
        "2030-01-01T00:00:00Z",
    ];

    const VALUES: &[&str] = &[
        "contoso",
        "vm",
        "live",
        "preview",
        "5",
        "0",
        "-3",
        "1.0",
        "0o17",
        "0b1",
        "0xZ",
        "+7",
        "-0x1",
        "++1",
        "1_0",
        "00",
        "-01",
        "1e999",
        "99999999999999999999",
        ".nan",
        "-.inf",
        "inf",
        "NaN",
        "True",
        "yes",
        "~",
        "",
        "\"5\"",
        "[]",
        "[contoso/vm]",
        "[a@example.com, b@example.com]",
        "{}",
        "{a: b}",
        "{a: 5}",
        "{a: b, a: c}",
        "{? a : b}",
        "!!str 5",
        "!!int \"5\"",
        "!!int x",
        "!!float 5",
        "!!bool true",
        "!!null ~",
        "! 5",
        "!x y",
        "!!seq [a/b]",
        "!x {a: b}",
        "2030-01-01T00:00:00Z",
        "2030-01-01",
        "&a live",
        "*a",
        "|\n  live",
        ">-\n  live",
        "'x'",
        "[[a]]",
        "{a: {b: c}}",
        "<<",
        "a b",
        "[a/b, 5]",
        "null",
        "Null",
        "nUll",
        "0.",
        ".5",
        "-",
        "1:2",
    ];

    /// Lines of a manifest, with `@` for a value.
    const SHAPES: &[&str] = &[
        "version: @\n",
        "notBefore: @\n",
        "suspend: @\n",
        "after: @\n",
        "after: [@]\n",
        "after:\n- @\n",
        "notify: @\n",
        "notify: [@]\n",
        "labels: @\n",
        "labels: {a: @}\n",
        "labels:\n  a: @\n",
        "labels:\n  @: a\n",
        "@: live\n",
        "other: @\n",
        "!!str version: @\n",
        "\"version\": @\n",
    ];

    /// Texts made of what a manifest is made of, so that both readers get far.
    fn nearly_yaml() -> impl Strategy<Value = String> {
        let piece = proptest::sample::select(PIECES);
        proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    /// A document that is good but for some values, so that each value decides.
    fn nearly_manifest() -> impl Strategy<Value = String> {
        let value = || proptest::sample::select(VALUES);
        let required = (
            prop_oneof![3 => Just("contoso"), 1 => value()],
            prop_oneof![3 => Just("vm"), 1 => value()],
            prop_oneof![6 => Just("live"), 1 => value()],
        );
        let shape = proptest::sample::select(SHAPES);
        let line = (shape, value()).prop_map(|(shape, value)| shape.replace('@', value));
        let lines = proptest::collection::vec(line, 0..3).prop_map(|lines| lines.concat());
        let document = (required, lines).prop_map(|((publisher, offer, state), lines)| {
            format!("publisher: {publisher}\noffer: {offer}\nstate: {state}\n{lines}")
        });
        proptest::collection::vec(document, 1..3).prop_map(|documents| documents.join("---\n"))
    }

    /// What `serde_yaml` alone makes of a text.
    fn typed(text: &str) -> Option<Vec<Manifest>> {
        load::accepted(text)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_end_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let file = read(&bytes);
            prop_assert!(file.complete || !file.problems.is_empty());
        }

        #[test]
        fn any_text_ends_without_a_panic(text in nearly_yaml()) {
            let file = read(&text);
            let shown = Diagnostics::new(file.problems().to_vec()).render(true);
            prop_assert_eq!(shown.is_empty(), file.problems().is_empty());
            if file.problems().is_empty() {
                let documents = file.documents.iter().map(|document| match document {
                    file::Document::Whole(loaded) => loaded.manifest.clone(),
                    file::Document::Broken { .. } => panic!("broken without a word"),
                });
                prop_assert_eq!(typed(&text), Some(documents.collect::<Vec<_>>()));
            }
        }

        /// The reader that explains finds an error exactly where the other one does, in words of
        /// its own.
        #[test]
        fn both_readers_agree(text in nearly_manifest()) {
            let accepted = typed(&text);
            let Some(explained) = load::explained_only(Path::new("a.yaml"), &text) else {
                return Ok(());
            };
            prop_assert_eq!(accepted.is_some(), explained.is_ok(), "{}\n{:?}", text, explained);
            if let (Some(accepted), Ok(explained)) = (accepted, explained) {
                prop_assert_eq!(accepted, explained);
            }
        }

        #[test]
        fn a_manifest_survives_being_written_and_read(
            publisher in "[a-zA-Z0-9][a-zA-Z0-9._-]{0,49}",
            offer in "[a-zA-Z0-9][a-zA-Z0-9._-]{0,49}",
            live in any::<bool>(),
            version in proptest::option::of(1..=u64::MAX),
            not_before in proptest::option::of(0..4_102_444_800_i64),
            suspend in any::<bool>(),
            notify in proptest::collection::vec("[a-z0-9.+'é]{1,20}@[a-z0-9.-]{1,20}", 0..3),
            labels in proptest::collection::btree_map("[a-zA-Z0-9é~&*#:?-]{1,9}", "([^\\s,\\p{C}]([^\\s,\\p{C}]| ){0,9}[^\\s,\\p{C}])?", 0..3),
        ) {
            prop_assume!(!labels.values().any(|label| crate::marketplace::is_harmful(label)));
            let state = if live { DesiredState::Live } else { DesiredState::Preview };
            let manifest = Manifest {
                publisher: crate::marketplace::PublisherId::new(publisher).unwrap(),
                offer,
                state,
                version: version.map(crate::marketplace::Version),
                not_before: not_before.map(|second| jiff::Timestamp::from_second(second).unwrap()),
                suspend,
                after: vec!["fabrikam/x".parse().unwrap()],
                notify,
                labels: labels.into(),
            };
            let text = load::written(&manifest);
            let read = typed(&text);
            prop_assert_eq!(read, Some(vec![manifest.clone()]), "{}", text);
            let json = serde_json::to_string(&manifest).unwrap();
            prop_assert_eq!(serde_json::from_str::<Manifest>(&json).unwrap(), manifest);
        }
    }
}
