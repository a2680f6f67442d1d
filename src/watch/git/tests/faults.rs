//! What breaks, and how it is outlived.

use super::*;
use crate::disk::{Disk as _, RealDisk};

/// Takes the remote away.
fn unreachable(place: &Place) {
    RealDisk.rename(&place.remote(), &place.home("away")).unwrap();
}

/// Brings it back.
fn back(place: &Place) {
    RealDisk.rename(&place.home("away"), &place.remote()).unwrap();
}

#[tokio::test]
async fn a_remote_that_can_not_be_reached_is_told_and_outlived() {
    let Some(place) = git_or_skip() else { return };
    let one = place.commit("vm.yaml", "one");
    let mut source = place.source().await;
    place.changed(&mut source).await;
    unreachable(&place);
    place.until_problem(&mut source, "cannot fetch from file://").await;
    let problem = place.problem().unwrap();
    assert!(problem.contains("does not appear to be a git repository"), "{problem}");
    assert!(problem.contains("try `git ls-remote file://"), "{problem}");
    assert_eq!(place.read("vm.yaml").as_deref(), Some("one"));
    source.check_now();
    assert_eq!(place.changed(&mut source).await.source.unwrap().commit, one);
    assert!(source.failures > 1 && source.told.len() == 1);
    back(&place);
    source.check_now();
    assert_eq!(place.changed(&mut source).await.source.unwrap().commit, one);
    assert_eq!((place.problem(), source.failures, source.told.len()), (None, 0, 0));
}

#[tokio::test]
async fn a_restart_during_an_outage_goes_on_with_the_last_commit() {
    let Some(place) = git_or_skip() else { return };
    let one = place.commit("vm.yaml", "one");
    let mut source = place.source().await;
    place.changed(&mut source).await;
    drop(source);
    place.commit("vm.yaml", "two");
    unreachable(&place);
    // The checkout's state doesn't matter either.
    RealDisk.write(&place.root().join("vm.yaml"), b"half").unwrap();
    RealDisk.write(&place.root().join("more.yaml"), b"more").unwrap();
    let mut source = place.source().await;
    assert_eq!(place.changed(&mut source).await.source.unwrap().commit, one);
    assert_eq!(place.read("vm.yaml").as_deref(), Some("one"));
    assert_eq!(place.read("more.yaml"), None);
    assert!(place.problem().is_some());
    place.stays_silent(&mut source).await;
    back(&place);
    assert_eq!(place.changed(&mut source).await.source.unwrap().branch, None);
    assert_eq!(place.read("vm.yaml").as_deref(), Some("two"));
    assert_eq!(place.problem(), None);
}

/// After a restart, a remote that takes its time keeps nobody waiting; nor is its answer lost.
#[cfg(unix)]
#[tokio::test]
async fn the_last_commit_stands_in_for_a_remote_that_takes_its_time() {
    let Some(mut place) = git_or_skip() else { return };
    let one = place.commit("vm.yaml", "one");
    let mut source = place.source().await;
    place.changed(&mut source).await;
    drop(source);
    let two = place.commit("vm.yaml", "two");
    RealDisk.write(&place.root().join("vm.yaml"), b"half").unwrap();
    // A git that fetches once it is told to.
    let (script, go) = (place.home("slow-git"), place.home("go"));
    let wait = "case \"$*\" in *fetch*|*ls-remote*) while ! test -e \"$HOME/go\"; do sleep 0.02; done;; esac";
    let text = format!("#!/bin/sh\n{wait}\nexec git \"$@\"\n");
    RealDisk.write(&script, text.as_bytes()).unwrap();
    place.script_rights(&script);
    place.tools.program = script;
    let mut source = place.source().await;
    source.soon = Duration::from_millis(100);
    assert_eq!(place.changed(&mut source).await.source.unwrap().commit, one);
    assert_eq!(place.read("vm.yaml").as_deref(), Some("one"));
    let problem = place.problem().unwrap();
    assert!(
        problem.contains("has not answered within 100ms, and is still waited for"),
        "{problem}"
    );
    place.stays_silent(&mut source).await;
    assert!(source.job.is_some(), "the same fetch goes on");

    RealDisk.write(&go, b"").unwrap();
    assert_eq!(place.changed(&mut source).await.source.unwrap().commit, two);
    assert_eq!(place.read("vm.yaml").as_deref(), Some("two"));
    assert_eq!(place.problem(), None);
    assert!(!place.clone_folder().join(".last").exists());
    place.stays_silent(&mut source).await;
}

