//! The status file, golive's last knowledge of each offer, and the lock that gives it to one process.

mod fresh;
mod load;
mod lock;
mod marketplace;
mod phase;
mod record;
mod request;
mod schema;
mod steps;
mod store;
mod text;
mod upgrade;

pub use load::{Elsewhere, StoreError, parse, read, refuse_unfit};
pub(crate) use lock::lock_path;
pub use lock::{LockError, StatusLock};
pub use marketplace::MarketplaceRecord;
pub(crate) use marketplace::publishers;
pub use phase::{Phase, Reason};
#[cfg(test)]
pub(crate) use record::tests::record;
pub use record::{
    ErrorRecord, ManifestRecord, ObservationRecord, OfferRecord, RefusedRecord, SCHEMA_VERSION,
    SourceRecord, StatusFile,
};
pub use request::{Intent, OperationRecord};
pub use schema::status_schema;
pub use steps::{place, stopped_step};
pub use store::{Edited, StatusStore};
pub use text::to_bytes;
