//! `smelt serve`: settings become a running service.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::engine::{connect_many, runtime, sound, target};
use super::exit::Exit;
use super::failure::Failure;
use super::setup::{self, Facts};
use super::{engine, print};
use crate::auth::{Authority, RedbReplays};
use crate::bulk::capability::TypeFeatures;
use crate::cohort::{Cohorts, RedbCohorts};
use crate::config::Settings;
use crate::config::server::AuthMode;
use crate::config::settings::DatabaseUrl;
use crate::export::{ExportOptions, Prepared, preflight, prepare};
use crate::fhir::search::search_params;
use crate::http::{Audit, Catalogue, Certificate, Parts, Running, Service, bind};
use crate::job::{Jobs, JobsConfig, LiveEngine, RedbStore, open_state};
use crate::plan::search::searchable;
use crate::sink::Codec;
use crate::source::Watermark;

/// How often files that may change are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// Serves until a signal.
pub(super) fn run(settings: &Settings) -> Result<Exit, Failure> {
    let server = &settings.server;
    setup::consistent(server)?;
    let certificate = setup::certificate(server)?;
    let seen = server.clients.as_deref().and_then(changed);
    let clients = setup::clients(server)?;
    // The address is taken first: a second server on it ends before it touches the state of the first.
    let bound = bind(server.listen, server.metrics_listen)?;
    let base_url = setup::base_url(server, bound.address(), certificate.is_some())?;
    setup::warn(server, &base_url);

    let mut options = ExportOptions {
        file_bytes: settings.file_size,
        snapshot_wait: settings.snapshot_wait,
        codec: settings.codec.unwrap_or(Codec::Gzip),
        page_interval: server.page_interval,
        ..ExportOptions::default()
    };
    if let Some(workers) = settings.workers {
        options.workers = workers.get() as usize;
    }
    let (source, prepared) = open(settings, &options)?;
    if let Some(clients) = &clients {
        setup::rules(clients, &prepared.pack)?;
    }
    let catalogue = catalogue(&prepared);
    let prepared = Arc::new(prepared);

    let state = setup::state_dir(&server.state_dir)?;
    let database = open_state(&state.join("state.redb")).map_err(|error| setup::in_use(&error))?;
    let facts = Facts { base_url: &base_url, types: &catalogue.types };
    let key = setup::signing_key(&state)?;
    let authority = Arc::new(setup::authority(
        server,
        &facts,
        clients,
        key.clone(),
        Arc::new(RedbReplays::new(Arc::clone(&database))),
    )?);
    let audit_path = server.audit_log.clone().unwrap_or_else(|| state.join("audit.ndjson"));
    let audit = Audit::open(&audit_path).map_err(|error| setup::file("open", &audit_path, &error))?;

    let config = JobsConfig {
        max_running: server.max_running_jobs.get() as usize,
        max_unfinished_per_client: server.max_running_per_client.get() as usize,
        max_queued: server.max_queued_jobs.get() as usize,
        kept_for: server.job_ttl,
        attach: server.attach_to_unfinished,
        max_bytes: server.max_total_size,
        max_job_bytes: server.max_job_size,
        listener: Some(audit.listener(Arc::new(crate::clock::SystemClock))),
        ..JobsConfig::new(state.join("jobs"))
    };
    options.ledger = server.ledger.then(|| state.join("ledger"));
    options.since_new_members = settings.since_new_members;
    let cohorts = Arc::new(Cohorts::new(Arc::new(RedbCohorts::new(Arc::clone(&database)))));
    let live = LiveEngine::new(source, Arc::clone(&prepared), options, Arc::clone(&cohorts));
    let jobs =
        Jobs::start(config, Arc::new(RedbStore::new(database)), Arc::new(live), Arc::new(crate::clock::SystemClock))
            .map_err(|error| Failure::new(Exit::Failed, &error, None))?;
    // What a process that died has left of them.
    cohorts.sweep(|| jobs.rosters()).map_err(|error| Failure::new(Exit::Failed, &error, None))?;
    let service = Service::new(Parts {
        options: setup::options(server, base_url.clone()),
        catalogue,
        jobs: Arc::clone(&jobs),
        cohorts,
        authority: Arc::clone(&authority),
        key,
        audit,
        clock: Arc::new(crate::clock::SystemClock),
    });
    let clients = server.clients.clone().map(|path| (seen, path));
    let watch = Watch { certificate: certificate.clone(), clients, auth: server.auth, prepared, authority };
    let address = bound.address();
    let (told, drain) = (Arc::clone(&service), server.drain_timeout);
    bound.serve(service, certificate, move |running| {
        // Nobody can be told that standard output is closed.
        let _ = print(&format!("smelt is ready at {base_url}, listening on {address}\n"));
        until_told(running, told, jobs, watch, drain)
    })?;
    Ok(Exit::Ok)
}