#[tokio::test]
async fn the_first_commit_is_waited_for() {
    let Some(place) = git_or_skip() else { return };
    unreachable(&place);
    let mut source = place.source().await;
    place.until_problem(&mut source, "cannot fetch").await;
    source.check_now();
    place.stays_silent(&mut source).await;
    back(&place);
    place.until_problem(&mut source, "has no HEAD").await;
    let one = place.commit("vm.yaml", "one");
    assert_eq!(place.changed(&mut source).await.source.unwrap().commit, one);
}

#[tokio::test]
async fn a_checkout_that_was_cut_short_is_made_anew() {
    let Some(place) = git_or_skip() else { return };
    place.write("other.yaml", "other");
    let one = place.commit("vm.yaml", "one");
    let mut source = place.source().await;
    place.changed(&mut source).await;
    drop(source);
    let folder = place.clone_folder();
    std::fs::remove_file(place.root().join("other.yaml")).unwrap();
    RealDisk.write(&place.root().join("vm.yaml"), b"ha").unwrap();
    std::fs::create_dir_all(folder.join(".next/half")).unwrap();
    std::fs::create_dir_all(folder.join(".gone/half")).unwrap();
    for lock in
        ["index.lock", "HEAD.lock", "shallow.lock", "packed-refs.lock", "config.lock", "gc.pid"]
    {
        RealDisk.write(&folder.join("repository").join(lock), b"x").unwrap();
    }
    RealDisk.write(&folder.join("repository/index"), b"half").unwrap();
    RealDisk.write(&folder.join("repository/refs/golive/fetched.lock"), b"x").unwrap();
    RealDisk.write(&folder.join("repository/refs/golive/watched.lock"), b"x").unwrap();
    let mut source = place.source().await;
    assert_eq!(place.changed(&mut source).await.source.unwrap().commit, one);
    assert_eq!(place.read("vm.yaml").as_deref(), Some("one"));
    assert_eq!(place.read("other.yaml").as_deref(), Some("other"));
    let two = place.commit("vm.yaml", "two");
    assert_eq!(place.changed(&mut source).await.source.unwrap().commit, two);
    assert_eq!(place.problem(), None);
}

/// Every file of the clone's repository, one after the other: broken, cut, or gone.
#[tokio::test]
async fn a_broken_clone_is_made_anew() {
    let Some(place) = git_or_skip() else { return };
    place.write("other.yaml", "other");
    place.commit("vm.yaml", "0");
    let mut source = place.source().await;
    place.changed(&mut source).await;
    drop(source);
    let repository = place.clone_folder().join("repository");
    let files: Vec<_> = walkdir::WalkDir::new(&repository)
        .sort_by_file_name()
        .into_iter()
        .map(|it| it.unwrap())
        .filter(|it| it.file_type().is_file())
        .map(|it| it.path().to_owned())
        .collect();
    assert!(files.len() > 8, "{files:?}");
    for (number, path) in files.iter().enumerate() {
        std::fs::remove_file(path).ok();
        if number % 2 == 0 {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            RealDisk.write(path, b"rubbish").unwrap();
        }
        let commit = place.commit("vm.yaml", &number.to_string());
        let mut source = place.source().await;
        assert_eq!(place.changed(&mut source).await.source.unwrap().commit, commit, "{path:?}");
        assert_eq!(place.read("vm.yaml"), Some(number.to_string()), "{path:?}");
        assert_eq!(place.read("other.yaml").as_deref(), Some("other"), "{path:?}");
    }
}

#[tokio::test]
async fn a_clone_that_goes_away_while_it_is_followed_is_made_anew() {
    let Some(place) = git_or_skip() else { return };
    let one = place.commit("vm.yaml", "one");
    let mut source = place.source().await;
    place.changed(&mut source).await;
    for gone in [place.clone_folder(), place.root()] {
        std::fs::remove_dir_all(gone).unwrap();
        assert_eq!(place.changed(&mut source).await.source.unwrap().commit, one);
        assert_eq!(place.read("vm.yaml").as_deref(), Some("one"));
    }
}

