use super::*;
use crate::disk::{Disk as _, RealDisk};
use std::fs::{create_dir_all, remove_dir_all, remove_file};
use tempfile::TempDir;

fn put(path: &Path, text: &str) {
    create_dir_all(path.parent().unwrap()).unwrap();
    RealDisk.write(path, text.as_bytes()).unwrap();
}

fn offer(name: &str, more: &str) -> String {
    format!("publisher: contoso\noffer: {name}\nstate: live\n{more}")
}

fn id(name: &str) -> OfferId {
    format!("contoso/{name}").parse().unwrap()
}

fn ids(names: &[&str]) -> BTreeSet<OfferId> {
    names.iter().map(|name| id(name)).collect()
}

/// A folder, and the manifests in it.
struct Place {
    folder: TempDir,
    manifests: Manifests,
}

impl Place {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let manifests = Manifests::new(vec![folder.path().join("offers")]);
        let place = Self { folder, manifests };
        for (name, text) in files {
            place.put(name, text);
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("offers").join(name)
    }

    fn put(&self, name: &str, text: &str) {
        put(&self.path(name), text);
    }

    fn refresh(&mut self) -> Refreshed {
        self.manifests.refresh(&BTreeSet::new())
    }

    fn changed(&mut self) -> BTreeSet<OfferId> {
        self.refresh().changed
    }

    fn in_force(&self) -> Vec<String> {
        self.manifests.desired().keys().map(|id| id.offer().to_owned()).collect()
    }

    fn file_of(&self, offer: &str) -> PathBuf {
        let file = self.manifests.desired()[&id(offer)].file.clone();
        file.strip_prefix(self.path("")).unwrap().to_owned()
    }

    fn problems(&self) -> Vec<String> {
        self.manifests.problems().iter().map(|problem| problem.what.clone()).collect()
    }

    /// What is told is what `golive validate` tells.
    fn validates(&self) {
        let told: Vec<Diagnostic> = self.manifests.problems().to_vec();
        match manifest::load(&self.manifests.roots) {
            Ok(set) => {
                assert_eq!(told, []);
                assert_eq!(set.offers, *self.manifests.desired());
            }
            Err(problems) => assert_eq!(told, problems.into_iter().collect::<Vec<_>>()),
        }
    }
}

#[test]
fn only_what_changed_is_read_and_told() {
    let mut place = Place::new(&[("a.yaml", &offer("a", "")), ("deep/b.yaml", &offer("b", ""))]);
    let first = place.refresh();
    assert_eq!((first.changed, first.read, place.manifests.files()), (ids(&["a", "b"]), 2, 2));
    let top = place.path("").canonicalize().unwrap();
    assert_eq!(first.folders, [top.clone(), top.join("deep")].into());
    place.validates();

    let second = place.refresh();
    assert_eq!(second, Refreshed { folders: first.folders, ..Refreshed::default() });

    let before = place.manifests.desired();
    place.put("deep/b.yaml", &offer("b", "version: 3\n"));
    place.put("note.txt", "nothing to golive");
    let third = place.refresh();
    assert_eq!((third.changed, third.read), (ids(&["b"]), 1));
    assert_eq!(place.manifests.desired()[&id("b")].manifest.version.unwrap().0, 3);
    assert_eq!(before[&id("b")].manifest.version, None);

    // A file that is written anew, or in other words, says the same.
    place.put("deep/b.yaml", &offer("b", "version: 3 # as before\n"));
    let fourth = place.refresh();
    assert_eq!((fourth.changed, fourth.read), (ids(&[]), 1));
    place.validates();
}

#[test]
fn a_suspect_is_read_though_it_looks_the_same() {
    let mut place = Place::new(&[("a.yaml", &offer("a", "")), ("b.yaml", &offer("b", ""))]);
    place.refresh();
    let real = place.path("").canonicalize().unwrap();
    let suspects = [real.join("../offers/a.yaml"), real.join("gone.yaml")].into();
    assert_eq!(place.manifests.refresh(&suspects).read, 1);
    assert_eq!(place.refresh().read, 0);
}

