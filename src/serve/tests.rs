//! The site as a whole, in process.

pub(super) mod invented;
