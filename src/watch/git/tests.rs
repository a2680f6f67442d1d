//! With a real git, on repositories of this machine.

mod faults;
mod place;
mod secrets;
mod surroundings;

use std::path::Path;

use place::{Place, git_or_skip};

use super::*;

#[tokio::test]
async fn the_first_look_brings_the_newest_commit_and_each_new_one_follows() {
    let Some(place) = git_or_skip() else { return };
    let one = place.commit("vm.yaml", "one");
    let mut source = place.source().await;
    let changed = place.changed(&mut source).await;
    let record = SourceRecord { branch: None, commit: one, url: place.url() };
    assert_eq!(changed.source, Some(record));
    assert_eq!(changed.suspects, BTreeSet::from([place.root().join("vm.yaml")]));
    assert_eq!(source.roots(), [place.root()]);
    assert_eq!(place.read("vm.yaml").as_deref(), Some("one"));

    place.write("network/firewall.yaml", "two");
    place.write("notes.txt", "two");
    let two = place.commit("vm.yaml", "two");
    assert_eq!(place.changed(&mut source).await.source.unwrap().commit, two);
    assert_eq!(place.read("vm.yaml").as_deref(), Some("two"));
    assert_eq!(place.read("network/firewall.yaml").as_deref(), Some("two"));

    place.remove("network/firewall.yaml");
    let three = place.commit("vm.yaml", "two");
    let changed = place.changed(&mut source).await;
    assert_eq!(changed.source.unwrap().commit, three);
    assert_eq!(place.read("network/firewall.yaml"), None);
    assert_eq!(place.problem(), None);
}

#[tokio::test]
async fn where_nothing_is_new_nothing_is_told_unless_somebody_asks() {
    let Some(place) = git_or_skip() else { return };
    let one = place.commit("vm.yaml", "one");
    let mut source = place.source().await;
    place.changed(&mut source).await;
    place.stays_silent(&mut source).await;
    source.check_now();
    let changed = place.changed(&mut source).await;
    assert_eq!(changed.source.unwrap().commit, one);
    assert!(changed.suspects.is_empty());
    let two = place.commit("vm.yaml", "two");
    source.check_now();
    assert_eq!(place.changed(&mut source).await.source.unwrap().commit, two);
    place.stays_silent(&mut source).await;
}

#[tokio::test]
async fn to_ask_cuts_the_pause_short() {
    let Some(mut place) = git_or_skip() else { return };
    place.poll = Duration::from_hours(1);
    place.commit("vm.yaml", "one");
    let mut source = place.source().await;
    place.changed(&mut source).await;
    let two = place.commit("vm.yaml", "two");
    place.stays_silent(&mut source).await;
    source.check_now();
    assert_eq!(place.changed(&mut source).await.source.unwrap().commit, two);
}

#[tokio::test]
async fn history_that_is_written_anew_is_followed() {
    let Some(place) = git_or_skip() else { return };
    place.commit("vm.yaml", "one");
    place.commit("gone.yaml", "gone");
    let mut source = place.source().await;
    place.changed(&mut source).await;
    place.git(&["checkout", "--quiet", "--orphan", "anew"]);
    place.git(&["rm", "-r", "--quiet", "--cached", "."]);
    place.remove("gone.yaml");
    let anew = place.commit("vm.yaml", "anew");
    place.git(&["push", "--quiet", "--force", "origin", "anew:main"]);
    assert_eq!(place.changed(&mut source).await.source.unwrap().commit, anew);
    assert_eq!((place.read("vm.yaml").as_deref(), place.read("gone.yaml")), (Some("anew"), None));
}

