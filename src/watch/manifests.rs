//! Stub until the real one is merged.
#![allow(missing_docs)]
use crate::manifest::{Diagnostic, Loaded, load};
use crate::marketplace::OfferId;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
pub struct Manifests {
    roots: Vec<PathBuf>,
    desired: Arc<BTreeMap<OfferId, Loaded>>,
    problems: Arc<Vec<Diagnostic>>,
}
#[derive(Default)]
pub struct Refreshed {
    pub changed: BTreeSet<OfferId>,
    pub news: Vec<Diagnostic>,
    pub mended: Vec<PathBuf>,
    pub folders: BTreeSet<PathBuf>,
    pub read: usize,
}
impl Manifests {
    pub fn new(roots: Vec<PathBuf>) -> Self {
        Self { roots, desired: Arc::default(), problems: Arc::default() }
    }
    pub fn refresh(&mut self, _s: &BTreeSet<PathBuf>) -> Refreshed {
        let Ok(set) = load(&self.roots) else { return Refreshed::default() };
        let mut changed: BTreeSet<OfferId> = set
            .offers
            .iter()
            .filter(|(id, l)| self.desired.get(id) != Some(l))
            .map(|(id, _)| id.clone())
            .collect();
        changed.extend(self.desired.keys().filter(|id| !set.offers.contains_key(id)).cloned());
        self.desired = Arc::new(set.offers);
        Refreshed { changed, ..Refreshed::default() }
    }
    pub fn desired(&self) -> Arc<BTreeMap<OfferId, Loaded>> {
        Arc::clone(&self.desired)
    }
    pub fn problems(&self) -> Arc<Vec<Diagnostic>> {
        Arc::clone(&self.problems)
    }
    pub fn files(&self) -> usize {
        self.desired.len()
    }
    pub fn is_gone(&self, offer: &OfferId, _file: &Path) -> bool {
        !self.desired.contains_key(offer)
    }
}
