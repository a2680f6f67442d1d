//! The status file can't be written: a full disk, or a read-only folder or file. Nothing is sent without
//! the intent on disk.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use pretty_assertions::assert_eq;

use crate::test_env::{RunOutput, STATUS, TestEnv, live, manifest};

/// Runs the program in a shell that limits how long a file may grow, in blocks of 512 or 1024
/// bytes: like a full disk, it lets a write fail in the middle. The signal that would end the
/// process is ignored, so that it sees an error instead.
fn with_a_full_disk(env: &TestEnv, blocks: u32, line: &str) -> RunOutput {
    let golive = env.command(line);
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\""));
    shell.arg(golive.get_program()).args(golive.get_args()).env_clear();
    shell.envs(golive.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(golive.get_current_dir().unwrap()).stdin(Stdio::null());
    shell.stdout(Stdio::piped()).stderr(Stdio::piped());
    env.wait(shell.spawn().unwrap())
}

/// Checks that no request changed anything.
#[track_caller]
fn assert_nothing_sent(requests: &[String]) {
    assert!(requests.iter().all(|request| request.starts_with("GET ")), "{requests:?}");
}

#[test]
fn a_full_disk_sends_nothing_and_keeps_the_file() {
    // Without any space, not even the lock's holder can be written.
    for (blocks, message) in [(0, "golive needs to write in this folder"), (1, "make room for it")]
    {
        for known in [false, true] {
            let env = TestEnv::in_preview(&["vm"]);
            if known {
                env.write("vm.yaml", manifest("contoso/vm", "preview", ""));
                env.golive("apply").code(0);
                env.write("vm.yaml", live("contoso/vm", ""));
            }
            let before = env.files().remove(STATUS);
            assert_eq!(before.is_some(), known);
            for line in ["apply", "apply --wait --settle 0s --poll 10ms", "apply -o json"] {
                let (ran, requests) = env.requests_during(|| with_a_full_disk(&env, blocks, line));
                ran.code(1).stderr_has(message).stderr_has("caused by: ");
                assert_nothing_sent(&requests);
                assert_eq!(env.files().remove(STATUS), before, "{blocks} {line}");
                assert!(!env.exists(".golive.status.json.new"), "{blocks} {line}");
            }
            // With space again, the run continues.
            env.golive("apply --wait --poll 10ms").code(0);
            assert_eq!(env.golives("contoso/vm"), (1, 1));
        }
    }
}

#[test]
fn unwritable_folders_and_files_send_nothing() {
    let kernel = "/proc/golive.status.json";
    let cases = [
        ("no folder", "no/such/folder/golive.status.json"),
        ("a file in the place of the folder", "vm.yaml/golive.status.json"),
        ("a folder in the place of the file", "taken"),
        ("a folder in the place of the lock", "locked.json"),
        ("a folder in the place of the temporary file", "half.json"),
        ("a file system that takes no files", kernel),
    ];
    for (what, path) in cases {
        if path == kernel && !cfg!(target_os = "linux") {
            continue;
        }
        let env = TestEnv::in_preview(&["vm"]);
        env.write("taken/x", "");
        env.write("locked.json.lock/x", "");
        env.write(".half.json.new/x", "");
        for line in ["apply", "apply --wait --settle 0s --poll 10ms"] {
            let line = format!("{line} --status {path}");
            let (ran, requests) = env.requests_during(|| env.golive(&line));
            let ran = ran.code(1).stderr_has("error: ");
            assert!(ran.stderr.contains(path), "{what}: {}", ran.stderr);
            assert_nothing_sent(&requests);
        }
    }
}

/// Runs the program as a user whom permissions bind: this one or, for root, the user `nobody`, who gets
/// the folder. `None`, with a message, if `nobody` can't run the program.
fn run_unprivileged(env: &TestEnv, line: &str) -> Option<RunOutput> {
    const NOBODY: u32 = 65534;
    let mut command = env.command(line);
    if rustix::process::geteuid().is_root() {
        // The program's folder may be closed to `nobody`.
        let copy = env.path("../golive");
        if !copy.exists() {
            let original = command.get_program().to_owned();
            let linked = fs::hard_link(&original, &copy);
            linked.or_else(|_| fs::copy(&original, &copy).map(drop)).unwrap();
        }
        chown_all(&env.path(".."), NOBODY);
        let mut other = Command::new(&copy);
        other.args(command.get_args()).env_clear().current_dir(env.path(""));
        other.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        other.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        other.uid(NOBODY).gid(NOBODY);
        command = other;
    }
    match command.spawn() {
        Ok(child) => Some(env.wait(child)),
        Err(error) => {
            // Written past the capture: a skipped test should be visible.
            let message = "SKIPPED: permissions do not bind root, and nobody can't run golive here";
            drop(writeln!(std::io::stderr(), "{message}: {error}"));
            None
        }
    }
}

