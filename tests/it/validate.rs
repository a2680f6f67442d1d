//! `golive validate`, and manifests that every command refuses.

use crate::test_env::{TestEnv, live};

#[test]
fn valid_manifests_are_counted() {
    let env = TestEnv::new();
    env.write("contoso/vm.yaml", live("contoso/vm", ""));
    env.write(
        "fabrikam/all.yml",
        format!("{}---\n{}", live("fabrikam/a", ""), live("fabrikam/b", "")),
    );
    env.write(".hidden/vm.yaml", "not a manifest");
    env.write("README.md", "not a manifest either");
    env.golive("validate").code(0).stdout("3 offers in 2 files: all valid\n").stderr("");
    env.golive("validate contoso/vm.yaml")
        .code(0)
        .stdout("1 offer in 1 file: all valid\n")
        .stderr("");
    env.golive("validate fabrikam contoso")
        .code(0)
        .stdout("3 offers in 2 files: all valid\n")
        .stderr("");
}

#[test]
fn no_manifest_at_all_is_an_error() {
    let env = TestEnv::new();
    env.golive("validate").code(1).stdout("").stderr(
        ".: there is no manifest (*.yaml, *.yml) in \".\"\n \
         = hint: name a folder that holds manifests, or a manifest file\n\
         error: 1 error; nothing was sent\n",
    );
}

#[test]
fn a_missing_path_is_an_error() {
    TestEnv::new().golive("validate nowhere").code(1).stdout("").stderr(
        "nowhere: cannot be read: No such file or directory (os error 2)\n \
         = hint: check the path; it is taken from the current folder\n\
         error: 1 error; nothing was sent\n",
    );
}

/// Five files with ten errors, of every kind.
fn broken() -> TestEnv {
    let env = TestEnv::with_seed("offers: {contoso/good: {}, contoso/one: {}}");
    env.write("good.yaml", live("contoso/good", ""));
    env.write("a/fields.yaml", live("contoso/fields", "stat: live\nversion: 0\nsuspend: yes"));
    env.write("a/state.yaml", "publisher: contoso\noffer: state\nstate: liev\n");
    env.write(
        "b/twice.yaml",
        format!("{}---\n{}", live("contoso/one", ""), live("Contoso/ONE", "")),
    );
    env.write("b/after.yaml", live("contoso/after", "after: [contoso/goood]"));
    env.write("b/here.yaml", live("contoso/here", "after: [contoso/there]"));
    env.write("b/there.yml", live("contoso/there", "after: [contoso/here]"));
    env.write("c.yaml", "publisher: con toso\noffer: c\nstate: live\n");
    env.write("d.yaml", "publisher: contoso\noffer: d\nstate: live\noffer: d\n");
    env
}

#[test]
fn all_errors_of_all_files_are_shown_with_their_positions() {
    let env = broken();
    let ran = env.golive("validate");
    insta::assert_snapshot!(ran.transcript());
    assert_eq!(env.requests(), Vec::<String>::new());
}

#[test]
fn invalid_yaml_does_not_hide_the_errors_of_other_files() {
    let env = TestEnv::new();
    env.write("a.yaml", "publisher: contoso\noffer: [x\n");
    env.write("b.yaml", "publisher: contoso\noffer: b\nstate: love\n");
    env.write("c.yaml", [0xff, 0xfe, 0x00]);
    env.write("d.yaml", "&a [*a, *a]");
    env.write("e.yaml", "x".repeat(2 << 20));
    insta::assert_snapshot!(env.golive("validate").transcript());
}

#[test]
fn one_invalid_manifest_prevents_all_requests_and_writes() {
    let env = broken();
    let message = env.golive("validate").stderr;
    let files = env.files();
    for command in ["apply", "apply --wait", "apply -o json --wait", "plan", "plan -o json"] {
        let ran = env.golive(command).code(1).stderr(&message);
        if command.contains("json") {
            assert_eq!(ran.json()["error"]["message"], "9 errors; nothing was sent");
        } else {
            ran.stdout("");
        }
    }
    assert_eq!(env.requests(), Vec::<String>::new());
    // Only the lock, which is taken before anything is read.
    env.remove("golive.status.json.lock");
    assert_eq!(env.files(), files);
}

