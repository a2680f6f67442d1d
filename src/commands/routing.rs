//! Which API, endpoint and credential each publisher has: what `golive.yaml` says of it, else what
//! the command line and the variables say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::CommandError;
use super::context::variable;
use crate::backends::http::{Endpoint, TokenPurpose};
use crate::backends::{ingestion, portal};
use crate::changes::ChangeSet;
use crate::cli::Access;
use crate::config::{Config, CredentialConfig, PublisherConfig};
use crate::manifest::{Accounts, Loaded};
use crate::marketplace::{Api, OfferId, PublisherId};
use crate::report::{Note, marketplace_name};
use crate::status::MarketplaceRecord;

/// The emulator's endpoint, for the transport that stays in this process.
const EMULATOR_ENDPOINT: &str = "http://localhost/";

/// Where a token comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Credential {
    /// The variable with this name.
    Variable(String),
    /// This file, which `whose` names.
    File { path: PathBuf, whose: &'static str },
    /// Two variables that exclude each other are set.
    Ambiguous,
}

/// One account at one place: everything that has its own client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) api: Api,
    pub(super) endpoint: Endpoint,
    pub(super) credential: Credential,
}

/// The targets of all publishers.
#[derive(Clone, Debug)]
pub(super) struct Routing {
    /// Each one once.
    pub(super) targets: Vec<Target>,
    /// The number of each configured publisher's target.
    pub(super) by_publisher: BTreeMap<PublisherId, usize>,
    /// The number of all other publishers' target.
    pub(super) others: usize,
    is_emulator: bool,
}

/// What the command line and the variables say of all publishers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Given<'a> {
    api: Option<Api>,
    endpoint: Option<&'a str>,
    is_emulator: bool,
}

impl<'a> From<&'a Access> for Given<'a> {
    fn from(access: &'a Access) -> Self {
        let (api, endpoint) = (access.api, access.endpoint.as_deref());
        Self { api, endpoint, is_emulator: access.emulator }
    }
}

impl Given<'_> {
    fn endpoint(&self, api: Api, own: Option<&str>) -> Result<Endpoint, CommandError> {
        if self.is_emulator {
            return EMULATOR_ENDPOINT.parse().map_err(CommandError::failed);
        }
        let default = match api {
            Api::CloudPartnerPortal => Endpoint::DEFAULT,
            Api::ProductIngestion => ingestion::DEFAULT_ENDPOINT,
        };
        let text = own.or(self.endpoint).unwrap_or(default);
        // The text is not shown: it may hold credentials, which is one of the errors.
        text.parse().map_err(|error| CommandError::Usage(format!("--endpoint: {error}")))
    }
}

impl Routing {
    pub(super) fn new(given: Given<'_>, config: &Config) -> Result<Self, CommandError> {
        let api = given.api.or(config.api).unwrap_or_default();
        let endpoint = given.endpoint(api, None)?;
        let credential = default_credential();
        let mut routing = Self {
            targets: vec![Target { api, endpoint, credential: credential.clone() }],
            by_publisher: BTreeMap::new(),
            others: 0,
            is_emulator: given.is_emulator,
        };
        for (publisher, own) in &config.publishers {
            let PublisherConfig { api: own_api, endpoint, credential: own_credential } = own;
            let api = own_api.unwrap_or(api);
            let endpoint = given.endpoint(api, endpoint.as_deref())?;
            let credential = match own_credential {
                Some(own) => configured_credential(own, config),
                None => credential.clone(),
            };
            let number = routing.number(Target { api, endpoint, credential });
            routing.by_publisher.insert(publisher.clone(), number);
        }
        Ok(routing)
    }

    /// The number of a target, which is added if it is new.
    fn number(&mut self, target: Target) -> usize {
        let known = self.targets.iter().position(|it| *it == target);
        known.unwrap_or_else(|| {
            self.targets.push(target);
            self.targets.len() - 1
        })
    }

    fn target(&self, publisher: &PublisherId) -> Option<&Target> {
        self.targets.get(self.by_publisher.get(publisher).copied().unwrap_or(self.others))
    }

    fn api(&self, publisher: &PublisherId) -> Api {
        self.target(publisher).map(|target| target.api).unwrap_or_default()
    }

