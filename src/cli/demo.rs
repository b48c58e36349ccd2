//! `smelt demo`: a database of synthetic patients is made, exported by the pack `synthea`, and dropped.

mod cluster;
mod seed;

use std::fmt::Display;
use std::fs;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::MultiProgress;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use self::cluster::{Cluster, ClusterError};
use self::seed::SeedError;
use super::args::DemoArgs;
use super::engine::{check_files, interruption, open_pack, runtime, sound, target};
use super::exit::Exit;
use super::export::{closing, into_directory, shown};
use super::failure::Failure;
use super::numbers::{duration, exact};
use crate::bulk::{ExportRequest, Parameters};
use crate::config::Settings;
use crate::export::{ExportOptions, Exported};
use crate::sink::LocalSink;
use crate::source::{SourceError, Target, connect_own};

/// Where files go when nothing is said.
const OUT: &str = "smelt-demo-out";

/// A server of our own accepts so many connections that these never run out.
const MOST_WORKERS: usize = 8;

/// Longest that dropping the database may take.
const DROP: Duration = Duration::from_secs(30);

/// Makes the database, exports it, and leaves nothing but the files.
pub(super) fn run(args: &DemoArgs, settings: &Settings, bars: &MultiProgress) -> Result<Exit, Failure> {
    let cancel = interruption()?;
    let out = match &args.out {
        Some(out) => out.clone(),
        None => unused(Path::new(OUT)),
    };
    let is_new = !out.exists();
    let began = Instant::now();
    let done = into_directory(&out, |sink| demo(args, settings, sink, bars, &cancel));
    if done.is_err() && is_new {
        // It is empty, unless what is in it was reported.
        let _ = fs::remove_dir(&out);
    }
    let (done, elapsed) = done?;
    closing(&done, &out, elapsed);
    tell(format_args!("files: {} ({} in all)", out.display(), duration(began.elapsed())));
    Ok(if done.report.rejected() > 0 { Exit::RowFailures } else { Exit::Ok })
}

/// The export and how long it took, without what came before it.
fn demo(
    args: &DemoArgs,
    settings: &Settings,
    sink: &LocalSink,
    bars: &MultiProgress,
    cancel: &CancellationToken,
) -> Result<(Exported, Duration), Failure> {
    let (pack, sources) = sound(check_files(&seed::pack()))?;
    let runtime = runtime()?;
    let (server, cluster) = server(args, &runtime, cancel)?;
    let database = Database::create(&runtime, &server, cluster.is_none())?;
    let began = Instant::now();
    let (tables, rows) = runtime.block_on(async {
        let client = connect_own(&database.target).await?;
        tokio::select! {
            () = cancel.cancelled() => Err(ClusterError::Cancelled.into()),
            loaded = seed::load(&client) => Ok::<_, Failure>(loaded?),
        }
    })?;
    tell(format_args!("{} rows in {tables} tables loaded in {}", exact(rows), duration(began.elapsed())));

    let mut options = ExportOptions {
        file_bytes: settings.file_size,
        snapshot_wait: settings.snapshot_wait,
        codec: settings.codec.unwrap_or_default(),
        check_references: true,
        ..ExportOptions::default()
    };
    options.workers = settings.workers.map_or(options.workers.min(MOST_WORKERS), |workers| workers.get() as usize);
    let engine = open_pack(
        runtime,
        database.target.clone(),
        pack,
        sources,
        options.workers,
        options.sessions_per_worker,
        Duration::ZERO,
    )?;
    let mapped: Vec<&str> = engine.prepared.pack.mappings.iter().map(|m| m.resource_type.as_str()).collect();
    let request = ExportRequest::new(&Parameters::default(), &mapped)?;
    options.request_url = request.kick_off_url("https://localhost");
    let began = Instant::now();
    let done = shown(&engine, &request, &options, sink, bars, cancel)?;
    let elapsed = began.elapsed();
    drop(engine);
    if args.keep {
        keep(database, cluster);
    }
    Ok((done, elapsed))
}

/// The server to make the database on, and a hold of it if it is ours.
fn server(
    args: &DemoArgs,
    runtime: &Runtime,
    cancel: &CancellationToken,
) -> Result<(Target, Option<Cluster>), Failure> {
    if let Some(url) = &args.database {
        return Ok((target(Some(url))?, None));
    }
    let began = Instant::now();
    let cluster = Cluster::start(runtime, cancel)?;
    // What the environment says of databases is not about this one.
    let target = Target::resolve(Some(&cluster.dsn("postgres")), &|_| None).map_err(SourceError::from)?;
    let (major, directory) = (cluster.major(), cluster.directory().display());
    tell(format_args!("PostgreSQL {major} started in {directory} in {}", duration(began.elapsed())));
    Ok((target, Some(cluster)))
}

