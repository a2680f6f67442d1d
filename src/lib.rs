//! golive: a declarative GitOps reconciler for Azure Marketplace offers.
//!
//! The map, from the bottom up. A module uses only what stands above it in this list.
//!
//! | module | what it is |
//! |---|---|
//! | [`clock`] | the one place that reads the time |
//! | [`disk`] | the one place that replaces files, whole, flushed, or not at all, and that locks them |
//! | [`marketplace`] | what the marketplace is to golive, and the Cloud Partner Portal behind it |
//! | [`manifest`] | what people commit: read, checked, explained |
//! | [`status`] | what golive last knew: the status file and its lock |
//! | [`changes`] | pure: manifests, status and observations in, a change set out |
//! | [`operation`] | pure: the trigger protocol and the following of operations, a step at a time |
//! | [`report`] | events in; text, JSON and progress out |
//! | [`reconcile`] | observe, plan, execute |
//! | [`watch`] | the service: follows manifests and operations, all the time |
//! | [`serve`] | the service's page, metrics and health, read-only |
//! | [`emulator`] | an embedded marketplace; knows only the wire types |
//! | [`cli`] | the command line, as types |
//! | [`commands`] | one file a subcommand: wiring |

pub mod changes;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod disk;
pub mod emulator;
pub mod manifest;
pub mod marketplace;
pub mod operation;
pub mod reconcile;
pub mod report;
pub mod serve;
pub mod status;
pub mod watch;