    /// The marketplace of each of these publishers, as status files record it.
    pub(super) fn marketplaces<'a>(
        &self,
        publishers: impl IntoIterator<Item = &'a PublisherId>,
    ) -> BTreeMap<PublisherId, MarketplaceRecord> {
        let record = |publisher: &PublisherId| Some(self.record(self.target(publisher)?));
        let known = publishers.into_iter();
        known.filter_map(|it| Some((it.clone(), record(it)?))).collect()
    }

    fn record(&self, target: &Target) -> MarketplaceRecord {
        let Target { api, endpoint, .. } = target;
        if self.is_emulator {
            return MarketplaceRecord::emulator(api.as_str());
        }
        MarketplaceRecord { api: api.to_string(), origin: endpoint.origin() }
    }

    /// The names of the marketplaces of these publishers, for programs; without any publisher, that
    /// of those which the configuration says nothing about.
    pub(super) fn name<'a>(&self, publishers: impl IntoIterator<Item = &'a PublisherId>) -> String {
        let known = publishers.into_iter().filter_map(|it| self.target(it));
        let mut names: BTreeSet<_> = known.map(|it| marketplace_name(&self.record(it))).collect();
        if names.is_empty() {
            let others = self.targets.get(self.others);
            names.extend(others.map(|it| marketplace_name(&self.record(it))));
        }
        names.into_iter().collect::<Vec<_>>().join(", ")
    }

    /// The names of the variables that hold tokens.
    pub(super) fn secret_variables(&self) -> Vec<String> {
        let names = self.targets.iter().filter_map(|target| match &target.credential {
            Credential::Variable(name) => Some(name.clone()),
            Credential::File { .. } | Credential::Ambiguous => None,
        });
        names.collect()
    }

    /// Which publishers' offers are found by their names alone.
    pub(super) fn accounts(&self) -> Accounts {
        let account = |number: usize| {
            let target = self.targets.get(number)?;
            (!target.api.names_publishers()).then_some(number)
        };
        let known = self.by_publisher.iter();
        let by_publisher = known.map(|(it, number)| (it.clone(), account(*number))).collect();
        Accounts::new(by_publisher, account(self.others))
    }

    /// What a reviewer should know of the publishers in a change set.
    pub(super) fn notes(
        &self,
        set: &ChangeSet,
        desired: &BTreeMap<OfferId, Arc<Loaded>>,
    ) -> Vec<Note> {
        // How many manifests of a publisher have addresses.
        let mut unnamed = BTreeMap::<&PublisherId, usize>::new();
        for change in &set.changes {
            let publisher = change.offer.publisher();
            if !self.api(publisher).names_publishers() {
                let count = unnamed.entry(publisher).or_default();
                let loaded = desired.get(&change.offer);
                *count += usize::from(loaded.is_some_and(|it| !it.manifest.notify.is_empty()));
            }
        }
        let mut notes = Vec::new();
        for (publisher, notifying) in unnamed {
            let note = |message: String| Note { publisher: publisher.clone(), message };
            notes.push(note(ingestion::PUBLISHER_NOT_CHECKED.to_owned()));
            if notifying > 0 {
                let manifests = if notifying == 1 { "manifest" } else { "manifests" };
                let unused = ingestion::NOTIFY_UNUSED;
                notes
                    .push(note(format!("notify of {notifying} {manifests} is not used: {unused}")));
            }
        }
        notes
    }
}

impl Target {
    /// What its token is for, as messages about it say it.
    pub(super) fn purpose(&self, name: &str) -> TokenPurpose {
        let resource = match self.api {
            Api::CloudPartnerPortal => portal::TOKEN_RESOURCE,
            Api::ProductIngestion => ingestion::TOKEN_RESOURCE,
        };
        TokenPurpose::new(name, resource)
    }
}

/// The credential of publishers that have none of their own.
fn default_credential() -> Credential {
    match (variable("GOLIVE_TOKEN"), variable("GOLIVE_TOKEN_FILE")) {
        (Some(_), Some(_)) => Credential::Ambiguous,
        (None, Some(path)) => {
            let path = PathBuf::from(path);
            Credential::File { path, whose: "GOLIVE_TOKEN_FILE" }
        }
        (Some(_) | None, None) => Credential::Variable("GOLIVE_TOKEN".to_owned()),
    }
}

fn configured_credential(own: &CredentialConfig, config: &Config) -> Credential {
    match own {
        CredentialConfig::TokenVariable(name) => Credential::Variable(name.clone()),
        CredentialConfig::TokenFile(path) => {
            Credential::File { path: config.path(path), whose: "golive.yaml" }
        }
    }
}