#[test]
fn a_file_that_is_gone_takes_its_offers_along_a_renamed_one_does_not() {
    let two = format!("{}---\n{}", offer("a", ""), offer("b", ""));
    let mut place = Place::new(&[("two.yaml", &two), ("c.yaml", &offer("c", ""))]);
    place.refresh();
    RealDisk.rename(&place.path("two.yaml"), &place.path("other.yaml")).unwrap();
    assert_eq!(place.changed(), ids(&["a", "b"]));
    assert_eq!(place.file_of("a"), Path::new("other.yaml"));
    remove_file(place.path("other.yaml")).unwrap();
    assert_eq!(place.changed(), ids(&["a", "b"]));
    assert_eq!(place.in_force(), ["c"]);
    assert!(place.manifests.is_gone(&id("a"), &place.path("../offers/other.yaml")));
    assert!(!place.manifests.is_gone(&id("c"), &place.path("c.yaml")));
    place.validates();
}

#[test]
fn a_broken_file_keeps_its_last_good_version_and_stops_no_other() {
    let mut place = Place::new(&[("a.yaml", &offer("a", "")), ("b.yaml", &offer("b", ""))]);
    place.refresh();
    let good = place.manifests.desired()[&id("a")].clone();

    // One of two documents is whole: the last good version counts as a whole all the same.
    let broken = format!("{}---\n{}", offer("new", ""), offer("a", "stat: live\n"));
    place.put("a.yaml", &broken);
    place.put("b.yaml", &offer("b", "version: 2\n"));
    let refreshed = place.refresh();
    assert_eq!(refreshed.changed, ids(&["b"]));
    assert_eq!(refreshed.news, *place.manifests.problems());
    assert_eq!(place.problems(), ["unknown field \"stat\""]);
    assert_eq!(place.manifests.desired()[&id("a")], good);
    assert!(!place.manifests.is_gone(&id("old"), &place.path("a.yaml")));
    place.validates();

    // It is told once, also where it moves.
    assert_eq!(place.refresh(), Refreshed { folders: refreshed.folders, ..Refreshed::default() });
    place.put("a.yaml", &format!("# a line more\n{broken}"));
    let moved = place.refresh();
    assert_eq!((moved.news, moved.mended, moved.read), (vec![], vec![], 1));
    place.put("a.yaml", "a: [");
    let other = place.refresh();
    assert_eq!((other.news.len(), other.mended), (1, vec![]));
    assert_eq!(place.manifests.desired()[&id("a")], good);

    place.put("a.yaml", &offer("a", "version: 1\n"));
    let mended = place.refresh();
    assert_eq!(mended.changed, ids(&["a"]));
    assert_eq!((mended.news, mended.mended), (vec![], vec![place.path("a.yaml")]));
    place.validates();
}

#[test]
fn of_a_file_that_is_broken_from_the_start_the_whole_documents_count() {
    let text = format!("{}---\n{}", offer("a", ""), offer("b", "state: dead\n"));
    let mut place =
        Place::new(&[("ab.yaml", &text), ("c.yaml", &offer("c", "after: [contoso/b]\n"))]);
    let refreshed = place.refresh();
    assert_eq!(refreshed.changed, ids(&["a", "c"]));
    assert!(!refreshed.news.is_empty());
    // Neither what it is recorded for nor where it may have moved to is a reason to forget it.
    assert!(!place.manifests.is_gone(&id("b"), &place.path("ab.yaml")));
    assert!(!place.manifests.is_gone(&id("b"), &place.path("no-more.yaml")));
    assert!(!place.manifests.is_gone(&id("x"), &place.path("ab.yaml")));
    assert!(place.manifests.is_gone(&id("x"), &place.path("no-more.yaml")));
    place.validates();
    place.put("ab.yaml", &text.replace("state: dead\n", ""));
    assert_eq!(place.changed(), ids(&["b"]));
    assert!(place.manifests.is_gone(&id("x"), &place.path("ab.yaml")));
    place.validates();
}

