//! The life of an offer: a pure state machine. Time is an argument; nothing is random. It knows no
//! API: no HTTP and no JSON but that of an offer's definition.

pub(crate) mod behaviour;
pub(crate) mod ground_truth;
pub(crate) mod history;
pub(crate) mod job;
pub(crate) mod manual;
pub(crate) mod numbers;
pub(crate) mod offer;
pub(crate) mod operation;
pub(crate) mod stage;
pub(crate) mod start;
pub(crate) mod submission;

pub(crate) use behaviour::{Behaviour, Moment};
pub(crate) use offer::Offer;
pub(crate) use operation::Operation;