#[test]
fn hostile_text_in_a_manifest_does_not_reach_the_terminal() {
    let env = TestEnv::new();
    env.write("vm.yaml", live("contoso/vm", "\"\\e]0;owned\\a\": 1\nlabels: {\"a\u{202e}b=\": c}"));
    let ran = env.golive("validate --color always").code(1);
    assert!(!ran.stderr.contains("\u{1b}]") && !ran.stderr.contains('\u{202e}'), "{}", ran.stderr);
    assert!(ran.stderr.contains("\u{1b}[1m"), "colors were asked for");
}

#[test]
#[cfg(unix)]
fn symlink_loops_end_and_each_file_counts_once() {
    let env = TestEnv::new();
    env.write("offers/vm.yaml", live("contoso/vm", ""));
    std::os::unix::fs::symlink("..", env.path("offers/up")).unwrap();
    std::os::unix::fs::symlink("vm.yaml", env.path("offers/again.yaml")).unwrap();
    env.golive("validate").code(0).stdout("1 offer in 1 file: all valid\n").stderr("");
}

/// A repository with one manifest among other tools' files.
fn repository() -> TestEnv {
    let env = TestEnv::with_seed("offers: {contoso/vm: {}, contoso/drafts: {}}");
    env.write("vm.yaml", live("contoso/vm", ""));
    env.write(
        "azure-pipelines.yml",
        "trigger: {branches: {include: [main]}}\nstages:\n- stage: a\n",
    );
    env.write("chart/Chart.yaml", "apiVersion: v2\nname: golive\nversion: 0.1.0\n");
    env.write("chart/templates/a.yaml", "{{- if .Values.enabled }}\nkind: Job\n{{- end }}\n");
    env.write("compose.yml", "services: {a: {image: b}}\n");
    env.write("mkdocs.yml", "site_name: x\nextra: {a: !!python/name:b.c }\n");
    env.write("drafts/draft.yaml", live("contoso/drafts", ""));
    env
}

#[test]
fn another_tool_s_file_is_one_error_and_can_be_ignored() {
    let env = repository();
    let ran = env.golive("validate").code(1);
    let hint = "= hint: name the folder of the manifests, or list this file in a .goliveignore";
    let what =
        "this file isn't a manifest: it has no \"publisher\" and no \"offer\" at its top level";
    let files = [
        "azure-pipelines.yml",
        "chart/Chart.yaml",
        "chart/templates/a.yaml",
        "compose.yml",
        "mkdocs.yml",
    ];
    let message: Vec<String> = files.map(|file| format!("{file}:1:1: {what}\n {hint}\n")).to_vec();
    let message = message.join("\n").replace("\n = hint", "\n  = hint");
    assert_eq!(ran.stderr, format!("{message}error: 5 errors; nothing was sent\n"));

    env.write(".goliveignore", "# other tools\n/chart/\n/*.yml\n");
    env.golive("validate").code(0).stdout("2 offers in 2 files: all valid\n");
    env.write("drafts/.goliveignore", "*\n");
    env.golive("validate").code(0).stdout("1 offer in 1 file: all valid\n");
    // A file that is named explicitly is read.
    env.golive("validate drafts/draft.yaml compose.yml").code(1).stderr_has("compose.yml:1:1: ");
}

#[test]
fn an_ignored_offer_leaves_the_status_file() {
    let env = repository();
    env.write(".goliveignore", "/chart/\n/*.yml\n");
    env.golive("apply --wait --poll 10ms").code(0);
    assert_eq!(env.status().offers.len(), 2);
    env.write("drafts/.goliveignore", "*\n");
    env.golive("apply").code(0).stderr_has("contoso/drafts: the manifest is gone");
    assert_eq!(env.status().offers.len(), 1);
}

