//! What git is told, and what is shown of it.

use std::ffi::OsStr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::disk::{Disk as _, RealDisk};

/// A program in the place of git, which the script is the end of.
#[cfg(unix)]
fn fake(place: &mut Place, script: &str) {
    let path = place.home("fake-git");
    let text = format!(
        "#!/bin/sh\nenv >> \"$HOME/env\"\ncase \"$*\" in *--version*) echo git version 2.32.0; exit;; \
         *check-ref-format*|*init*|*config*) exit;; esac\n{script}\n"
    );
    RealDisk.write(&path, text.as_bytes()).unwrap();
    place.script_rights(&path);
    place.tools.program = path;
}

#[cfg(unix)]
#[tokio::test]
async fn git_does_not_get_what_is_golives() {
    let Some(mut place) = git_or_skip() else { return };
    for name in [
        "GOLIVE_TOKEN",
        "GOLIVE_TOKEN_FILE",
        "golive_x",
        // As golive.yaml names it.
        "CONTOSO_TOKEN",
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "GIT_DIR",
        "GIT_WORK_TREE",
    ] {
        place.tools.environment.insert(name.into(), "s3cr3t".into());
    }
    place.tools.environment.insert("SSH_AUTH_SOCK".into(), "/agent".into());
    fake(&mut place, "exit 1");
    let mut source = place.source().await;
    place.until_problem(&mut source, "git says: nothing").await;
    let env = std::fs::read_to_string(place.home("env")).unwrap();
    assert!(!env.contains("s3cr3t"), "{env}");
    for line in [
        "SSH_AUTH_SOCK=/agent",
        "GIT_TERMINAL_PROMPT=0",
        "GIT_SSH_COMMAND=ssh -oBatchMode=yes -oConnectTimeout=30 -oServerAliveInterval=15 -oServerAliveCountMax=4",
        "GIT_HTTP_LOW_SPEED_LIMIT=1",
        "GIT_HTTP_LOW_SPEED_TIME=60",
        "GIT_ALLOW_PROTOCOL=file",
        "LC_ALL=C",
    ] {
        assert!(env.lines().any(|it| it == line), "{line}: {env}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_users_ssh_is_left_alone() {
    let Some(mut place) = git_or_skip() else { return };
    place.tools.environment.insert("GIT_SSH_COMMAND".into(), "mine -x".into());
    fake(&mut place, "exit 1");
    let mut source = place.source().await;
    place.until_problem(&mut source, "git says: nothing").await;
    let env = std::fs::read_to_string(place.home("env")).unwrap();
    assert!(env.contains("GIT_SSH_COMMAND=mine -x\n"), "{env}");
}

/// The value of a variable of the runs that reach the remote.
async fn variable(place: &Place, name: &str) -> Option<String> {
    let git = place.source().await.idle.unwrap().git;
    let variables = git.remote_variables().await.unwrap();
    Some(variables.get(OsStr::new(name))?.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn ssh_from_the_configuration_is_left_alone() {
    let Some(place) = git_or_skip() else { return };
    place.configure("[core]\n sshCommand = mine\n");
    assert_eq!(variable(&place, "GIT_SSH_COMMAND").await, None);
    place.configure("");
    assert!(variable(&place, "GIT_SSH_COMMAND").await.is_some());
}

#[tokio::test]
async fn the_users_bounds_of_silence_are_left_alone() {
    let Some(mut place) = git_or_skip() else { return };
    for (text, is_set) in [
        ("", true),
        ("[http]\n lowSpeedTime = 600\n", false),
        ("[http \"https://slow.example\"]\n lowSpeedLimit = 1000\n", false),
    ] {
        place.configure(text);
        let time = variable(&place, "GIT_HTTP_LOW_SPEED_TIME").await;
        assert_eq!(time.is_some(), is_set, "{text}");
    }
    place.configure("");
    place.tools.environment.insert("GIT_HTTP_LOW_SPEED_TIME".into(), "7".into());
    assert_eq!(variable(&place, "GIT_HTTP_LOW_SPEED_TIME").await.as_deref(), Some("7"));
}

#[cfg(unix)]
#[tokio::test]
async fn what_git_prints_is_bounded_cleaned_and_has_no_password() {
    let Some(mut place) = git_or_skip() else { return };
    place.url = Some("https://me:s3cr3t%2Bs3cr3t@localhost/a.git".to_owned());
    fake(
        &mut place,
        "yes 0123456789 | head -c 3000000 >&2\nprintf '\\nhint: no\\nfatal: https://me:s3cr3t%%2Bs3cr3t@localhost: \
         \\033[31ms3cr3t+s3cr3t\\007\\n' >&2\nexit 128",
    );
    let mut source = place.source().await;
    place.until_problem(&mut source, "fatal: https://localhost: …;").await;
    let problem = place.problem().unwrap();
    assert!(!problem.contains("s3cr3t") && !problem.contains("hint"), "{problem}");
    assert!(problem.len() < 500 && !crate::marketplace::is_harmful(&problem), "{problem}");
    assert!(!format!("{:?} {}", source.mark, source.place()).contains("s3cr3t"));
}

#[cfg(unix)]
#[tokio::test]
async fn an_old_git_is_refused() {
    let Some(mut place) = git_or_skip() else { return };
    fake(&mut place, "");
    let path = place.home("fake-git");
    let text = std::fs::read_to_string(&path).unwrap().replace("2.32.0", "2.31.8");
    RealDisk.write(&path, text.as_bytes()).unwrap();
    place.script_rights(&path);
    let error = place.open().await.err().unwrap().to_string();
    assert_eq!(error, "\"git version 2.31.8\" is too old; install git 2.32 or later");
}

/// Reads a request's head, answers it, and returns it.
async fn answer(listener: &TcpListener, answer: impl Fn(&str) -> String) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let (mut request, mut buffer) = (Vec::new(), [0; 1024]);
    while !request.windows(4).any(|it| it == b"\r\n\r\n") {
        let count = stream.read(&mut buffer).await.unwrap();
        if count == 0 {
            break;
        }
        request.extend_from_slice(&buffer[..count]);
    }
    let request = String::from_utf8(request).unwrap();
    let head =
        format!("HTTP/1.1 {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", answer(&request));
    stream.write_all(head.as_bytes()).await.unwrap();
    request
}

fn has_login(request: &str) -> bool {
    request.to_ascii_lowercase().contains("authorization:")
}

/// Answers every request with 401 or, where it has a login, with 403; tells what it was asked.
async fn server(listener: TcpListener, asked: tokio::sync::mpsc::UnboundedSender<String>) {
    loop {
        let request = answer(&listener, |request| {
            if has_login(request) {
                "403 Forbidden".to_owned()
            } else {
                "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"".to_owned()
            }
        });
        asked.send(request.await).unwrap();
    }
}

/// A server that sends golive elsewhere does not send its login there.
#[tokio::test]
async fn a_login_in_the_url_is_for_one_origin() {
    let Some(mut place) = git_or_skip() else { return };
    let here = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let there = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let [at_first, then] = [&here, &there].map(|it| it.local_addr().unwrap());
    let (asked, mut requests) = tokio::sync::mpsc::unbounded_channel();
    let first = tokio::spawn(async move {
        loop {
            let to = format!("http://{then}/a.git/info/refs?service=git-upload-pack");
            answer(&here, |_| format!("302 Found\r\nLocation: {to}")).await;
        }
    });
    let second = tokio::spawn(server(there, asked));
    place.url = Some(format!("http://me:s3cr3t@{at_first}/a.git"));
    let mut source = place.source().await;
    place.until_problem(&mut source, "cannot fetch from").await;
    assert!(!place.problem().unwrap().contains("s3cr3t"));
    drop(source);
    let mut count = 0;
    while let Ok(request) = requests.try_recv() {
        assert!(!has_login(&request), "{request}");
        count += 1;
    }
    assert!(count > 0);
    first.abort();
    second.abort();
}

/// The login of a URL is what the server gets, whatever the user's helpers say; and nobody else.
#[tokio::test]
async fn a_login_in_the_url_reaches_the_server_and_no_text() {
    let Some(mut place) = git_or_skip() else { return };
    place.configure("[credential]\n helper = \"!f() { echo username=x; echo password=y; }; f\"\n");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, mut requests) = tokio::sync::mpsc::unbounded_channel();
    let server = tokio::spawn(server(listener, asked));
    place.url = Some(format!("http://me:s3cr3t%2Bs3cr3t@{address}/a.git"));
    let mut source = place.source().await;
    place.until_problem(&mut source, "cannot fetch from").await;
    let problem = place.problem().unwrap();
    assert!(problem.contains(&format!("cannot fetch from http://{address}/a.git:")), "{problem}");
    assert!(problem.contains("403") && !problem.contains("s3cr3t"), "{problem}");
    assert!(!problem.contains("me@") && !problem.contains("me:"), "{problem}");
    drop(source);
    let mut text = String::new();
    while let Ok(request) = requests.try_recv() {
        text += &request;
    }
    // me:s3cr3t+s3cr3t
    assert!(text.contains("Authorization: Basic bWU6czNjcjN0K3MzY3IzdA=="), "{text}");
    assert_eq!(
        text.to_ascii_lowercase().matches("authorization").count(),
        text.matches("bWU6czNjcjN0K3MzY3IzdA").count()
    );
    for entry in walkdir::WalkDir::new(place.clone_folder()) {
        let path = entry.unwrap().into_path();
        let bytes = std::fs::read(&path).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&bytes).contains("s3cr3t"), "{path:?}");
    }
    server.abort();
}
