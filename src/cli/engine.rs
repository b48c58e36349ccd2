//! What most commands begin with: the pack is read and checked, the database is reached, programs are made.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::exit::Exit;
use super::failure::Failure;
use crate::config::settings::DatabaseUrl;
use crate::config::{Settings, read_pack};
use crate::export::{ExportError, ExportOptions, Prepared, prepare};
use crate::fhir::alias;
use crate::mapping::check::{Checked, check};
use crate::mapping::diagnostic::Diagnostic;
use crate::mapping::pack::{PackFiles, load};
use crate::mapping::render;
use crate::mapping::source::Sources;
use crate::mapping::tree::{Pack, Project};
use crate::plan::lock::{self, Lock};
use crate::source::{Session, Source, SourceError, SourceOptions, Target};

/// Connections beyond those of the workers: the snapshot's, and one that is about to close.
const EXTRA_CONNECTIONS: usize = 2;

/// Reads and checks the pack that the settings name.
pub(super) fn checked(settings: &Settings) -> Result<Checked, Failure> {
    Ok(check_files(&read_pack(&settings.mappings)?))
}

/// Checks a pack's texts.
pub(super) fn check_files(files: &PackFiles) -> Checked {
    check(load(files, alias::builtins()))
}

/// The pack's `columns.lock`, if it has one; it joins `sources`.
pub(super) fn locked(files: &PackFiles, sources: &mut Sources, diagnostics: &mut Vec<Diagnostic>) -> Option<Lock> {
    let own = files.layers.first()?;
    let (path, text) = own.files.iter().find(|(path, _)| path.ends_with(&format!("/{}", lock::FILE_NAME)))?;
    let source = sources.add(path.as_str(), text.as_str());
    Some(lock::parse(source, text, diagnostics))
}

/// A pack without errors. What is wrong is told on standard error; errors end the command.
pub(super) fn sound(checked: Checked) -> Result<(Pack, Sources), Failure> {
    let Checked { sources, diagnostics, pack } = checked;
    tell(&diagnostics, &sources);
    pack.map(|pack| (pack, sources)).ok_or_else(broken)
}

/// Prints diagnostics on standard error.
pub(super) fn tell(diagnostics: &[Diagnostic], sources: &Sources) {
    if !diagnostics.is_empty() {
        let text = render::text(diagnostics, sources, io::stderr().is_terminal());
        // Nobody can be told that standard error is closed.
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

/// The command ends because of errors that were told already.
pub(super) fn broken() -> Failure {
    Failure { exit: Exit::Diagnostics, chain: vec!["the pack has errors".to_owned()], help: None }
}

/// A runtime for the calling thread.
pub(super) fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failed, &error, None))
}

/// How many connections an export of this pack may need at once.
fn connections(pack: &Pack, workers: usize, sessions: usize) -> usize {
    fn lists_of(lists: &[crate::mapping::tree::List]) -> usize {
        lists.iter().map(|list| 1 + lists_of(&list.lists)).sum()
    }
    let most = pack.mappings.iter().map(|mapping| 1 + lists_of(&mapping.header.lists)).max().unwrap_or(1);
    workers * most.min(sessions) + EXTRA_CONNECTIONS
}

/// Where a connection URL, completed by the environment, leads to.
pub(super) fn target(database: Option<&str>) -> Result<Target, Failure> {
    Ok(Target::resolve(database, &|name| std::env::var(name).ok()).map_err(SourceError::from)?)
}

/// Connects for reading.
pub(super) async fn connect(
    target: Target,
    project: &Project,
    max_connections: usize,
    overlap: Duration,
) -> Result<Source, Failure> {
    let options = SourceOptions {
        search_path: project.schema.clone(),
        max_connections: max_connections.max(4),
        connection_wait: Duration::from_mins(1),
        overlap,
        ..SourceOptions::default()
    };
    Ok(Source::connect(target, options).await?)
}

/// Connects for `exports` exports at a time, and the questions that are asked beside them.
pub(super) async fn connect_many(
    target: Target,
    pack: &Pack,
    options: &ExportOptions,
    exports: usize,
    overlap: Duration,
) -> Result<Source, Failure> {
    let each = connections(pack, options.workers, options.sessions_per_worker);
    connect(target, &pack.project, each.saturating_mul(exports).saturating_add(EXTRA_CONNECTIONS), overlap).await
}

/// A pack prepared against a live database.
pub(super) struct Engine {
    pub(super) runtime: Runtime,
    pub(super) source: Source,
    pub(super) prepared: Prepared,
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.runtime.block_on(self.source.closed());
    }
}