#[test]
fn only_a_file_of_comments_removes_offers_and_an_empty_one_is_an_error() {
    let env = TestEnv::in_preview(&["a", "b"]);
    env.golive("apply --wait --poll 10ms").code(0);
    for empty in ["", " \n"] {
        env.write("a.yaml", empty);
        let message = "a.yaml: this file is empty\n \
                    = hint: write a manifest, remove the file, or list it in a .goliveignore\n\
                    error: 1 error; nothing was sent\n";
        for command in ["validate", "plan", "apply"] {
            env.golive(command).code(1).stdout("").stderr(message);
        }
        assert_eq!(env.status().offers.len(), 2);
    }
    env.write("a.yaml", "# publisher: contoso\n# offer: a\n");
    env.golive("validate").code(0);
    env.golive("apply").code(0).stderr_has("contoso/a: the manifest is gone");
    assert_eq!(env.status().offers.len(), 1);
}

#[cfg(unix)]
mod pipes {
    use super::*;
    use std::io::Write as _;
    use std::process::Stdio;

    /// Runs a command with this text piped to standard input.
    #[track_caller]
    fn piped(env: &TestEnv, line: &str, text: &str) -> crate::test_env::RunOutput {
        let mut child = env.command(line).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let text = text.to_owned();
        // The program may end without reading all of it.
        let writer = std::thread::spawn(move || drop(stdin.write_all(text.as_bytes())));
        let ran = env.wait(child);
        writer.join().unwrap();
        ran
    }

    #[test]
    fn a_pipe_argument_is_read() {
        let env = TestEnv::with_seed("offers: {contoso/vm: {}}");
        let text = live("contoso/vm", "");
        for name in ["-", "/dev/stdin", "/dev/fd/0"] {
            let ran = piped(&env, &format!("validate {name}"), &text);
            ran.code(0).stdout("1 offer in 1 file: all valid\n").stderr("");
            piped(&env, &format!("plan {name}"), &text).code(0);
            // Its errors are shown with their lines.
            let ran = piped(&env, &format!("validate {name}"), &format!("{text}---\n{text}"));
            ran.code(1).stderr_has("6:8: the offer contoso/vm has more than one manifest");
        }
        piped(&env, "apply - --wait --poll 10ms", &text).code(0);
        assert_eq!(env.golives("contoso/vm"), (1, 1));
        assert_eq!(env.record("contoso/vm").manifest.file, "-");
        piped(&env, "validate -", &format!("{text}#{}", "x".repeat(1 << 20)))
            .code(1)
            .stderr_has("-: larger than 1 MiB");
        piped(&env, "validate -", "").code(1).stderr(
            "-: this file is empty\n \
             = hint: the program before the pipe wrote nothing: see whether it failed\n\
             error: 1 error; nothing was sent\n",
        );
        let hint = "golive reads what the program before the pipe writes";
        for other in ["kind: Job\n", "\0\u{1}"] {
            let ran = piped(&env, "validate -", other).code(1);
            assert!(!ran.stderr.contains(".goliveignore"), "{}", ran.stderr);
            ran.stderr_has(hint);
        }
    }

    #[test]
    fn devices_and_sockets_are_reported() {
        let env = TestEnv::new();
        env.golive("validate /dev/null").code(1).stderr_has("this is a device");
        let _socket = std::os::unix::net::UnixListener::bind(env.path("s.yaml")).unwrap();
        env.golive("validate s.yaml").code(1).stderr_has("s.yaml: this is a socket, not a file");
    }

    #[test]
    fn a_pipe_is_not_watched() {
        let env = TestEnv::new();
        for name in ["-", "/dev/stdin"] {
            let message = format!("error: {name} can't be watched: it is a pipe; ");
            piped(&env, &format!("watch {name}"), "").code(64).stderr_has(&message);
        }
    }
}