#[tokio::test]
async fn a_clone_of_something_else_is_made_anew_and_what_golive_did_not_make_stays() {
    let Some(mut place) = git_or_skip() else { return };
    place.commit("vm.yaml", "one");
    place.git(&["push", "--quiet", "origin", "HEAD:other"]);
    let mut source = place.source().await;
    place.changed(&mut source).await;
    drop(source);
    place.branch = Some("other".to_owned());
    unreachable(&place);
    let mut source = place.source().await;
    // What was of another branch is no stand-in.
    place.until_problem(&mut source, "cannot fetch").await;
    assert_eq!(place.read("vm.yaml"), None);
    back(&place);
    place.changed(&mut source).await;
    drop(source);

    std::fs::remove_dir_all(place.clone_folder()).unwrap();
    std::fs::create_dir(place.clone_folder()).unwrap();
    let mine = place.clone_folder().join("thesis.txt");
    RealDisk.write(&mine, b"mine").unwrap();
    let error = place.open().await.err().unwrap().to_string();
    assert!(error.contains("isn't a clone that golive made; move it away"), "{error}");
    assert_eq!(std::fs::read(&mine).unwrap(), b"mine");
    std::fs::remove_file(&mine).unwrap();
    // An empty folder may be a volume that was made for it.
    let mut source = place.source().await;
    place.changed(&mut source).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_in_the_place_of_the_clone_is_not_followed() {
    let Some(place) = git_or_skip() else { return };
    std::os::unix::fs::symlink(place.home(""), place.clone_folder()).unwrap();
    assert!(matches!(place.open().await, Err(GitError::Foreign(_))));
}

#[tokio::test]
async fn two_golives_do_not_work_in_one_clone() {
    let Some(place) = git_or_skip() else { return };
    let one = place.commit("vm.yaml", "one");
    let mut first = place.source().await;
    place.changed(&mut first).await;
    let mut second = place.source().await;
    place.until_problem(&mut second, "another golive").await;
    drop(first);
    assert_eq!(place.changed(&mut second).await.source.unwrap().commit, one);
}

/// A server that takes the connection and says nothing. What git started is ended, too.
#[tokio::test]
async fn a_remote_that_hangs_is_given_up() {
    let Some(mut place) = git_or_skip() else { return };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    place.url = Some(format!("http://{}/a.git", listener.local_addr().unwrap()));
    place.tools.fetch_patience = Duration::from_secs(2);
    let mut source = place.source().await;
    let (mut stream, ()) = tokio::join!(
        async { listener.accept().await.unwrap().0 },
        place.until_problem(&mut source, "git ls-remote took longer than 2s"),
    );
    // It ends where the other side is gone.
    let mut request = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut request);
    tokio::time::timeout(Duration::from_secs(30), read).await.unwrap().ok();
    assert!(request.starts_with(b"GET /a.git/info/refs"));
}

/// The same, where the time for all of it is long: silence is given up, by git itself.
#[tokio::test]
async fn a_remote_that_says_nothing_is_given_up_sooner() {
    let Some(mut place) = git_or_skip() else { return };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    place.url = Some(format!("http://{}/a.git", listener.local_addr().unwrap()));
    place.tools.environment.insert("GIT_HTTP_LOW_SPEED_TIME".into(), "2".into());
    let mut source = place.source().await;
    place.until_problem(&mut source, "cannot fetch from").await;
    let problem = place.problem().unwrap();
    assert!(problem.contains("too slow"), "{problem}");
}

/// The same, for a golive that ends meanwhile.
#[tokio::test]
async fn nothing_is_left_running() {
    let Some(mut place) = git_or_skip() else { return };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    place.url = Some(format!("http://{}/a.git", listener.local_addr().unwrap()));
    let mut source = place.source().await;
    let mut stream = tokio::select! {
        accepted = listener.accept() => accepted.unwrap().0,
        changed = source.changed() => panic!("{changed:?}"),
    };
    drop(source);
    let mut request = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut request);
    tokio::time::timeout(Duration::from_secs(30), read).await.unwrap().ok();
}

#[tokio::test]
async fn a_git_that_is_missing_or_too_old_says_what_to_do() {
    let Some(mut place) = git_or_skip() else { return };
    place.tools.program = place.home("no-git");
    let error = place.open().await.err().unwrap().to_string();
    assert!(error.contains("no-git; install git 2.32 or later"), "{error}");
}