/// Leaves the database where it is, and says how to get there and how to be rid of it.
fn keep(mut database: Database, cluster: Option<Cluster>) {
    database.dropped_at_end = false;
    let name = &database.name;
    match cluster {
        None => tell(format_args!("kept: database {name}; drop it with: drop database {name}")),
        Some(cluster) => {
            let directory = cluster.directory().display().to_string();
            tell(format_args!(
                "kept: --database 'host={directory} user=smelt dbname={name}'\n\
                 end it with: kill -INT $(head -1 {directory}/data/postmaster.pid); rm -r {directory}"
            ));
            cluster.keep();
        }
    }
}

/// A database that did not exist before, dropped with this value.
struct Database {
    name: String,
    /// The database it was made from.
    server: Target,
    target: Target,
    /// False for one that goes with its server, or is kept.
    dropped_at_end: bool,
}

impl Database {
    fn create(runtime: &Runtime, server: &Target, dropped_at_end: bool) -> Result<Self, Failure> {
        let name = format!("smelt_demo_{:08x}", RandomState::new().build_hasher().finish() as u32);
        let sql = format!("create database {name} template template0 encoding 'UTF8' lc_collate 'C' lc_ctype 'C'");
        runtime.block_on(async {
            let client = connect_own(server).await?;
            client.batch_execute(&sql).await.map_err(|error| {
                let help = "Name by `--database` a server and a role that may create databases; without it a server \
                            is started here.";
                let error = SeedError::Database { doing: format!("create database {name}"), source: error };
                Failure::new(Exit::Failed, &error, Some(help.to_owned()))
            })
        })?;
        Ok(Self { target: server.with_database(&name), server: server.clone(), name, dropped_at_end })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if !self.dropped_at_end {
            return;
        }
        let sql = format!("drop database {} with (force)", self.name);
        let dropped = runtime().is_ok_and(|runtime| {
            runtime.block_on(async {
                let dropping = async { connect_own(&self.server).await.ok()?.batch_execute(&sql).await.ok() };
                tokio::time::timeout(DROP, dropping).await.ok().flatten().is_some()
            })
        });
        if !dropped {
            tracing::warn!(database = %self.name, "the demo database could not be dropped and is still there");
        }
    }
}

/// The first of `name`, `name-2`, `name-3`, … that does not exist.
fn unused(name: &Path) -> PathBuf {
    let numbered = |n: u32| PathBuf::from(format!("{}-{n}", name.display()));
    let names = std::iter::once(name.to_owned()).chain((2..u32::MAX).map(numbered));
    names.into_iter().find(|path| fs::symlink_metadata(path).is_err()).unwrap_or_else(|| name.to_owned())
}

/// Says something on standard error.
fn tell(text: impl Display) {
    // Nobody can be told that standard error is closed.
    let _ = writeln!(io::stderr(), "{text}");
}

impl From<ClusterError> for Failure {
    fn from(error: ClusterError) -> Self {
        let elsewhere = "or name another server by `--database`";
        let (exit, help) = match &error {
            ClusterError::NoPrograms => (
                Exit::SourceUnreachable,
                Some(format!("Install them (Debian and Ubuntu: `apt-get install postgresql`), {elsewhere}.")),
            ),
            ClusterError::NoUser => {
                (Exit::SourceUnreachable, Some(format!("Run the demo as another user, {elsewhere}.")))
            }
            ClusterError::Shell(_) | ClusterError::Start { .. } => (Exit::SourceUnreachable, None),
            ClusterError::Cancelled => (Exit::Interrupted, None),
        };
        Self::new(exit, &error, help)
    }
}

impl From<SeedError> for Failure {
    fn from(error: SeedError) -> Self {
        Self::new(Exit::Failed, &error, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_directory_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let name = home.path().join("out");
        assert_eq!(unused(&name), name);
        fs::create_dir(&name).unwrap();
        assert_eq!(unused(&name), home.path().join("out-2"));
        fs::write(home.path().join("out-2"), "").unwrap();
        assert_eq!(unused(&name), home.path().join("out-3"));
    }
}
