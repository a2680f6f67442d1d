//! What is around golive: the user's configuration, variables, templates.

use super::*;
use crate::disk::{Disk as _, RealDisk};

/// Both hashes, each with a default of the other one, given in each way that git knows.
#[tokio::test]
async fn the_clone_has_the_hash_of_its_remote() {
    for (remote, default) in [("sha1", "sha256"), ("sha256", "sha1")] {
        for version in ["0", "2"] {
            let Some(mut place) = git_or_skip() else { return };
            place.configure(&format!(
                "[init]\n defaultObjectFormat = {default}\n defaultBranch = \"no..name\"\n\
                 [protocol]\n version = {version}\n"
            ));
            place.tools.environment.insert("GIT_DEFAULT_HASH".into(), default.into());
            place.make_remote_anew(remote);
            let one = place.commit("vm.yaml", "one");
            let mut source = place.source().await;
            assert_eq!(place.changed(&mut source).await.source.unwrap().commit, one);
            assert_eq!(place.read("vm.yaml").as_deref(), Some("one"));

            // The same repository, made anew with the other hash.
            place.make_remote_anew(default);
            let two = place.commit("vm.yaml", "two");
            assert_ne!(one.len(), two.len());
            assert_eq!(place.changed(&mut source).await.source.unwrap().commit, two);
            assert_eq!(place.read("vm.yaml").as_deref(), Some("two"));
            assert_eq!(place.problem(), None);
        }
    }
}

/// Everything that would make a clone or a checkout another one, or fail, at once.
#[cfg(unix)]
#[tokio::test]
async fn what_does_not_say_how_to_reach_the_remote_changes_nothing() {
    let Some(mut place) = git_or_skip() else { return };
    let attributes = place.outside("attributes", "*.yaml text eol=crlf filter=mine\n");
    let outside = attributes.parent().unwrap().display();
    place.configure(&format!(
        "[init]\n templateDir = {outside}/template\n defaultRefFormat = reftable\n\
         [core]\n autocrlf = true\n eol = crlf\n attributesFile = {outside}/attributes\n\
         sharedRepository = 0600\n sparseCheckout = true\n compression = 77\n hooksPath = {outside}\n\
         [fetch]\n fsckObjects = true\n negotiationAlgorithm = nonsense\n prune = true\n\
         [transfer]\n fsckObjects = true\n hideRefs = refs/golive\n\
         [filter \"mine\"]\n smudge = touch {outside}/filtered\n required = true\n\
         [checkout]\n workers = -5\n[index]\n version = 77\n[gc]\n recentObjectsHook = touch {outside}/gone\n"
    ));
    std::fs::create_dir_all(place.home(".config/git")).unwrap();
    RealDisk.write(&place.home(".config/git/attributes"), b"* text eol=crlf\n").unwrap();
    std::fs::create_dir_all(format!("{outside}/template/hooks")).unwrap();
    for (name, value) in [
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_CONFIG_KEY_0", "core.autocrlf"),
        ("GIT_CONFIG_VALUE_0", "true"),
        ("GIT_CONFIG_PARAMETERS", "'core.eol'='crlf'"),
        ("GIT_TRACE", "1"),
        ("GIT_TRACE2_EVENT", "1"),
        ("GIT_DEFAULT_REF_FORMAT", "reftable"),
        ("GIT_OBJECT_DIRECTORY", "/nowhere"),
        ("GIT_ATTR_SOURCE", "HEAD"),
        ("GIT_LITERAL_PATHSPECS", "x"),
        ("GIT_TEMPLATE_DIR", "/nowhere"),
        ("GIT_CEILING_DIRECTORIES", "/"),
        ("LANGUAGE", "de"),
    ] {
        place.tools.environment.insert(name.into(), value.into());
    }
    let one = place.commit_plainly("vm.yaml", "one\n");
    let mut source = place.source().await;
    assert_eq!(place.changed(&mut source).await.source.unwrap().commit, one);
    assert_eq!(place.read("vm.yaml").as_deref(), Some("one\n"));
    let two = place.commit_plainly("vm.yaml", "two\n");
    assert_eq!(place.changed(&mut source).await.source.unwrap().commit, two);
    assert_eq!(place.problem(), None);
    assert!(place.clone_folder().join("repository/refs/golive/watched").is_file());
    for name in ["filtered", "gone"] {
        assert!(!std::path::Path::new(&format!("{outside}/{name}")).exists(), "{name}");
    }
}

/// A name for the remote that only the configuration knows; it is read anew for each fetch.
#[tokio::test]
async fn how_to_reach_the_remote_is_the_users_to_say() {
    let Some(mut place) = git_or_skip() else { return };
    place.url = Some("https://offers.invalid/offers".to_owned());
    let one = place.commit("vm.yaml", "one");
    place.configure("[http]\n proxy = http://127.0.0.1:1\n");
    let mut source = place.source().await;
    place.until_problem(&mut source, "127.0.0.1").await;
    let remote = place.url();
    let instead = format!("[url \"{remote}\"]\n insteadOf = https://offers.invalid/offers\n");
    RealDisk.write(&place.home("more"), instead.as_bytes()).unwrap();
    place.configure("[include]\n path = more\n");
    assert_eq!(place.changed(&mut source).await.source.unwrap().commit, one);
    assert_eq!(place.problem(), None);
}

/// A repository on disk that belongs to somebody else: git's own check, pretended by its own means.
#[tokio::test]
async fn a_repository_of_somebody_else_is_followed_once_it_is_called_safe() {
    let Some(mut place) = git_or_skip() else { return };
    let one = place.commit("vm.yaml", "one");
    // Every repository belongs to somebody else for a git that is told so.
    let script = place.home("git");
    let text = "#!/bin/sh\nexport GIT_TEST_ASSUME_DIFFERENT_OWNER=1\nexec git \"$@\"\n";
    RealDisk.write(&script, text.as_bytes()).unwrap();
    place.script_rights(&script);
    place.tools.program = script;
    let mut source = place.source().await;
    place.until_problem(&mut source, "git says: fatal: detected dubious ownership in").await;
    place.configure(&format!("[safe]\n directory = {}\n", place.remote().display()));
    assert_eq!(place.changed(&mut source).await.source.unwrap().commit, one);
    assert_eq!(place.problem(), None);
    place.configure("");
    place.until_problem(&mut source, "detected dubious ownership").await;
}

/// A configuration that can't be read is told like any other failure, and outlived.
#[tokio::test]
async fn a_broken_configuration_is_told_with_its_place() {
    let Some(place) = git_or_skip() else { return };
    let one = place.commit("vm.yaml", "one");
    place.configure("[oops\n");
    let mut source = place.source().await;
    place.until_problem(&mut source, "git config failed: fatal: bad config line").await;
    place.configure("");
    assert_eq!(place.changed(&mut source).await.source.unwrap().commit, one);
}
