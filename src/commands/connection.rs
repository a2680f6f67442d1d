//! The connection to the marketplace that the command line names.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::CommandError;
use super::context::{Workspace, variable};
use crate::backends::http::{
    AnonymousToken, Endpoint, EnvToken, FileToken, HttpTransport, InProcessTransport, TokenSource,
    Transport,
};
use crate::backends::portal::PortalClient;
use crate::cli::Access;
use crate::disk::RealDisk;
use crate::emulator::{self, Emulator, Seed, SeedError, StoredSeed};
use crate::marketplace::Backend;
use crate::status::MarketplaceRecord;

/// The name of golive's API in status files.
const API: &str = "cloud-partner-portal";

/// The emulator's endpoint, for the transport that stays in this process.
const EMULATOR_ENDPOINT: &str = "http://localhost/";

pub(super) struct Connection {
    endpoint: Endpoint,
    pub(super) transport: Arc<dyn Transport>,
    tokens: Arc<dyn TokenSource>,
    /// The emulator, with `--emulator`.
    pub(super) emulator: Option<Emulator>,
}

/// How the emulator uses its state file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Memory {
    /// Reads it and writes nothing.
    ReadOnly,
    /// Keeps it up to date.
    Kept,
}

impl Workspace {
    /// The marketplace that the command line names, as status files record it.
    pub(super) fn marketplace(access: &Access) -> Result<MarketplaceRecord, CommandError> {
        if access.emulator {
            return Ok(MarketplaceRecord::emulator(API));
        }
        Ok(MarketplaceRecord { api: API.to_owned(), origin: endpoint(access)?.origin() })
    }

    /// Connects to the marketplace that the command line names.
    pub(super) fn connect(
        &self,
        access: &Access,
        memory: Memory,
    ) -> Result<Connection, CommandError> {
        if access.emulator { self.emulated(access, memory) } else { real(access) }
    }

    /// A client that uses a connection.
    pub(super) fn client(
        &self,
        access: &Access,
        connection: Connection,
        max_wait: Duration,
    ) -> Arc<dyn Backend> {
        let settings = crate::backends::http::Settings {
            request_timeout: access.timeout,
            concurrency: NonZeroUsize::new(access.concurrency).unwrap_or(NonZeroUsize::MIN),
            max_wait,
            ..crate::backends::http::Settings::default()
        };
        let (clock, random) = (Arc::clone(&self.clock), fastrand::Rng::new());
        let Connection { endpoint, transport, tokens, emulator: _ } = connection;
        Arc::new(PortalClient::new(endpoint, transport, tokens, clock, settings, random))
    }

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
        Ok(Connection {
            endpoint: EMULATOR_ENDPOINT.parse().map_err(CommandError::failed)?,
            transport: Arc::new(InProcessTransport::new(emulator.router())),
            tokens: Arc::new(AnonymousToken),
            emulator: Some(emulator),
        })
    }
}

fn endpoint(access: &Access) -> Result<Endpoint, CommandError> {
    let text = access.endpoint.as_deref().unwrap_or(Endpoint::DEFAULT);
    // The text is not shown: it may hold credentials, which is one of the errors.
    text.parse().map_err(|error| CommandError::Usage(format!("--endpoint: {error}")))
}

fn real(access: &Access) -> Result<Connection, CommandError> {
    let endpoint = endpoint(access)?;
    let tokens = tokens()?;
    let transport = HttpTransport::new(&endpoint)
        .map_err(|error| CommandError::because("cannot set up HTTP", error))?;
    Ok(Connection { endpoint, transport: Arc::new(transport), tokens, emulator: None })
}

/// The source of the token: a variable, or a file that somebody renews.
fn tokens() -> Result<Arc<dyn TokenSource>, CommandError> {
    match (variable("GOLIVE_TOKEN"), variable("GOLIVE_TOKEN_FILE")) {
        (Some(_), Some(_)) => {
            let what = "GOLIVE_TOKEN and GOLIVE_TOKEN_FILE are both set; unset one of them";
            Err(CommandError::Usage(what.to_owned()))
        }
        (None, Some(path)) => Ok(Arc::new(FileToken::new(path.into()))),
        (token, None) => {
            // Invalid UTF-8 becomes U+FFFD, which no token has, and which the error names.
            let token = token.as_ref().map(|token| token.to_string_lossy());
            Ok(Arc::new(EnvToken::new(token.as_deref()).map_err(CommandError::failed)?))
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