#[tokio::test]
async fn a_branch_is_followed_and_outlived() {
    let Some(mut place) = git_or_skip() else { return };
    let one = place.commit("vm.yaml", "one");
    place.git(&["push", "--quiet", "origin", "HEAD:releases/next"]);
    place.branch = Some("releases/next".to_owned());
    let mut source = place.source().await;
    let record = place.changed(&mut source).await.source.unwrap();
    assert_eq!((record.branch.as_deref(), &record.commit), (Some("releases/next"), &one));
    assert_eq!(source.place(), format!("{}, branch releases/next", place.url()));
    let two = place.commit("vm.yaml", "two");
    place.stays_silent(&mut source).await;

    place.git(&["push", "--quiet", "origin", ":releases/next"]);
    place
        .until_problem(&mut source, "has no branch releases/next; create it, or name another")
        .await;
    assert_eq!(place.read("vm.yaml").as_deref(), Some("one"));
    // Whoever asks is told what is in force.
    source.check_now();
    assert_eq!(place.changed(&mut source).await.source.unwrap().commit, one);

    place.git(&["push", "--quiet", "origin", "HEAD:releases/next"]);
    assert_eq!(place.changed(&mut source).await.source.unwrap().commit, two);
    assert_eq!(place.problem(), None);
}

#[tokio::test]
async fn a_folder_of_the_repository_is_enough() {
    let Some(mut place) = git_or_skip() else { return };
    place.write("elsewhere/vm.yaml", "x");
    place.write("offers/a.txt", "x");
    let one = place.commit("offers/vm.yml", "one");
    place.dir = "./offers/".into();
    let mut source = place.source().await;
    let changed = place.changed(&mut source).await;
    let root = place.root().join("offers");
    assert_eq!(source.roots(), [root.as_path()]);
    assert_eq!(changed.suspects, BTreeSet::from([root.join("vm.yml")]));
    assert!(source.place().ends_with(", HEAD, folder offers"), "{}", source.place());

    // A commit without the folder does not come into force: it would take every manifest away.
    place.remove("offers");
    place.commit("vm.yaml", "two");
    place.until_problem(&mut source, "has no folder offers; restore it").await;
    assert_eq!(place.read("offers/vm.yml").as_deref(), Some("one"));
    // Nor across a restart.
    drop(source);
    let mut source = place.source().await;
    assert_eq!(place.changed(&mut source).await.source.unwrap().commit, one);
    place.until_problem(&mut source, "has no folder offers; restore it").await;
    assert_eq!(place.read("offers/vm.yml").as_deref(), Some("one"));
    place.git(&["revert", "--no-edit", "HEAD"]);
    place.git(&["push", "--quiet", "origin", "HEAD:main"]);
    let changed = place.changed(&mut source).await;
    assert_ne!(changed.source.unwrap().commit, one);
    assert_eq!(place.problem(), None);
}

