//! golive: a declarative GitOps reconciler for Azure Marketplace offers.
//!
//! The map, from the bottom up. A module uses only what stands above it in this list.
//!
//! | module | what it is |
//! |---|---|
//! | [`clock`] | the one place that reads the time |
//! | [`backoff`] | how long to wait before something is tried again |
//! | [`net`] | which addresses are this machine's own |
//! | `http_server` | serves HTTP/1 on a listener until shutdown |
//! | [`disk`] | the one place that replaces files, whole, flushed, or not at all, and that locks them |
//! | [`marketplace`] | what the marketplace is to golive, and what a backend must answer |
//! | [`manifest`] | what people commit: read, checked, explained |
//! | [`status`] | what golive last knew: the status file and its lock |
//! | [`changes`] | pure: manifests, status and observations in, a change set out |
//! | [`operation`] | pure: the trigger protocol and the following of operations, a step at a time |
//! | [`report`] | events in; text, JSON and progress out |
//! | [`engine`] | observe, plan, execute |
//! | [`watch`] | the service: follows manifests and operations, all the time |
//! | [`serve`] | the service's page, metrics and health, read-only |
//! | [`backends`] | the APIs behind `marketplace`: the Cloud Partner Portal's and Product Ingestion |
//! | [`emulator`] | an embedded marketplace that speaks both APIs |
//! | [`cli`] | the command line, as types |
//! | [`config`] | `golive.yaml`: read, checked, explained |
//! | [`commands`] | one file a subcommand: wiring |

pub mod backends;
pub mod backoff;
pub mod changes;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod disk;
pub mod emulator;
pub mod engine;
mod http_server;
pub mod manifest;
pub mod marketplace;
pub mod net;
pub mod operation;
pub mod report;
pub mod serve;
pub mod status;
pub mod watch;
