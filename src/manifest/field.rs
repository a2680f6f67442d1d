//! The fields of a manifest, by name, and their values while they are gathered.

use jiff::Timestamp;

use super::labels::Labels;
use super::offer::{DesiredState, Manifest};
use crate::marketplace::{OfferId, PublisherId, Version};

/// Every field of a manifest, in the order in which they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Field {
    Publisher,
    Offer,
    State,
    Version,
    NotBefore,
    Suspend,
    After,
    Notify,
    Labels,
}

impl Field {
    pub(super) const ALL: [Self; 9] = [
        Self::Publisher,
        Self::Offer,
        Self::State,
        Self::Version,
        Self::NotBefore,
        Self::Suspend,
        Self::After,
        Self::Notify,
        Self::Labels,
    ];

    pub(super) const REQUIRED: [Self; 3] = [Self::Publisher, Self::Offer, Self::State];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Publisher => "publisher",
            Self::Offer => "offer",
            Self::State => "state",
            Self::Version => "version",
            Self::NotBefore => "notBefore",
            Self::Suspend => "suspend",
            Self::After => "after",
            Self::Notify => "notify",
            Self::Labels => "labels",
        }
    }

    /// How to write it, for a hint.
    pub(super) fn example(self) -> &'static str {
        match self {
            Self::Publisher => "publisher: contoso",
            Self::Offer => "offer: contoso-virtualmachineoffer",
            Self::State => "state: live",
            Self::Version => "version: 5",
            Self::NotBefore => "notBefore: 2030-01-31T09:00:00Z",
            Self::Suspend => "suspend: true",
            Self::After => "after: [contoso/base-image]",
            Self::Notify => "notify: [release@example.com]",
            Self::Labels => "labels: {team: compute}",
        }
    }
}

/// The values that could be read.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) publisher: Option<PublisherId>,
    pub(super) offer: Option<String>,
    pub(super) state: Option<DesiredState>,
    pub(super) version: Option<Version>,
    pub(super) not_before: Option<Timestamp>,
    pub(super) suspend: bool,
    pub(super) after: Vec<OfferId>,
    pub(super) notify: Vec<String>,
    pub(super) labels: Labels,
}

impl Draft {
    /// The manifest, where nothing that it needs is missing.
    pub(super) fn finish(self) -> Option<Manifest> {
        let Self { publisher, offer, state, version, not_before, suspend, after, notify, labels } =
            self;
        Some(Manifest {
            publisher: publisher?,
            offer: offer?,
            state: state?,
            version,
            not_before,
            suspend,
            after,
            notify,
            labels,
        })
    }
}
