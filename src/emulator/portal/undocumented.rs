//! Answers with fields that the reference doesn't have.

use serde::Serialize;

use crate::backends::portal::wire::{OfferWire, OperationWire};

/// An offer as it is answered, with its undocumented fields.
#[derive(Debug, Serialize)]
pub(super) struct OfferAnswer {
    #[serde(flatten)]
    pub offer: OfferWire,
    #[serde(flatten)]
    pub undocumented: Option<UndocumentedFields>,
}

/// *Offer status* as it is answered: the reference's fields, and whose publication it is about.
#[derive(Debug, Serialize)]
pub(super) struct StatusAnswer {
    #[serde(flatten)]
    pub status: OperationWire,
    #[serde(flatten)]
    pub publication: Option<Publication>,
}

/// The publication that *offer status* is about.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Publication {
    pub publishing_version: u64,
    pub offer_version: u64,
    pub cancellation_request_state: String,
    pub notification_emails: Option<String>,
}

/// Fields of an offer that the reference doesn't have.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UndocumentedFields {
    lock_status: &'static str,
    isv_upgrade_request: bool,
    pc_redirect_uri: Option<String>,
    offer_type_versions_override: Option<String>,
    offer_type_changes: Option<String>,
    pricing_not_recalculated_regions: [&'static str; 0],
}

impl Default for UndocumentedFields {
    fn default() -> Self {
        Self {
            lock_status: "none",
            isv_upgrade_request: false,
            pc_redirect_uri: None,
            offer_type_versions_override: None,
            offer_type_changes: None,
            pricing_not_recalculated_regions: [],
        }
    }
}