#[test]
fn while_two_manifests_name_an_offer_none_is_in_force() {
    let suspended = offer("a", "suspend: true\n");
    let mut place = Place::new(&[("m.yaml", &suspended), ("b.yaml", &offer("b", ""))]);
    place.refresh();
    assert_eq!(place.in_force(), ["a", "b"]);
    // The copy is spelled otherwise, and first by its name.
    place.put("Copy of m.yaml", &offer("A", ""));
    let refreshed = place.refresh();
    assert_eq!((refreshed.changed, refreshed.news.len()), (ids(&["a"]), 1));
    assert_eq!(place.in_force(), ["b"]);
    assert_eq!(place.problems(), ["the offer contoso/a has more than one manifest"]);
    // It is left alone, not forgotten: what runs is followed.
    for file in ["m.yaml", "Copy of m.yaml", "no-more.yaml"] {
        assert!(!place.manifests.is_gone(&id("a"), &place.path(file)), "{file}");
    }
    place.validates();
    // A start decides as a running service does.
    let restart = |place: &Place| {
        let mut anew = Manifests::new(place.manifests.roots.clone());
        anew.refresh(&BTreeSet::new());
        assert_eq!(*anew.desired(), *place.manifests.desired());
        assert_eq!(anew.problems(), place.manifests.problems());
    };
    restart(&place);
    // Also while there is something wrong with one of them.
    for wrong in ["version: one\n", "stat: live\n"] {
        place.put("m.yaml", &offer("a", wrong));
        assert_eq!(place.changed(), ids(&[]));
        assert_eq!(place.in_force(), ["b"]);
        restart(&place);
    }
    place.put("m.yaml", &suspended);
    place.refresh();
    remove_file(place.path("Copy of m.yaml")).unwrap();
    let mended = place.refresh();
    assert_eq!((mended.changed, mended.mended), (ids(&["a"]), vec![place.path("m.yaml")]));
    assert_eq!(place.file_of("a"), Path::new("m.yaml"));
    place.validates();
    restart(&place);
}

#[test]
fn a_file_may_not_name_an_offer_twice_either() {
    let mut place = Place::new(&[("a.yaml", &offer("a", ""))]);
    place.refresh();
    let twice = format!("{}---\n{}", offer("a", ""), offer("A", "version: 3\n"));
    place.put("a.yaml", &twice);
    assert_eq!(place.changed(), ids(&["a"]));
    assert!(place.in_force().is_empty() && place.problems().len() == 1);
    place.put("a.yaml", &offer("A", "version: 3\n"));
    assert_eq!(place.changed(), ids(&["a"]));
    assert_eq!(place.in_force(), ["A"]);
    place.validates();
}

#[test]
fn an_empty_file_is_a_problem_and_one_of_comments_gives_its_offers_up() {
    let mut place = Place::new(&[("a.yaml", &offer("a", "")), ("b.yaml", &offer("b", ""))]);
    place.refresh();
    for empty in ["", "\n \n"] {
        place.put("a.yaml", empty);
        assert_eq!(place.changed(), ids(&[]));
        assert_eq!(
            (place.in_force(), place.problems()),
            (vec!["a".to_owned(), "b".to_owned()], vec!["this file is empty".to_owned()],)
        );
        assert!(!place.manifests.is_gone(&id("a"), &place.path("a.yaml")));
        place.validates();
    }
    place.put("a.yaml", "# not now\n");
    assert_eq!(place.changed(), ids(&["a"]));
    assert!(place.manifests.is_gone(&id("a"), &place.path("a.yaml")));
    place.validates();
}

#[test]
fn what_is_left_out_is_given_up_and_a_broken_list_gives_nothing_up() {
    let mut place = Place::new(&[("a.yaml", &offer("a", "")), ("deep/b.yaml", &offer("b", ""))]);
    place.refresh();
    place.put(".goliveignore", "deep/\n");
    let real = place.path("").canonicalize().unwrap();
    let suspects = BTreeSet::from([real.join(".goliveignore")]);
    assert_eq!(place.manifests.refresh_only(&suspects).changed, ids(&["b"]));
    assert!(place.manifests.is_gone(&id("b"), &place.path("deep/b.yaml")));
    assert!(!place.manifests.is_gone(&id("a"), &place.path("a.yaml")));
    place.validates();
    place.put(".goliveignore", "deep/\n[b-a]\n");
    let refreshed = place.refresh();
    assert_eq!((refreshed.changed, refreshed.news.len()), (ids(&[]), 1));
    assert_eq!(place.in_force(), ["a"]);
    assert!(!place.manifests.is_gone(&id("x"), &place.path("x.yaml")));
    place.put(".goliveignore", "*\n");
    assert_eq!(place.changed(), ids(&["a"]));
    place.validates();
    place.put(".goliveignore", "");
    assert_eq!(place.changed(), ids(&["a", "b"]));
    place.validates();
}