#[tokio::test]
async fn what_can_not_be_followed_is_an_error_at_once() {
    let Some(mut place) = git_or_skip() else { return };
    for dir in ["..", "a/../..", "/etc"] {
        place.dir = dir.into();
        let error = place.open().await.err().unwrap().to_string();
        assert!(error.contains("leads out of the repository"), "{error}");
    }
    place.dir = PathBuf::new();
    for branch in
        ["", "-u", "--upload-pack=x", "a..b", "a b", "a:refs/heads/b", "a~1", "x.lock", "a\n"]
    {
        place.branch = Some(branch.to_owned());
        let error = place.open().await.err().unwrap().to_string();
        assert!(
            error.starts_with("--branch: ") && error.contains("a valid branch name"),
            "{error}"
        );
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_in_the_repository_leads_nowhere() {
    let Some(mut place) = git_or_skip() else { return };
    let outside = place.outside("secret.yaml", "secret");
    std::os::unix::fs::symlink(&outside, place.work("link.yaml")).unwrap();
    std::os::unix::fs::symlink(outside.parent().unwrap(), place.work("offers")).unwrap();
    place.commit("vm.yaml", "one");
    let mut source = place.source().await;
    place.changed(&mut source).await;
    assert_eq!(place.read("link.yaml").as_deref(), outside.to_str());
    let is_link = |name: &str| place.root().join(name).is_symlink();
    assert!(!is_link("link.yaml") && !is_link("offers"));
    drop(source);
    place.dir = "offers".into();
    let mut source = place.source().await;
    place.until_problem(&mut source, "has no folder offers").await;
}

#[tokio::test]
async fn hooks_submodules_and_the_users_settings_change_nothing() {
    let Some(place) = git_or_skip() else { return };
    let config = format!(
        "[core]\n autocrlf = true\n symlinks = true\n hooksPath = {}\n[fetch]\n prune = true\n\
         [submodule]\n recurse = true\n[advice]\n detachedHead = true\n",
        place.work("hooks").display()
    );
    place.configure(&config);
    place.write(".gitattributes", "* text=auto\n");
    for hook in ["post-checkout", "reference-transaction", "post-index-change"] {
        place.hook(hook, "touch \"$HOME/hooked\"");
    }
    place.commit("vm.yaml", "one\n");
    let mut source = place.source().await;
    std::fs::remove_file(place.home("hooked")).ok();
    place.changed(&mut source).await;
    assert_eq!(place.read("vm.yaml").as_deref(), Some("one\n"));
    assert!(!place.home("hooked").exists());
}

#[tokio::test]
async fn pauses_grow_to_ten_minutes_and_are_spread() {
    let Some(mut place) = git_or_skip() else { return };
    place.poll = Duration::from_mins(1);
    let mut source = place.source().await;
    for (failures, minutes) in [(0, 1), (1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (u32::MAX, 10)] {
        source.failures = failures;
        let longest = Duration::from_mins(minutes);
        let pauses: BTreeSet<_> = (0..100).map(|_| source.pause()).collect();
        assert!(
            pauses.len() > 50
                && pauses.iter().all(|it| *it <= longest && *it >= longest.mul_f64(0.8))
        );
    }
    source.poll = Duration::from_hours(1);
    assert!(source.pause() > Duration::from_mins(47));
}

/// Drops the wait for a change at any moment, again and again.
#[tokio::test]
async fn a_wait_may_be_dropped_at_any_moment() {
    let Some(place) = git_or_skip() else { return };
    let mut random = fastrand::Rng::with_seed(7);
    let mut source = place.source().await;
    for round in 0..6 {
        place.write("other.yaml", &round.to_string());
        let commit = place.commit("vm.yaml", &round.to_string());
        let before = place.read("vm.yaml");
        loop {
            let patience = Duration::from_micros(random.u64(0..20_000));
            let waited = tokio::time::timeout(patience, source.changed()).await;
            if let Ok(changed) = waited {
                assert_eq!(changed.source.unwrap().commit, commit);
                break;
            }
            // What is in force stays, whole, until it is told.
            assert_eq!(
                (place.read("vm.yaml"), place.read("other.yaml")),
                (before.clone(), before.clone())
            );
        }
        let now = Some(round.to_string());
        assert_eq!((place.read("vm.yaml"), place.read("other.yaml")), (now.clone(), now));
    }
    assert_eq!(place.problem(), None);
}

/// Ends golive at any moment, and starts it again in the same folder.
#[tokio::test]
async fn golive_may_end_at_any_moment() {
    let Some(place) = git_or_skip() else { return };
    let mut random = fastrand::Rng::with_seed(8);
    let commit = place.commit("vm.yaml", "one");
    for _ in 0..25 {
        let mut source = place.source().await;
        let patience = Duration::from_micros(random.u64(0..80_000));
        drop(tokio::time::timeout(patience, source.changed()).await);
    }
    let mut source = place.source().await;
    let changed = place.changed(&mut source).await;
    assert_eq!(changed.source.unwrap().commit, commit);
    assert_eq!(place.read("vm.yaml").as_deref(), Some("one"));
    let names = |folder: &Path| -> BTreeSet<_> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect()
    };
    let known = [".gone", ".tree", "golive.clone.json", "lock", "repository"].map(str::to_owned);
    assert!(names(&place.clone_folder()).is_subset(&BTreeSet::from(known)));
}