/// Reads and checks the pack, connects, compiles.
fn open(settings: &Settings, options: &ExportOptions) -> Result<(crate::source::Source, Prepared), Failure> {
    let (pack, sources) = sound(engine::checked(settings)?)?;
    let target = target(settings.database.as_ref().map(DatabaseUrl::expose))?;
    let exports = settings.server.max_running_jobs.get() as usize;
    let runtime = runtime()?;
    runtime.block_on(async {
        let source = connect_many(target, &pack, options, exports, settings.overlap).await?;
        let session = source.session().await?;
        let (prepared, diagnostics) = prepare(&session, pack, sources).await?;
        drop(session);
        match prepared {
            Ok(prepared) => {
                engine::tell(&diagnostics, &prepared.sources);
                let preflight = preflight(&source, &prepared).await?;
                match preflight.watermark {
                    Watermark::Exact => tracing::info!("{preflight}"),
                    Watermark::Margin { .. } => tracing::warn!("{preflight}"),
                }
                for name in &prepared.skipped {
                    tracing::warn!(mapping = name, "its table does not exist; the mapping is optional and was skipped");
                }
                source.closed().await;
                Ok((source, prepared))
            }
            Err(sources) => {
                engine::tell(&diagnostics, &sources);
                Err(engine::broken())
            }
        }
    })
}

/// What the pack offers: its types, and for each the search parameters that filters can use (C-04, C-05).
fn catalogue(prepared: &Prepared) -> Catalogue {
    let pack = &prepared.pack;
    let mut names: Vec<&str> = prepared.compiled.iter().map(|one| one.program.resource_type.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let types = names.into_iter().map(|name| TypeFeatures {
        name: name.to_owned(),
        search_params: search_params(name)
            .map(|param| param.code)
            .filter(|code| searchable(pack, name, code))
            .map(str::to_owned)
            .collect(),
    });
    Catalogue { pack: pack.project.name.clone(), types: types.collect() }
}

fn changed(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|found| found.modified()).ok()
}

/// Files that may change while the server runs.
struct Watch {
    certificate: Option<Arc<Certificate>>,
    /// When the registry was changed, and where it is.
    clients: Option<(Option<SystemTime>, PathBuf)>,
    auth: AuthMode,
    prepared: Arc<Prepared>,
    authority: Arc<Authority>,
}

impl Watch {
    /// Reads again what has changed, or everything; what cannot be used leaves what is in force.
    fn look(&mut self, everything: bool) {
        if let Some(certificate) = self.certificate.as_ref().filter(|one| everything || one.is_stale()) {
            match certificate.reload() {
                Ok(()) => tracing::info!("the certificate was read again"),
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "the old certificate stays in force");
                }
            }
        }
        let Some((seen, path)) = &mut self.clients else { return };
        let now = changed(path);
        if !everything && now == *seen {
            return;
        }
        *seen = now;
        let read = setup::registry(path, self.auth == AuthMode::External);
        match read.and_then(|registry| setup::rules(&registry, &self.prepared.pack).map(|()| registry)) {
            Ok(registry) => {
                tracing::info!(clients = registry.len(), "the registry of clients was read again");
                self.authority.replace_clients(registry);
            }
            Err(failure) => {
                tracing::error!(error = failure.chain.join(": "), "the old registry of clients stays in force");
            }
        }
    }
}

/// Waits for signals: SIGHUP reads files again, SIGINT and SIGTERM end the service in order, a second one at once.
async fn until_told(running: Running, service: Arc<Service>, jobs: Arc<Jobs>, mut watch: Watch, drain: Duration) {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = signals else {
        tracing::error!("signals cannot be heard; the process must be killed to end it");
        return;
    };
    loop {
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = hangup.recv() => {
                watch.look(true);
                if let Err(error) = service.reopen_audit() {
                    tracing::error!(%error, "the audit trail goes on in the old file");
                }
            }
            () = tokio::time::sleep(LOOK) => watch.look(false),
        }
    }
    tracing::info!("shutting down: no export is accepted any more");
    service.begin_drain();
    tokio::select! {
        drained = jobs.drain(drain) => {
            tracing::info!(complete = drained.complete, left = drained.left, "exports have ended or were put back");
        }
        _ = interrupt.recv() => std::process::exit(Exit::Interrupted as i32),
        _ = terminate.recv() => std::process::exit(Exit::Interrupted as i32),
    }
    running.stop().await;
}