#[test]
fn unknown_offers_and_cycles_are_told_and_stay_in_force() {
    let mut place = Place::new(&[
        ("a.yaml", &offer("a", "after: [contoso/b]\n")),
        ("b.yaml", &offer("b", "after: [contoso/a]\n")),
        ("c.yaml", &offer("c", "after: [contoso/nobody]\n")),
    ]);
    let refreshed = place.refresh();
    assert_eq!((refreshed.news.len(), refreshed.changed), (2, ids(&["a", "b", "c"])));
    place.validates();
    place.put("nobody.yaml", &offer("nobody", ""));
    let refreshed = place.refresh();
    assert_eq!((refreshed.read, refreshed.mended), (1, vec![place.path("c.yaml")]));
    place.validates();
}

#[test]
fn a_root_that_vanishes_or_is_empty_is_no_order_to_forget() {
    let mut place = Place::new(&[("a.yaml", &offer("a", "")), ("deep/b.yaml", &offer("b", ""))]);
    place.refresh();
    let away = place.folder.path().join("away");
    RealDisk.rename(&place.path(""), &away).unwrap();
    for empty in [false, true] {
        let refreshed = place.refresh();
        assert_eq!((refreshed.changed, refreshed.news.len()), (ids(&[]), 1), "{empty}");
        assert_eq!(place.in_force(), ["a", "b"]);
        assert!(!place.manifests.is_gone(&id("x"), &place.path("x.yaml")));
        place.validates();
        create_dir_all(place.path("deep")).unwrap();
    }
    // One file is back, and new; the other still can't be told from one that is not mounted.
    std::fs::remove_dir(place.path("deep")).unwrap();
    std::fs::remove_dir(place.path("")).unwrap();
    RealDisk.rename(&away, &place.path("")).unwrap();
    let refreshed = place.refresh();
    assert_eq!(refreshed.changed, ids(&[]));
    assert_eq!(refreshed.mended, [place.path("")]);
    remove_dir_all(place.path("deep")).unwrap();
    assert_eq!(place.changed(), ids(&["b"]));
    place.validates();
}

#[test]
fn nothing_is_an_answer_where_it_is_said_to_be() {
    let place = Place::new(&[("a.yaml", &offer("a", ""))]);
    let mut manifests = Manifests::new(vec![place.path("")]).allow_empty();
    let suspects = BTreeSet::new();
    manifests.refresh(&suspects);
    remove_file(place.path("a.yaml")).unwrap();
    let refreshed = manifests.refresh(&suspects);
    assert_eq!((refreshed.changed, refreshed.news.len()), (ids(&["a"]), 1));
    assert!(manifests.is_gone(&id("a"), &place.path("a.yaml")));
}

#[test]
fn a_saved_file_is_read_alone_and_what_is_no_such_file_is_looked_for() {
    let mut place = Place::new(&[("a.yaml", &offer("a", "")), ("b.yaml", &offer("b", ""))]);
    let folders = place.refresh().folders;
    let top = place.path("").canonicalize().unwrap();
    let only = |name: &str| BTreeSet::from([top.join(name)]);
    place.put("a.yaml", &offer("a", "version: 2\n"));
    place.put("b.yaml", &offer("b", "version: 2\n"));
    let refreshed = place.manifests.refresh_only(&only("a.yaml"));
    assert_eq!((refreshed.changed, refreshed.read, refreshed.folders), (ids(&["a"]), 1, folders));
    // One that is new, and one that is gone, lead to a look at all.
    place.put("c.yaml", &offer("c", ""));
    assert_eq!(place.manifests.refresh_only(&only("c.yaml")).changed, ids(&["b", "c"]));
    remove_file(place.path("b.yaml")).unwrap();
    assert_eq!(place.manifests.refresh_only(&only("b.yaml")).changed, ids(&["b"]));
    place.put("a.yaml", "state: [\n");
    let refreshed = place.manifests.refresh_only(&only("a.yaml"));
    assert!(refreshed.changed.is_empty() && !refreshed.news.is_empty());
    place.validates();
    place.put("a.yaml", &offer("a", "version: 2\n"));
    assert_eq!(place.manifests.refresh_only(&only("a.yaml")).mended.len(), 1);
}

