//! Looking in groups: offers of publishers that have to do with each other are decided about together,
//! and what is known of some does not wait long for what is not known of others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::time::Instant;

use super::{Guard, Job, Observed, Reconciler};
use crate::changes::{ChangeSet, Links, Moment, Policy};
use crate::clock::reached;
use crate::marketplace::{OfferId, PublisherId};
use crate::status::OfferRecord;

/// How long the first group that is decided about waits for others. A look takes a second or two where
/// nothing is wrong; then all groups are gone on with as one.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was seen of some offers, and what follows from it.
#[derive(Debug, Default)]
pub(super) struct Sight {
    pub(super) observed: Observed,
    pub(super) changes: ChangeSet,
}

/// Offers that are decided about together.
#[derive(Debug)]
struct Group {
    /// Their publishers, and those of the offers that they wait for.
    publishers: BTreeSet<PublisherId>,
    policy: Policy,
}

/// Groups that are being looked at, side by side. Who is late goes on where it is, so that nothing is
/// asked twice for it.
pub(super) struct Looks<'a> {
    under_way: FuturesUnordered<BoxFuture<'a, (usize, Sight)>>,
    /// The publishers of the groups under way, by the group's number.
    open: BTreeMap<usize, BTreeSet<PublisherId>>,
    done: Sight,
    /// When the first of those that are done was, until they are taken.
    since: Option<Instant>,
}

impl Looks<'_> {
    /// Waits for one group more; `None` where there is none. May be given up at any time.
    pub(super) async fn go_on(&mut self) -> Option<()> {
        let (number, sight) = self.under_way.next().await?;
        self.open.remove(&number);
        self.since.get_or_insert_with(Instant::now);
        if self.done.observed.is_empty() {
            self.done = sight;
        } else {
            self.done.observed.extend(sight.observed);
            self.done.changes.changes.extend(sight.changes.changes);
        }
        Some(())
    }

    /// Waits until all groups are done, or the first of them has waited for long enough. May be given
    /// up at any time.
    pub(super) async fn in_time(&mut self) {
        loop {
            let until = self.since.map(|since| since + PATIENCE);
            tokio::select! {
                biased;
                one_more = self.go_on() => if one_more.is_none() { return },
                () = reached(until) => return,
            }
        }
    }

    /// What is done so far and was not taken yet, as one; `None` where nothing is.
    pub(super) fn take(&mut self) -> Option<Sight> {
        self.since.take()?;
        let mut sight = std::mem::take(&mut self.done);
        sight.changes.changes.sort_by(|one, other| one.offer.cmp(&other.offer));
        Some(sight)
    }

    /// Whether all are done, and taken.
    pub(super) fn is_over(&self) -> bool {
        self.open.is_empty() && self.since.is_none()
    }

    /// The publishers that are not done.
    pub(super) fn late(&self) -> impl Iterator<Item = &PublisherId> {
        self.open.values().flatten()
    }
}

impl Reconciler {
    /// Begins to look at the offers of a job, and at those that they wait for.
    pub(super) fn begin_to_look<'a>(
        &'a self,
        job: &'a Job,
        recorded: &'a BTreeMap<OfferId, Arc<OfferRecord>>,
        policy: &Policy,
        wanted: &BTreeSet<&OfferId>,
        moment: Moment,
    ) -> Looks<'a> {
        let (under_way, mut open) = (FuturesUnordered::new(), BTreeMap::new());
        for (number, Group { publishers, policy }) in
            groups(job, policy, wanted).into_iter().enumerate()
        {
            open.insert(number, publishers);
            let look = async move {
                let (observed, changes) =
                    self.observe(&job.desired, recorded, &policy, moment).await;
                (number, Sight { observed, changes })
            };
            under_way.push(look.boxed());
        }
        Looks { under_way, open, done: Sight::default(), since: None }
    }
}

