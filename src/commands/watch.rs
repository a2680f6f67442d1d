//! `golive watch`

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Memory};
use super::context::{CommandContext, Threads, Workspace, named, run_to_end};
use super::signal::{self, Signals};
use super::{CommandError, OK, output};
use crate::backends::http::Measured;
use crate::cli::Watch;
use crate::engine::{Dependencies, Reconciler, Settings};
use crate::manifest;
use crate::report::{All, LogReporter, Reporter};
use crate::serve::{self, Metrics, Serving};
use crate::status::{MarketplaceRecord, StatusFile, StatusStore, publishers};
use crate::watch::{
    Daemon, FolderSource, GitSettings, GitSource, Heartbeat, Manifests, OnManifests, Parts,
    ServiceState, Source, systemd,
};

/// How often a repository is asked for new commits.
const GIT_POLL: Duration = Duration::from_mins(1);

pub(super) fn run(args: &Watch, signals: &Signals) -> Result<u8, CommandError> {
    let is_about_git = args.branch.is_some() || args.dir.is_some() || args.git_poll.is_some();
    if args.git.is_none() && is_about_git {
        let what =
            "--branch, --dir and --git-poll say how a repository is followed; give --git too";
        return Err(CommandError::Usage(what.to_owned()));
    }
    refuse_pipes(&args.paths)?;
    let paths = if args.git.is_some() { &[][..] } else { &args.paths };
    let ground = Workspace::new(paths, &args.access)?;
    output::log_lines(&args.logging, &ground.clock);
    output::tell_rehearsal(&args.access);
    run_to_end(Threads::All, watch(args, &ground, signals))?;
    Ok(OK)
}

/// A pipe tells what it has once, so that nothing of it can change.
fn refuse_pipes(paths: &[PathBuf]) -> Result<(), CommandError> {
    match paths.iter().find(|path| manifest::is_pipe(path)) {
        None => Ok(()),
        Some(path) => Err(CommandError::Usage(format!(
            "{} can't be watched: it is a pipe; name files and folders, or use golive apply",
            path.display()
        ))),
    }
}