/// Whatever changes, and however it is noticed: what is kept to find things quickly is what a look at
/// all of them shows, and what is told is what a check of all of them finds.
mod whatever_changes {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Put { file: usize, text: usize },
        Remove { file: usize },
        Rename { from: usize, to: usize },
        Refresh,
        RefreshOnly { file: usize },
    }

    const FILES: [&str; 4] = ["a.yaml", "b.yaml", "deep/a.yaml", "z.yaml"];

    fn text(number: usize) -> String {
        let both = |name, other, more| format!("{}---\n{}", offer(name, ""), offer(other, more));
        match number {
            0 => offer("a", ""),
            1 => offer("a", "version: 2\n"),
            2 => offer("b", "after: [contoso/a]\n"),
            3 => offer("a", "after: [contoso/b]\n"),
            4 => both("a", "b", ""),
            5 => both("c", "d", "after: [contoso/x]\n"),
            6 => both("A", "a", "version: 3\n"),
            7 => both("b", "c", "stat: live\n"),
            8 => "# nothing in it\n".to_owned(),
            9 => "a: [".to_owned(),
            10 => format!("# a line more\n{}", offer("b", "after: [contoso/a]\n")),
            _ => String::new(),
        }
    }

    fn step() -> impl Strategy<Value = Step> {
        let file = || 0..FILES.len();
        prop_oneof![
            4 => (file(), 0..12_usize).prop_map(|(file, text)| Step::Put { file, text }),
            1 => file().prop_map(|file| Step::Remove { file }),
            1 => (file(), file()).prop_map(|(from, to)| Step::Rename { from, to }),
            2 => Just(Step::Refresh),
            4 => file().prop_map(|file| Step::RefreshOnly { file }),
        ]
    }

    /// Which manifests would be in force, by a look at all files.
    fn in_force(manifests: &Manifests) -> Vec<Loaded> {
        let mut claims: BTreeMap<&OfferId, usize> = BTreeMap::new();
        for entry in &manifests.entries {
            for offer in entry.names() {
                *claims.entry(offer).or_default() += entry.claims(offer);
            }
        }
        let all = manifests.entries.iter().flat_map(|entry| entry.in_force().loaded());
        let only = all.filter(|loaded| claims[&loaded.id] == 1);
        let mut only: Vec<Loaded> = only.map(|loaded| (**loaded).clone()).collect();
        only.sort_by(|one, two| one.id.cmp(&two.id));
        only
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn it_is_found_as_by_a_look_at_all(steps in proptest::collection::vec(step(), 1..40)) {
            let mut place = Place::new(&[("deep/kept.yaml", &offer("kept", ""))]);
            place.refresh();
            for step in steps {
                match step {
                    Step::Put { file, text: number } => place.put(FILES[file], &text(number)),
                    Step::Remove { file } => drop(remove_file(place.path(FILES[file]))),
                    Step::Rename { from, to } => {
                        drop(RealDisk.rename(&place.path(FILES[from]), &place.path(FILES[to])));
                    }
                    Step::Refresh => drop(place.refresh()),
                    Step::RefreshOnly { file } => {
                        let real = place.path("").canonicalize().unwrap().join(FILES[file]);
                        place.manifests.refresh_only(&[real].into());
                    }
                }
                let manifests = &place.manifests;
                prop_assert_eq!(&manifests.index, &Index::new(&manifests.entries));
                let desired = manifests.desired();
                let now: Vec<Loaded> = desired.values().map(|it| (**it).clone()).collect();
                prop_assert_eq!(now, in_force(manifests));
                let files = manifests.entries.iter().map(|entry| &entry.latest);
                let found = Found::default();
                // A check looks into the files for lines, where by now something else may stand.
                let sorted = |all: &[Diagnostic]| {
                    let all = all.iter().map(|it| (it.file.clone(), it.what.clone()));
                    all.collect::<BTreeSet<_>>()
                };
                let checked = sorted(&manifest::check(&found, files, &Accounts::default()));
                prop_assert_eq!(sorted(&manifests.problems()), checked);
            }
            place.refresh();
            let before = place.manifests.desired();
            prop_assert_eq!(&place.refresh().changed, &BTreeSet::new());
            prop_assert_eq!(&place.manifests.desired(), &before);
            let anew = manifest::load(&place.manifests.roots).err();
            let anew: Vec<Diagnostic> = anew.into_iter().flatten().collect();
            prop_assert_eq!(&*place.manifests.problems(), &anew);
        }
    }
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_can_t_be_looked_at_stays_in_force_and_nothing_else() {
        let files = ["a.yaml", "b.yaml", "deep/c.yaml", "deep/d.yaml"];
        let mut place = Place::new(&[]);
        for file in files {
            let name = file.trim_start_matches("deep/").trim_end_matches(".yaml");
            place.put(file, &offer(name, ""));
        }
        place.refresh();
        // A folder that leads nowhere, as one on a volume that is gone.
        remove_dir_all(place.path("deep")).unwrap();
        symlink("nowhere", place.path("deep")).unwrap();
        remove_file(place.path("a.yaml")).unwrap();
        place.put("b.yaml", &offer("b", "version: 2\n"));
        let refreshed = place.refresh();
        assert_eq!((refreshed.changed, refreshed.read), (ids(&["a", "b"]), 1));
        assert_eq!(place.in_force(), ["b", "c", "d"]);
        assert!(place.manifests.is_gone(&id("a"), &place.path("a.yaml")));
        assert!(!place.manifests.is_gone(&id("x"), &place.path("deep/x.yaml")));
        remove_file(place.path("deep")).unwrap();
        assert_eq!(place.changed(), ids(&["c", "d"]));
        assert!(place.manifests.is_gone(&id("c"), &place.path("deep/c.yaml")));
    }

    #[test]
    fn files_behind_links_are_suspected_by_their_real_path() {
        let mut place = Place::new(&[("b.yaml", &offer("b", ""))]);
        let top = place.folder.path().canonicalize().unwrap();
        put(&top.join("elsewhere/a.yaml"), &offer("a", ""));
        put(&top.join("elsewhere/c.text"), &offer("c", ""));
        symlink("elsewhere", top.join("current")).unwrap();
        symlink("../current/a.yaml", place.path("a.yaml")).unwrap();
        symlink("../elsewhere/c.text", place.path("c.yaml")).unwrap();
        let refreshed = place.refresh();
        let wanted =
            ["offers", "elsewhere", "current"].map(|name| top.join(name)).into_iter().collect();
        // All that comes and goes in the folder is seen, but not what changes in a text.
        let named = BTreeSet::from([top.join("elsewhere/c.text")]);
        assert_eq!(refreshed.folders, &wanted | &named);
        for suspect in ["elsewhere/a.yaml", "elsewhere/c.text", "offers/a.yaml"] {
            let suspects = [top.join(suspect)].into();
            assert_eq!(place.manifests.refresh(&suspects).read, 1, "{suspect}");
        }
    }

    #[test]
    fn a_file_that_could_not_be_read_is_tried_again() {
        use std::fs::Permissions;
        use std::os::unix::fs::PermissionsExt as _;
        let mut place = Place::new(&[("a.yaml", &offer("a", "")), ("b.yaml", &offer("b", ""))]);
        place.refresh();
        let path = place.path("a.yaml");
        let top = path.parent().unwrap();
        for folder in [top, top.parent().unwrap()] {
            std::fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
        }
        std::fs::set_permissions(&path, Permissions::from_mode(0o000)).unwrap();
        let seen = crate::disk::bound::by_permissions(|| {
            let closed = place.refresh();
            assert_eq!((closed.changed, closed.read), (ids(&[]), 1));
            assert!(!closed.news.is_empty());
            assert_eq!(place.refresh().read, 1);
        });
        if seen.is_none() {
            return;
        }
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let open = place.refresh();
        assert_eq!((open.changed, open.read), (ids(&[]), 1));
        assert_eq!(open.mended.len(), 1);
    }
}

#[test]
fn offers_that_are_one_product_are_left_alone() {
    let fabrikam = offer("A", "").replace("contoso", "fabrikam");
    let mut place = Place::new(&[("a.yaml", &offer("a", "")), ("b.yaml", &offer("b", ""))]);
    place.manifests = place.manifests.with_accounts(Accounts::new(BTreeMap::new(), Some(0)));
    place.refresh();
    assert_eq!(place.in_force(), ["a", "b"]);
    place.put("c.yaml", &fabrikam);
    assert_eq!(place.changed(), ids(&["a"]));
    assert_eq!(place.in_force(), ["b"]);
    let told = place.problems();
    assert!(told[0].starts_with("contoso/a and fabrikam/A are one product"), "{told:?}");
    assert!(!place.manifests.is_gone(&id("a"), &place.path("a.yaml")));
    remove_file(place.path("c.yaml")).unwrap();
    assert_eq!(place.changed(), ids(&["a"]));
    assert_eq!(place.in_force(), ["a", "b"]);
    assert_eq!(place.problems(), Vec::<String>::new());
}
