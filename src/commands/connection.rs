//! The connections to the marketplaces that the command line and the configuration name: one for
//! each API, endpoint and credential.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::CommandError;
use super::context::{Workspace, variable};
use super::routing::{Credential, Target};
use crate::backends::Router;
use crate::backends::http::{
    AnonymousToken, ClientParts, Endpoint, EnvToken, FileToken, HttpTransport, InProcessTransport,
    Permits, Settings, TokenSource, Transport,
};
use crate::backends::ingestion::IngestionClient;
use crate::backends::portal::PortalClient;
use crate::cli::Access;
use crate::disk::RealDisk;
use crate::emulator::{self, Emulator, Seed, SeedError, StoredSeed};
use crate::marketplace::{Api, Backend};

pub(super) struct Connection {
    /// One for each target of the routing, in its order.
    links: Vec<Link>,
    /// The emulator, with `--emulator`.
    pub(super) emulator: Option<Emulator>,
}

/// How requests reach a target, and with which tokens.
struct Link {
    transport: Arc<dyn Transport>,
    tokens: Arc<dyn TokenSource>,
}

/// How the emulator uses its state file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Memory {
    /// Reads it and writes nothing.
    ReadOnly,
    /// Keeps it up to date.
    Kept,
}

impl Connection {
    /// The same with each transport wrapped.
    pub(super) fn map_transports(
        self,
        wrap: impl Fn(Arc<dyn Transport>) -> Arc<dyn Transport>,
    ) -> Self {
        let links = self.links.into_iter();
        let links = links.map(|it| Link { transport: wrap(it.transport), ..it }).collect();
        Self { links, ..self }
    }
}

impl Workspace {
    /// Connects to the marketplaces.
    pub(super) fn connect(
        &self,
        access: &Access,
        memory: Memory,
    ) -> Result<Connection, CommandError> {
        if access.emulator { self.emulated(access, memory) } else { self.real() }
    }

    /// A client that uses a connection; with more than one target, one that routes each publisher's
    /// calls to its own.
    pub(super) fn client(
        &self,
        access: &Access,
        connection: Connection,
        max_wait: Duration,
    ) -> Arc<dyn Backend> {
        let settings = Settings {
            request_timeout: access.timeout,
            concurrency: NonZeroUsize::new(access.concurrency).unwrap_or(NonZeroUsize::MIN),
            max_wait,
            ..Settings::default()
        };
        // `--concurrency` is about all requests, whatever their target.
        let permits = Permits::new(settings.concurrency);
        let targets = self.routing.targets.iter().zip(connection.links);
        let clients: Vec<Arc<dyn Backend>> = targets
            .map(|(target, link)| self.client_of(target, link, settings, &permits))
            .collect();
        self.routed(&clients)
    }

    fn routed(&self, clients: &[Arc<dyn Backend>]) -> Arc<dyn Backend> {
        if let [only] = clients {
            return Arc::clone(only);
        }
        let client = |number: usize| Arc::clone(&clients[number]);
        let known = self.routing.by_publisher.iter();
        let routes = known.map(|(publisher, number)| (publisher.clone(), client(*number)));
        Arc::new(Router::new(routes, client(self.routing.others)))
    }

    fn client_of(
        &self,
        target: &Target,
        link: Link,
        settings: Settings,
        permits: &Permits,
    ) -> Arc<dyn Backend> {
        let parts = ClientParts {
            endpoint: target.endpoint.clone(),
            transport: link.transport,
            tokens: link.tokens,
            clock: Arc::clone(&self.clock),
            settings,
            rng: fastrand::Rng::new(),
            permits: Some(permits.clone()),
        };
        match target.api {
            Api::CloudPartnerPortal => Arc::new(PortalClient::new(parts)),
            Api::ProductIngestion => Arc::new(IngestionClient::new(parts)),
        }
    }

    /// The embedded marketplace serves every API on one router. No target has a secret there.
    fn emulated(&self, access: &Access, memory: Memory) -> Result<Connection, CommandError> {
        let given = access.seed.as_deref();
        let seed = given.map(|path| read_seed(path, StoredSeed::parse)).transpose()?;
        let path = self.status_path.with_extension("emulator.json");
        let clock = Arc::clone(&self.clock);
        let emulator = match memory {
            Memory::ReadOnly => Emulator::recalled(seed, clock, &RealDisk, &path),
            Memory::Kept => Emulator::remembered(seed, clock, Arc::new(RealDisk), path),
        };
        let emulator = emulator.map_err(CommandError::failed)?;
        let transport: Arc<dyn Transport> = Arc::new(InProcessTransport::new(emulator.router()));
        let link = |_: &Target| Link {
            transport: Arc::clone(&transport),
            tokens: Arc::new(AnonymousToken),
        };
        let links = self.routing.targets.iter().map(link).collect();
        Ok(Connection { links, emulator: Some(emulator) })
    }

    fn real(&self) -> Result<Connection, CommandError> {
        // One connection pool for each origin.
        let mut transports: Vec<(&Endpoint, Arc<dyn Transport>)> = Vec::new();
        let mut links = Vec::new();
        for target in &self.routing.targets {
            let known = transports.iter().find(|(endpoint, _)| **endpoint == target.endpoint);
            let transport = if let Some((_, transport)) = known {
                Arc::clone(transport)
            } else {
                let transport = HttpTransport::new(&target.endpoint)
                    .map_err(|error| CommandError::because("cannot set up HTTP", error))?;
                let transport: Arc<dyn Transport> = Arc::new(transport);
                transports.push((&target.endpoint, Arc::clone(&transport)));
                transport
            };
            links.push(Link { transport, tokens: tokens(target)? });
        }
        Ok(Connection { links, emulator: None })
    }
}

/// The source of a target's token: a variable, or a file that somebody renews.
fn tokens(target: &Target) -> Result<Arc<dyn TokenSource>, CommandError> {
    match &target.credential {
        Credential::Ambiguous => {
            let what = "GOLIVE_TOKEN and GOLIVE_TOKEN_FILE are both set; unset one of them";
            Err(CommandError::Usage(what.to_owned()))
        }
        Credential::File { path, whose } => {
            Ok(Arc::new(FileToken::of(target.purpose(whose), path.clone())))
        }
        Credential::Variable(name) => {
            let token = variable(name);
            // Invalid UTF-8 becomes U+FFFD, which no token has, and which the error names.
            let token = token.as_ref().map(|token| token.to_string_lossy());
            let source = EnvToken::of(target.purpose(name), token.as_deref());
            Ok(Arc::new(source.map_err(CommandError::failed)?))
        }
    }
}

/// The emulator's initial state.
pub(super) fn seed(path: Option<&Path>) -> Result<Seed, CommandError> {
    path.map_or_else(|| Ok(Seed::default()), |path| read_seed(path, emulator::parse))
}

fn read_seed<T>(
    path: &Path,
    parse: impl FnOnce(&str) -> Result<T, SeedError>,
) -> Result<T, CommandError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        CommandError::because(format!("cannot read the seed {}", path.display()), error)
    })?;
    parse(&text)
        .map_err(|error| CommandError::because(format!("{}: {error}", path.display()), error))
}