async fn watch(args: &Watch, ground: &Workspace, signals: &Signals) -> Result<(), CommandError> {
    // From the beginning: what is not heard of ends the process.
    let hangups = signal::hangups()?;
    let lock = ground.lock(args.pace.lock_timeout, "golive watch").await?;
    let store = Arc::new(ground.store(lock)?);
    let marketplace = Workspace::marketplace(&args.access)?;
    // A service follows what runs on any offer in the file, be there a manifest or not.
    let known = store.with(StatusFile::publishers);
    store.claim(known, &marketplace).map_err(CommandError::failed)?;
    let stop = signals.stop_in_order();
    let (service_state, pings) = ServiceState::new();
    let metrics = Arc::new(Metrics::new());
    let opened = tokio::select! {
        biased;
        // A repository may take long to answer.
        () = stop.cancelled() => return Ok(()),
        opened = source(args, ground, &service_state) => opened,
    };
    let ManifestSource { source, roots, checkout } = opened?;
    let connection = ground.connect(&args.access, Memory::Kept)?;
    let shown = connection.marketplace_name();
    let on_manifests = on_manifests(&connection, &store, marketplace, stop.clone());
    let mut reconciler =
        reconciler(args, ground, connection, &store, (&service_state, &metrics), stop.clone());
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
                clock: Arc::clone(&ground.clock),
                marketplace: shown,
                hosts: args.allow_host.clone(),
            };
            Some(serve_page(address, serving, stop.clone()).await?)
        }
    };
    let manifests = Manifests::new(roots);
    // A commit is what it is.
    let manifests = if args.git.is_some() { manifests.allow_empty() } else { manifests };
    let started_at = ground.clock.now();
    service_state.update(|service| service.started_at = Some(started_at));
    let daemon = Daemon::new(Parts {
        reconciler: Arc::new(reconciler),
        store,
        clock: Arc::clone(&ground.clock),
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
    let told = tokio::spawn(tell_supervisor(service_state, stop.clone()));
    let result = daemon.run().await;
    stop.cancel();
    if let Some(page) = page {
        // It ends by itself within moments, whatever its readers do.
        drop(page.await);
    }
    drop(told.await);
    result.map_err(CommandError::failed)
}

/// Tells systemd once every offer was seen, and when the service stops.
async fn tell_supervisor(service_state: Arc<ServiceState>, stop: CancellationToken) {
    let mut updates = service_state.subscribe();
    while !service_state.service().ready {
        tokio::select! {
            () = stop.cancelled() => break,
            // Whatever it was, the board says how things stand.
            _ = updates.recv() => {}
        }
    }
    if !stop.is_cancelled() {
        systemd::ready();
        stop.cancelled().await;
    }
    systemd::stopping();
}

/// Where the manifests come from.
struct ManifestSource {
    source: Box<dyn Source>,
    /// The folders to read.
    roots: Vec<PathBuf>,
    /// The checkout that golive makes.
    checkout: Option<PathBuf>,
}

async fn source(
    args: &Watch,
    ground: &Workspace,
    service_state: &Arc<ServiceState>,
) -> Result<ManifestSource, CommandError> {
    let Some(url) = &args.git else {
        if let Some(path) = args.paths.iter().find(|path| !path.exists()) {
            let path = path.display();
            let what = format!("there is no {path}; name folders and files that hold manifests");
            return Err(CommandError::Failed { what, source: None });
        }
        let names: Vec<_> = args.paths.iter().map(|path| path.display().to_string()).collect();
        let place = names.join(", ");
        tracing::info!(status = %ground.status_path.display(), "watching {place}");
        service_state.update(|service| service.place = place);
        let (roots, status) = (args.paths.clone(), &ground.status_path);
        let source = FolderSource::new(&roots, status, args.debounce, Arc::clone(service_state));
        return Ok(ManifestSource { source: Box::new(source), roots, checkout: None });
    };
    let settings = GitSettings {
        url: url.clone(),
        branch: args.branch.clone(),
        dir: args.dir.clone().unwrap_or_default(),
        folder: ground.status_path.with_extension("git"),
        poll: args.git_poll.unwrap_or(GIT_POLL),
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
    tracing::info!(status = %ground.status_path.display(), "following {place}");
    let checkout = Some(source.checkout());
    service_state.update(|service| (service.place, service.checkout) = (place, checkout.clone()));
    Ok(ManifestSource { source: Box::new(source), roots, checkout })
}

/// Who must hear of manifests before they are looked at: the embedded marketplace has their offers
/// then, and the status file their publishers.
fn on_manifests(
    connection: &Connection,
    store: &Arc<StatusStore>,
    marketplace: MarketplaceRecord,
    stop: CancellationToken,
) -> Box<OnManifests> {
    let (emulator, store) = (connection.emulator.clone(), Arc::clone(store));
    Box::new(move |desired| {
        // All that is on record was claimed at the beginning, so that this is not refused; if it
        // is, nothing may be sent.
        if let Err(error) = store.claim(publishers(desired.keys()), &marketplace) {
            tracing::error!("{error}");
            stop.cancel();
        }
        if let Some(emulator) = &emulator {
            emulator.add_missing(named(desired));
        }
    })
}

/// What looks, sends and polls.
fn reconciler(
    args: &Watch,
    ground: &Workspace,
    mut connection: Connection,
    store: &Arc<StatusStore>,
    (service_state, metrics): (&Arc<ServiceState>, &Arc<Metrics>),
    stop: CancellationToken,
) -> Reconciler {
    let access = &args.access;
    let counter = Arc::clone(metrics);
    connection.transport =
        Arc::new(Measured::new(connection.transport, move |call, status, took| {
            counter.requested(call, status, took);
        }));
    let reporters: Vec<Arc<dyn Reporter>> = vec![
        Arc::new(LogReporter::default()),
        Arc::clone(service_state) as _,
        Arc::clone(metrics) as _,
    ];
    // Reads wait as long as the marketplace asks: there is no run that must end.
    let marketplace = ground.client(access, connection, Duration::MAX);
    let surroundings = Dependencies {
        marketplace,
        store: Arc::clone(store),
        clock: Arc::clone(&ground.clock),
        random: fastrand::Rng::new(),
        reporter: Arc::new(All(reporters)),
        stop,
    };
    let intervals = CommandContext::intervals(access, &args.pace);
    // What is put off is looked at anew then: by that time the manifest may be another one.
    let (concurrency, settle, pause) = (access.concurrency, access.settle, Duration::ZERO);
    let settings = Settings { concurrency, intervals, pause, settle };
    Reconciler::new(surroundings, settings)
}

/// Listens at once, so that an address that can't be had is an error now; serves until the stop.
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
            tracing::error!(error = &error as &dyn std::error::Error, "the page is served no more");
        }
    }))
}
