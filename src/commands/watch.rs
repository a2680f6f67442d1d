//! `golive watch`

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Memory};
use super::context::{CommandContext, Threads, Workspace, emulated_offers, run_to_end};
use super::routing::Routing;
use super::signal::{self, Signals};
use super::{CommandError, OK, output};
use crate::backends::http::Measured;
use crate::cli::Watch;
use crate::config::Config;
use crate::engine::{Dependencies, Reconciler, Settings};
use crate::manifest;
use crate::report::{LogReporter, Reporter, Reporters};
use crate::serve::{self, Metrics, Serving};
use crate::status::{StatusFile, StatusStore, publishers};
use crate::watch::{
    Daemon, FolderSource, GitSettings, GitSource, Heartbeat, Manifests, OnManifests, Parts,
    ServiceState, Source, systemd,
};

/// How often a repository is asked for new commits.
const GIT_POLL: Duration = Duration::from_mins(1);

pub(super) fn run(args: &Watch, config: &Config, signals: &Signals) -> Result<u8, CommandError> {
    let is_about_git = args.branch.is_some() || args.dir.is_some() || args.git_poll.is_some();
    if args.git.is_none() && is_about_git {
        let what =
            "--branch, --dir and --git-poll say how a repository is followed; give --git too";
        return Err(CommandError::Usage(what.to_owned()));
    }
    refuse_pipes(&args.paths)?;
    let paths = if args.git.is_some() { &[][..] } else { &args.paths };
    let workspace = Workspace::new(paths, &args.access, config)?;
    output::log_lines(&args.logging, &workspace.clock);
    output::log_emulator_notice(&args.access);
    run_to_end(Threads::All, watch(args, &workspace, signals))?;
    Ok(OK)
}

/// A pipe can be read only once, so it can't change.
fn refuse_pipes(paths: &[PathBuf]) -> Result<(), CommandError> {
    let Some(path) = paths.iter().find(|path| manifest::is_pipe(path)) else { return Ok(()) };
    Err(CommandError::Usage(format!(
        "{} can't be watched: it is a pipe; name files and folders, or use golive apply",
        path.display()
    )))
}

async fn watch(args: &Watch, workspace: &Workspace, signals: &Signals) -> Result<(), CommandError> {
    // First, because SIGHUP ends a process that doesn't handle it.
    let hangups = signal::hangups()?;
    let lock = workspace.lock(args.timing.lock_timeout, "golive watch").await?;
    let store = Arc::new(workspace.store(lock)?);
    let routing = &workspace.routing;
    // A service follows the operations of all offers in the file, declared by a manifest or not.
    let recorded = store.with(StatusFile::publishers);
    store.claim(&routing.marketplaces(&recorded)).map_err(CommandError::failed)?;
    let stop = signals.stop_in_order();
    let (service_state, pings) = ServiceState::new();
    let metrics = Arc::new(Metrics::default());
    let opened = tokio::select! {
        biased;
        // Cloning a repository may take long.
        () = stop.cancelled() => return Ok(()),
        opened = source(args, workspace, &service_state) => opened,
    };
    let ManifestSource { source, roots, checkout } = opened?;
    let connection = workspace.connect(&args.access, Memory::Kept)?;
    let marketplace_name = routing.name(routing.by_publisher.keys().chain(&recorded));
    let on_manifests = on_manifests(&connection, &store, routing.clone(), stop.clone());
    let mut reconciler =
        reconciler(args, workspace, connection, &store, (&service_state, &metrics), stop.clone());
    if let Some(checkout) = checkout {
        reconciler = reconciler.in_checkout(checkout);
    }
    let page = match args.listen {
        None => None,
        Some(address) => {
            let serving = Serving {
                service_state: Arc::clone(&service_state),
                store: Arc::clone(&store),
                metrics,
                clock: Arc::clone(&workspace.clock),
                marketplace: marketplace_name,
                hosts: args.allow_host.clone(),
            };
            Some(serve_page(address, serving, stop.clone()).await?)
        }
    };
    let manifests = Manifests::new(roots).with_accounts(routing.accounts());
    // A commit without manifests is meant that way.
    let manifests = if args.git.is_some() { manifests.allow_empty() } else { manifests };
    let started_at = workspace.clock.now();
    service_state.update(|service| service.started_at = Some(started_at));
    let daemon = Daemon::new(Parts {
        reconciler: Arc::new(reconciler),
        store,
        clock: Arc::clone(&workspace.clock),
        random: fastrand::Rng::new(),
        service_state: Arc::clone(&service_state),
        pings,
        source,
        manifests,
        hangups,
        stop: stop.clone(),
        on_manifests,
        heartbeat: systemd::watchdog_interval()
            .map(|every| Heartbeat { every, beat: Box::new(systemd::alive) }),
        resync: args.resync,
    });
    let notifier = tokio::spawn(notify_systemd(service_state, stop.clone()));
    let result = daemon.run().await;
    stop.cancel();
    if let Some(page) = page {
        // Ends within a second, whatever its clients do.
        drop(page.await);
    }
    drop(notifier.await);
    result.map_err(CommandError::failed)
}

/// Notifies systemd when the service is ready, and when it stops.
async fn notify_systemd(service_state: Arc<ServiceState>, stop: CancellationToken) {
    let mut updates = service_state.subscribe();
    while !service_state.service().ready {
        tokio::select! {
            () = stop.cancelled() => break,
            // Whatever changed, the loop reads the state again.
            _ = updates.recv() => {}
        }
    }
    if !stop.is_cancelled() {
        systemd::ready();
        stop.cancelled().await;
    }
    systemd::stopping();
}