/// Gives a folder's content to a user, except for links to the program.
fn chown_all(path: &Path, user: u32) {
    if path.is_dir() {
        chown(path, Some(user), Some(user)).unwrap();
        for entry in fs::read_dir(path).unwrap() {
            chown_all(&entry.unwrap().path(), user);
        }
    } else if path.extension().is_some() {
        chown(path, Some(user), Some(user)).unwrap();
    }
}

#[test]
fn a_folder_without_permission_to_write_sends_nothing() {
    for known in [false, true] {
        let env = TestEnv::in_preview(&["vm"]);
        env.write("state/.keep", "");
        let folder = env.path("state");
        let line = "apply --wait --poll 10ms --status state/golive.status.json";
        if known {
            env.write("vm.yaml", manifest("contoso/vm", "preview", ""));
            env.golive(line).code(0);
            env.write("vm.yaml", live("contoso/vm", ""));
        }
        fs::set_permissions(&folder, Permissions::from_mode(0o555)).unwrap();
        let status = |env: &TestEnv| env.files().remove("state/golive.status.json");
        let before = status(&env);
        // An existing lock can be opened even so.
        let message = if known { "cannot write the status file" } else { "cannot lock" };
        let (ran, requests) = env.requests_during(|| run_unprivileged(&env, line));
        let Some(ran) = ran else { return };
        ran.code(1)
            .stderr_has(message)
            .stderr_has("state/golive.status.json")
            .stderr_has("--status FILE or GOLIVE_STATUS")
            .stderr_has("Permission denied");
        assert_nothing_sent(&requests);
        assert_eq!(status(&env), before);
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        run_unprivileged(&env, line).unwrap().code(0);
        assert_eq!(env.golives("contoso/vm"), (1, 1));
    }
}

#[test]
fn a_symlinked_status_file_is_not_replaced() {
    let env = TestEnv::in_preview(&["vm"]);
    env.write("vm.yaml", live("contoso/vm", ""));
    env.write("elsewhere.json", "{}");
    std::os::unix::fs::symlink("elsewhere.json", env.path(STATUS)).unwrap();
    let (ran, requests) = env.requests_during(|| env.golive("apply --wait"));
    ran.code(1).stdout("").stderr(
        "error: the status file ./golive.status.json isn't a regular file, and golive would put one \
         in its place; name the file itself with --status or GOLIVE_STATUS\n",
    );
    assert_eq!(requests, Vec::<String>::new());
    assert_eq!(env.read("elsewhere.json"), "{}");
}

#[test]
fn a_pipe_is_refused_as_a_status_file() {
    let env = TestEnv::in_preview(&["vm"]);
    env.write("vm.yaml", live("contoso/vm", ""));
    // In another folder, since all files of the environment are read after each run.
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for line in ["apply", "plan", "status"] {
        let line = format!("{line} --status {}", pipe.display());
        let (ran, requests) = env.requests_during(|| env.golive(&line));
        ran.code(1).stderr_has("isn't a regular file");
        assert_eq!(requests, Vec::<String>::new());
    }
}

#[test]
fn a_read_only_file_is_not_replaced() {
    let env = TestEnv::in_preview(&["vm"]);
    env.write("vm.yaml", manifest("contoso/vm", "preview", ""));
    env.golive("apply").code(0);
    env.write("vm.yaml", live("contoso/vm", ""));
    let before = env.files().remove(STATUS);
    fs::set_permissions(env.path(STATUS), Permissions::from_mode(0o444)).unwrap();
    for line in ["apply", "apply --wait"] {
        let (ran, requests) = env.requests_during(|| env.golive(line));
        ran.code(1).stdout("").stderr(
            "error: the status file ./golive.status.json is read-only, and nothing is sent without it; \
             make it writable, or name another one with --status or GOLIVE_STATUS\n",
        );
        assert_eq!(requests, Vec::<String>::new());
        assert_eq!(env.files().remove(STATUS), before);
    }
    // Reading needs no write permission.
    env.golive("plan").code(0);
    env.golive("status").code(0);
    fs::set_permissions(env.path(STATUS), Permissions::from_mode(0o644)).unwrap();
    env.golive("apply --wait --poll 10ms").code(0);
    assert_eq!(env.golives("contoso/vm"), (1, 1));
}