/// Reads, checks, connects and compiles; every mistake is told on standard error.
pub(super) fn open(settings: &Settings, workers: usize, sessions: usize) -> Result<Engine, Failure> {
    let (pack, sources) = sound(checked(settings)?)?;
    let runtime = runtime()?;
    let target = target(settings.database.as_ref().map(DatabaseUrl::expose))?;
    open_pack(runtime, target, pack, sources, workers, sessions, settings.overlap)
}

/// Connects and compiles a checked pack.
pub(super) fn open_pack(
    runtime: Runtime,
    target: Target,
    pack: Pack,
    sources: Sources,
    workers: usize,
    sessions: usize,
    overlap: Duration,
) -> Result<Engine, Failure> {
    let max = connections(&pack, workers, sessions);
    let (source, prepared) = runtime.block_on(async {
        let source = connect(target, &pack.project, max, overlap).await?;
        let session: Session = source.session().await?;
        let (prepared, diagnostics) = prepare(&session, pack, sources).await?;
        match prepared {
            Ok(prepared) => {
                tell(&diagnostics, &prepared.sources);
                Ok((source, prepared))
            }
            Err(sources) => {
                tell(&diagnostics, &sources);
                Err(broken())
            }
        }
    })?;
    for name in &prepared.skipped {
        tracing::warn!(mapping = name, "its table does not exist; the mapping is optional and was skipped");
    }
    Ok(Engine { runtime, source, prepared })
}

/// A token that SIGINT or SIGTERM cancels; a second signal ends the process at once.
pub(super) fn interruption() -> Result<CancellationToken, Failure> {
    let token = CancellationToken::new();
    let cancel = token.clone();
    let listen = move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let (Ok(mut interrupt), Ok(mut terminate)) =
                (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
            else {
                return;
            };
            for again in [false, true] {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if again {
                    std::process::exit(Exit::Interrupted as i32);
                }
                cancel.cancel();
            }
        });
    };
    std::thread::Builder::new()
        .name("smelt-signals".to_owned())
        .spawn(listen)
        .map_err(|error| Failure::new(Exit::Failed, &error, None))?;
    Ok(token)
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        let (exit, help) = match &error {
            SourceError::Target(_) | SourceError::TooFewConnections(_) => (Exit::Usage, None),
            SourceError::Connect { .. } => (
                Exit::SourceUnreachable,
                Some("Check host, port, role and password; `--database` and the PG* variables say where to connect."),
            ),
            SourceError::Version { .. } | SourceError::Pooler { .. } | SourceError::Exhausted { .. } => {
                (Exit::SourceUnreachable, None)
            }
            _ => (Exit::Failed, None),
        };
        Self::new(exit, &error, help.map(str::to_owned))
    }
}

impl From<ExportError> for Failure {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Source(error) => error.into(),
            ExportError::Sink(error) => error.into(),
            ExportError::Ledger(error) => Self::new(Exit::Failed, &error, Some(error.help().to_owned())),
            ExportError::Cancelled => Self::new(Exit::Interrupted, &error, None),
            ExportError::UnknownPatients(_) => {
                let help = "An export for patients that do not exist would look like empty records; check the ids.";
                Self::new(Exit::Usage, &error, Some(help.to_owned()))
            }
            ExportError::PatientsNotApplicable { .. } => {
                let help = "Leave its type out by `--type`, or restrict nothing to patients.";
                Self::new(Exit::Usage, &error, Some(help.to_owned()))
            }
            ExportError::Search(_) => {
                let help = "Name a system that its codes are from, or the code alone.";
                Self::new(Exit::Usage, &error, Some(help.to_owned()))
            }
            ExportError::Reduce(_) => {
                let help = "Leave its type out by `--type`, or write `meta` member by member in the mapping.";
                Self::new(Exit::Usage, &error, Some(help.to_owned()))
            }
            ExportError::NotOrganizable { .. } => {
                let help = "Leave its type out by `--type`, or export without `--organize-by`.";
                Self::new(Exit::Usage, &error, Some(help.to_owned()))
            }
            ExportError::UnknownGroup => {
                let help =
                    "An export of a Group that does not exist would look like one without members; check the id.";
                Self::new(Exit::Usage, &error, Some(help.to_owned()))
            }
            ExportError::NoMembers { .. } => {
                let help =
                    "Say in the header of the mapping where they stand: `members: {table: …, parent: …, patient: …}`.";
                Self::new(Exit::Usage, &error, Some(help.to_owned()))
            }
            ExportError::Spill(_) => {
                let help = "Temporary files are made in `TMPDIR`; see that it is writable and has room.";
                Self::new(Exit::Failed, &error, Some(help.to_owned()))
            }
            ExportError::Ids(_) => {
                let help = "Two resources of a type with one id overwrite each other at the receiver; mend key or id.";
                Self::new(Exit::Failed, &error, Some(help.to_owned()))
            }
            error => Self::new(Exit::Failed, &error, None),
        }
    }
}
