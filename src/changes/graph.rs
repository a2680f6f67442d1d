//! Which offers wait for which, and which publishers this links. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::manifest::Loaded;
use crate::marketplace::{OfferId, PublisherId};

/// The dependencies that the manifests' `after` declares.
#[derive(Debug, Default)]
pub(crate) struct DependencyGraph {
    /// For each offer, the offers that wait for it.
    dependents: BTreeMap<OfferId, Vec<OfferId>>,
    /// A union-find forest: each publisher's parent towards the representative of its group. A
    /// publisher without an entry represents itself.
    groups: BTreeMap<PublisherId, PublisherId>,
}

impl DependencyGraph {
    /// Builds the graph of these manifests.
    pub(crate) fn of<'a>(manifests: impl IntoIterator<Item = &'a Arc<Loaded>>) -> Self {
        let mut links = Self::default();
        for loaded in manifests {
            for before in &loaded.manifest.after {
                links.dependents.entry(before.clone()).or_default().push(loaded.id.clone());
                links.join(loaded.id.publisher(), before.publisher());
            }
        }
        links
    }

    /// The offers that name this one in their `after`.
    pub(crate) fn dependents(&self, offer: &OfferId) -> &[OfferId] {
        self.dependents.get(offer).map_or(&[], Vec::as_slice)
    }

    /// The representative of a publisher's group. Publishers are in one group if offers of one wait
    /// for offers of another; a group is looked at together, so that each publisher is listed once
    /// and no group waits for an unrelated publisher.
    pub(crate) fn group<'a>(&'a self, publisher: &'a PublisherId) -> &'a PublisherId {
        let mut group = publisher;
        while let Some(next) = self.groups.get(group) {
            group = next;
        }
        group
    }

    fn join(&mut self, one: &PublisherId, two: &PublisherId) {
        let (one, two) = (self.group(one).clone(), self.group(two).clone());
        // The smaller name becomes the parent, so that there are no cycles.
        match one.cmp(&two) {
            std::cmp::Ordering::Less => drop(self.groups.insert(two, one)),
            std::cmp::Ordering::Greater => drop(self.groups.insert(one, two)),
            std::cmp::Ordering::Equal => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::manifest::{FileManifests, Found, assemble};

    fn links(text: &str) -> DependencyGraph {
        let path = Path::new("all.yaml");
        let file = FileManifests::from_bytes(path, text.as_bytes());
        DependencyGraph::of(assemble(&Found::default(), [&file]).unwrap().offers.values())
    }

    #[test]
    fn publishers_whose_offers_wait_for_each_other_are_one_group() {
        let manifest = |name: &str, after: &str| {
            let (publisher, offer) = name.split_once('/').unwrap();
            format!("publisher: {publisher}\noffer: {offer}\nstate: live\nafter: [{after}]\n---\n")
        };
        let links = links(
            &[
                manifest("a/x", ""),
                manifest("b/x", "a/x, c/x"),
                manifest("c/x", ""),
                manifest("d/x", ""),
                manifest("d/y", "d/x"),
                manifest("e/x", "c/x"),
            ]
            .concat(),
        );
        let group = |name: &str| links.group(&PublisherId::new(name).unwrap()).to_string();
        assert_eq!(["a", "b", "c", "d", "e"].map(group), ["a", "a", "a", "d", "a"]);
        let dependents = |name: &str| links.dependents(&name.parse().unwrap()).len();
        assert_eq!([dependents("a/x"), dependents("c/x"), dependents("d/y")], [1, 2, 0]);
    }
}
