//! The client against scripted servers: in process with paused time, and on sockets of this
//! machine in real time.

mod bodies;
mod inspect;
mod logs;
mod pages;
mod pauses;
mod posts;
mod reads;
mod sockets;
mod spelling;
mod tokens;
mod turns;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use http::{Method, Response};
use tokio::time::Instant;

use super::*;
use crate::backends::http::{
    AnonymousToken, ClientParts, Endpoint, EnvToken, FileToken, HttpTransport, InProcessTransport,
    RetryPolicy, Settings, TokenSource, Transport, TransportError,
};
use crate::backends::scripted_server::{
    NumberedTokens, ReceivedRequest, ScriptedServer, TOKEN, answer, client_parts, contoso, dropped,
    is_lost, start, vm, with,
};
use crate::marketplace::{
    Backend as _, Fence, Launch, MarketplaceError, OfferId, OperationKind, Refusal, Release,
    RequestId,
};

/// Clients of a scripted server.
trait Clients {
    fn client(&self) -> PortalClient;
    fn client_with(&self, settings: Settings, tokens: Arc<dyn TokenSource>) -> PortalClient;
}

impl Clients for ScriptedServer {
    fn client(&self) -> PortalClient {
        self.client_with(Settings::default(), Arc::new(EnvToken::new(Some(TOKEN)).unwrap()))
    }

    fn client_with(&self, settings: Settings, tokens: Arc<dyn TokenSource>) -> PortalClient {
        client(Endpoint::DEFAULT, self.transport(), tokens, settings)
    }
}

fn client(
    endpoint: &str,
    transport: Arc<dyn Transport>,
    tokens: Arc<dyn TokenSource>,
    settings: Settings,
) -> PortalClient {
    PortalClient::new(ClientParts { settings, ..client_parts(endpoint, transport, tokens) })
}

fn golive() -> Launch {
    Launch {
        kind: OperationKind::GoLive,
        release: Release::from(7),
        fence: Some(Fence("\"7\"".to_owned())),
        request_id: RequestId::from_random([7; 16]),
        notify: Vec::new(),
    }
}

fn refusal(error: &MarketplaceError) -> &Refusal {
    match error {
        MarketplaceError::Refused(refusal) => refusal,
        other @ (MarketplaceError::NotSent { .. }
        | MarketplaceError::Lost { .. }
        | MarketplaceError::Token(_)
        | MarketplaceError::ForeignOperationUrl(_)) => panic!("{other}"),
    }
}

/// The HTTP status of a refusal.
trait Status {
    fn status(&self) -> Option<u16>;
}

impl Status for MarketplaceError {
    fn status(&self) -> Option<u16> {
        self.kind()?;
        refusal(self).answer.split(' ').next()?.parse().ok()
    }
}
