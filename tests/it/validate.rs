//! `golive validate`, and manifests that every command refuses.

use crate::place::{Place, live};

#[test]
fn valid_manifests_are_counted() {
    let place = Place::new();
    place.write("contoso/vm.yaml", live("contoso/vm", ""));
    place.write(
        "fabrikam/all.yml",
        format!("{}---\n{}", live("fabrikam/a", ""), live("fabrikam/b", "")),
    );
    place.write(".hidden/vm.yaml", "not a manifest");
    place.write("README.md", "not a manifest either");
    place.golive("validate").code(0).stdout("3 offers in 2 files: all valid\n").stderr("");
    place
        .golive("validate contoso/vm.yaml")
        .code(0)
        .stdout("1 offer in 1 file: all valid\n")
        .stderr("");
    place
        .golive("validate fabrikam contoso")
        .code(0)
        .stdout("3 offers in 2 files: all valid\n")
        .stderr("");
}

#[test]
fn no_manifest_at_all_is_said() {
    let place = Place::new();
    place.golive("validate").code(1).stdout("").stderr(
        ".: there is no manifest (*.yaml, *.yml) in \".\"\n \
         = hint: name a folder that holds manifests, or a manifest file\n\
         error: 1 error; nothing was sent\n",
    );
}

#[test]
fn a_path_that_is_not_there_is_an_error() {
    Place::new().golive("validate nowhere").code(1).stdout("").stderr(
        "nowhere: cannot be read: No such file or directory (os error 2)\n \
         = hint: check the path; it is taken from the current folder\n\
         error: 1 error; nothing was sent\n",
    );
}

/// Ten errors over five files, of every kind.
fn broken() -> Place {
    let place = Place::with_seed("offers: {contoso/good: {}, contoso/one: {}}");
    place.write("good.yaml", live("contoso/good", ""));
    place.write("a/fields.yaml", live("contoso/fields", "stat: live\nversion: 0\nsuspend: yes"));
    place.write("a/state.yaml", "publisher: contoso\noffer: state\nstate: liev\n");
    place.write(
        "b/twice.yaml",
        format!("{}---\n{}", live("contoso/one", ""), live("Contoso/ONE", "")),
    );
    place.write("b/after.yaml", live("contoso/after", "after: [contoso/goood]"));
    place.write("b/here.yaml", live("contoso/here", "after: [contoso/there]"));
    place.write("b/there.yml", live("contoso/there", "after: [contoso/here]"));
    place.write("c.yaml", "publisher: con toso\noffer: c\nstate: live\n");
    place.write("d.yaml", "publisher: contoso\noffer: d\nstate: live\noffer: d\n");
    place
}

#[test]
fn all_errors_of_all_files_are_told_with_their_places() {
    let place = broken();
    let ran = place.golive("validate");
    insta::assert_snapshot!(ran.shown());
    assert_eq!(place.requests(), Vec::<String>::new());
}

#[test]
fn a_file_that_is_no_yaml_does_not_hide_the_errors_of_others() {
    let place = Place::new();
    place.write("a.yaml", "publisher: contoso\noffer: [x\n");
    place.write("b.yaml", "publisher: contoso\noffer: b\nstate: love\n");
    place.write("c.yaml", [0xff, 0xfe, 0x00]);
    place.write("d.yaml", "&a [*a, *a]");
    place.write("e.yaml", "x".repeat(2 << 20));
    insta::assert_snapshot!(place.golive("validate").shown());
}

#[test]
fn nothing_is_sent_and_nothing_written_while_one_manifest_is_invalid() {
    let place = broken();
    let told = place.golive("validate").stderr;
    let files = place.files();
    for command in ["apply", "apply --wait", "apply -o json --wait", "plan", "plan -o json"] {
        place.golive(command).code(1).stdout("").stderr(&told);
    }
    assert_eq!(place.requests(), Vec::<String>::new());
    // The lock alone: it is taken before anything is read.
    place.remove("golive.status.json.lock");
    assert_eq!(place.files(), files);
}

#[test]
fn hostile_text_in_a_manifest_does_not_reach_the_terminal() {
    let place = Place::new();
    place.write(
        "vm.yaml",
        live("contoso/vm", "\"\\e]0;owned\\a\": 1\nlabels: {\"a\u{202e}b=\": c}"),
    );
    let ran = place.golive("validate --color always").code(1);
    assert!(!ran.stderr.contains("\u{1b}]") && !ran.stderr.contains('\u{202e}'), "{}", ran.stderr);
    assert!(ran.stderr.contains("\u{1b}[1m"), "colors were asked for");
}

#[test]
#[cfg(unix)]
fn a_loop_of_links_ends_and_each_file_counts_once() {
    let place = Place::new();
    place.write("offers/vm.yaml", live("contoso/vm", ""));
    std::os::unix::fs::symlink("..", place.path("offers/up")).unwrap();
    std::os::unix::fs::symlink("vm.yaml", place.path("offers/again.yaml")).unwrap();
    place.golive("validate").code(0).stdout("1 offer in 1 file: all valid\n").stderr("");
}