struct ManifestSource {
    source: Box<dyn Source>,
    /// The folders to read.
    roots: Vec<PathBuf>,
    /// golive's checkout of the repository.
    checkout: Option<PathBuf>,
}

async fn source(
    args: &Watch,
    workspace: &Workspace,
    service_state: &Arc<ServiceState>,
) -> Result<ManifestSource, CommandError> {
    let status_path = &workspace.status_path;
    let Some(url) = &args.git else {
        return folder_source(args, status_path, service_state);
    };
    let settings = GitSettings {
        url: url.clone(),
        branch: args.branch.clone(),
        dir: args.dir.clone().unwrap_or_default(),
        folder: status_path.with_extension("git"),
        poll: args.git_poll.unwrap_or(GIT_POLL),
        secrets: workspace.routing.secret_variables(),
    };
    let source = GitSource::open(settings, Arc::clone(service_state), fastrand::Rng::new());
    let source = source.await.map_err(|error| {
        if error.is_usage() {
            CommandError::Usage(error.to_string())
        } else {
            CommandError::failed(error)
        }
    })?;
    let (roots, place) = (source.roots(), source.place());
    tracing::info!(status = %status_path.display(), "following {place}");
    let checkout = Some(source.checkout());
    service_state.update(|service| (service.place, service.checkout) = (place, checkout.clone()));
    Ok(ManifestSource { source: Box::new(source), roots, checkout })
}

fn folder_source(
    args: &Watch,
    status_path: &Path,
    service_state: &Arc<ServiceState>,
) -> Result<ManifestSource, CommandError> {
    if let Some(path) = args.paths.iter().find(|path| !path.exists()) {
        let path = path.display();
        let what = format!("there is no {path}; name folders and files that hold manifests");
        return Err(CommandError::Failed { what, source: None });
    }
    let names: Vec<_> = args.paths.iter().map(|path| path.display().to_string()).collect();
    let place = names.join(", ");
    tracing::info!(status = %status_path.display(), "watching {place}");
    service_state.update(|service| service.place = place);
    let roots = args.paths.clone();
    let source = FolderSource::new(&roots, status_path, args.debounce, Arc::clone(service_state));
    Ok(ManifestSource { source: Box::new(source), roots, checkout: None })
}

/// Prepares for new manifests before their offers are checked: adds the offers to the emulator, and
/// their publishers to the status file.
fn on_manifests(
    connection: &Connection,
    store: &Arc<StatusStore>,
    routing: Routing,
    stop: CancellationToken,
) -> Box<OnManifests> {
    let (emulator, store) = (connection.emulator.clone(), Arc::clone(store));
    Box::new(move |desired| {
        // Everything in the file was claimed at the start, so this can't be refused. If it is all
        // the same, nothing may be sent.
        if let Err(error) = store.claim(&routing.marketplaces(&publishers(desired.keys()))) {
            tracing::error!("{error}");
            stop.cancel();
        }
        if let Some(emulator) = &emulator {
            emulator.add_missing(emulated_offers(desired));
        }
    })
}

fn reconciler(
    args: &Watch,
    workspace: &Workspace,
    connection: Connection,
    store: &Arc<StatusStore>,
    (service_state, metrics): (&Arc<ServiceState>, &Arc<Metrics>),
    stop: CancellationToken,
) -> Reconciler {
    let access = &args.access;
    let counters = Arc::clone(metrics);
    let connection = connection.map_transports(|transport| {
        let counters = Arc::clone(&counters);
        let count = move |call, status, took| counters.requested(call, status, took);
        Arc::new(Measured::new(transport, count))
    });
    let reporters: Vec<Arc<dyn Reporter>> = vec![
        Arc::new(LogReporter::default()),
        Arc::clone(service_state) as _,
        Arc::clone(metrics) as _,
    ];
    // Reads wait as long as the marketplace asks: a service has no end that they could delay.
    let marketplace = workspace.client(access, connection, Duration::MAX);
    let dependencies = Dependencies {
        marketplace,
        store: Arc::clone(store),
        clock: Arc::clone(&workspace.clock),
        reporter: Arc::new(Reporters(reporters)),
        stop,
    };
    let intervals = CommandContext::intervals(access, &args.timing);
    // No pause in the protocol: an offer that was put off is checked again, with its manifest then.
    let (concurrency, settle, pause) = (access.concurrency, access.settle, Duration::ZERO);
    let settings = Settings { concurrency, intervals, pause, settle };
    Reconciler::new(dependencies, settings)
}

/// Listens now, so that an unusable address is an error at once; serves until `stop`.
async fn serve_page(
    address: SocketAddr,
    serving: Serving,
    stop: CancellationToken,
) -> Result<tokio::task::JoinHandle<()>, CommandError> {
    let cannot = |error| CommandError::because(format!("cannot listen on {address}"), error);
    let listener = TcpListener::bind(address).await.map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    tracing::info!(%address, "the page is at http://{address}/");
    Ok(tokio::spawn(async move {
        let stopped = async move { stop.cancelled().await };
        if let Err(error) = serve::serve(serving, listener, stopped).await {
            tracing::error!(error = &error as &dyn std::error::Error, "the page has stopped");
        }
    }))
}