/// Splits offers into groups that have nothing to do with each other. Where a guard is given there is
/// one: it is about all that would be sent, which is to be known before anything is.
fn groups(job: &Job, policy: &Policy, wanted: &BTreeSet<&OfferId>) -> Vec<Group> {
    let links = Links::of(wanted.iter().filter_map(|offer| job.desired.get(*offer)));
    let mut groups: BTreeMap<&PublisherId, BTreeSet<PublisherId>> = BTreeMap::new();
    for publisher in wanted.iter().map(|offer| offer.publisher()) {
        let group = groups.entry(links.group(publisher)).or_default();
        if !group.contains(publisher) {
            group.insert(publisher.clone());
        }
    }
    let Guard { expect, max_changes } = &job.guard;
    if groups.len() <= 1 || expect.is_some() || max_changes.is_some() {
        let publishers = groups.into_values().flatten().collect();
        return vec![Group { publishers, policy: policy.clone() }];
    }
    let mut scopes: BTreeMap<&PublisherId, BTreeSet<OfferId>> = BTreeMap::new();
    for offer in wanted.iter().filter(|offer| policy.covers(offer)) {
        let group = links.group(offer.publisher());
        scopes.entry(group).or_default().insert((*offer).clone());
    }
    let group = |(group, publishers)| {
        let policy = policy.about(scopes.remove(group).unwrap_or_default());
        Group { publishers, policy }
    };
    groups.into_iter().map(group).collect()
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::super::Wait;
    use super::*;
    use crate::changes::Retry;
    use crate::manifest::{FileManifests, Found, assemble};

    /// Offers, and what they wait for.
    fn job(offers: &[(&str, &str)]) -> Job {
        let manifest = |(name, after): &(&str, &str)| {
            let (publisher, offer) = name.split_once('/').unwrap();
            format!("publisher: {publisher}\noffer: {offer}\nstate: live\nafter: [{after}]\n")
        };
        let text = offers.iter().map(manifest).collect::<Vec<_>>().join("---\n");
        let text = format!("# all offers\n{text}");
        let path = Path::new("all.yaml");
        let file = FileManifests::from_bytes(path, text.as_bytes());
        let found = Found { files: vec![path.to_owned()], ..Found::default() };
        let found = Found { roots: vec![PathBuf::from(".")], ..found };
        Job {
            desired: Arc::new(assemble(&found, [&file]).unwrap().offers),
            gone: BTreeSet::new(),
            policy: Policy::default(),
            guard: Guard::default(),
            wait: Wait::No,
        }
    }

    fn ids(names: &[&str]) -> BTreeSet<OfferId> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    /// Each group's publishers, and its scope.
    fn split(job: &Job) -> Vec<(String, Option<BTreeSet<OfferId>>)> {
        let wanted = crate::changes::with_dependencies(&job.desired, &job.policy);
        let groups = groups(job, &job.policy, &wanted).into_iter().map(|group| {
            let publishers: Vec<_> = group.publishers.iter().map(PublisherId::as_str).collect();
            (publishers.join(" "), group.policy.scope)
        });
        groups.collect()
    }

    #[test]
    fn offers_that_have_to_do_with_each_other_are_one_group() {
        let mut job =
            job(&[("a/x", ""), ("b/x", "a/x, B/y"), ("b/y", ""), ("c/x", ""), ("D/x", "c/x")]);
        let all = [
            ("a b".to_owned(), Some(ids(&["a/x", "b/x", "b/y"]))),
            ("c D".to_owned(), Some(ids(&["c/x", "d/x"]))),
        ];
        assert_eq!(split(&job), all);
        // What is out of scope is looked at where it is waited for, and joins nobody otherwise.
        job.policy.scope = Some(ids(&["a/x", "b/y", "d/x"]));
        let narrowed = [
            ("a".to_owned(), Some(ids(&["a/x"]))),
            ("b".to_owned(), Some(ids(&["b/y"]))),
            ("c D".to_owned(), Some(ids(&["d/x"]))),
        ];
        assert_eq!(split(&job), narrowed);
    }

    #[test]
    fn one_publisher_or_a_guard_makes_one_group() {
        assert_eq!(split(&job(&[])), [(String::new(), None)]);
        assert_eq!(split(&job(&[("a/x", ""), ("a/y", "")])), [("a".to_owned(), None)]);
        let mut guarded = job(&[("a/x", ""), ("b/x", "")]);
        guarded.guard.max_changes = Some(9);
        assert_eq!(split(&guarded), [("a b".to_owned(), None)]);
        guarded.guard = Guard { expect: Some(String::new()), max_changes: None };
        assert_eq!(split(&guarded), [("a b".to_owned(), None)]);
    }

    #[test]
    fn a_group_is_owed_its_retries() {
        let mut job = job(&[("a/x", ""), ("a/y", ""), ("b/x", "")]);
        job.policy.retry = Retry::Offers(ids(&["a/x", "b/x"]));
        job.policy.attempted = ids(&["b/x"]);
        let wanted = crate::changes::with_dependencies(&job.desired, &job.policy);
        let groups = groups(&job, &job.policy, &wanted);
        assert_eq!(groups.len(), 2);
        for Group { policy, .. } in groups {
            for offer in policy.scope.iter().flatten() {
                assert_eq!(policy.retries(offer), job.policy.retries(offer), "{offer}");
            }
        }
    }
}
