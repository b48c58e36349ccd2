//! Connections: how many, how they are set up, and whether they can be trusted to stay on one server session.

use std::{
    future::{Future, poll_fn},
    ops::{Deref, DerefMut},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use deadpool_postgres::{
    Connect, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, TimeoutType,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
    time::timeout,
};
use tokio_postgres::{Client, Config, Error, SimpleQueryMessage, error::SqlState};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{SourceError, Target, session::Session, tls};
use crate::plan::select::quote_ident;

/// How smelt behaves as a guest of the database.
#[derive(Debug, Clone)]
pub struct SourceOptions {
    /// Shown in `pg_stat_activity`, unless the connection settings name another.
    pub application_name: String,
    /// Schemas in which unqualified names are looked up; empty leaves the role's own setting.
    pub search_path: Vec<String>,
    /// Longest a statement may run; `None` leaves the role's own setting.
    pub statement_timeout: Option<Duration>,
    /// Longest to wait for a table lock; `None` leaves the role's own setting.
    pub lock_timeout: Option<Duration>,
    /// Longest a reading session may pause between statements; `None` leaves the role's own setting. The connection
    /// that holds the snapshot never times out.
    pub idle_in_transaction_timeout: Option<Duration>,
    /// Most connections open at any time, over all threads; at least 2.
    pub max_connections: usize,
    /// Longest to wait for one of them to become free.
    pub connection_wait: Duration,
    /// Taken off the transaction time where the oldest open writer cannot be seen ([`super::Watermark::Margin`]).
    pub overlap: Duration,
}

impl Default for SourceOptions {
    fn default() -> Self {
        Self {
            application_name: "smelt".to_owned(),
            search_path: Vec::new(),
            statement_timeout: None,
            lock_timeout: None,
            idle_in_transaction_timeout: None,
            max_connections: 8,
            connection_wait: Duration::from_secs(30),
            overlap: Duration::from_mins(10),
        }
    }
}

/// The clinical database. Cheap to clone; usable from any thread.
///
/// A connection belongs to the tokio runtime that asked for it: its driver runs there, and it is closed, not
/// reused, when its [`Session`] ends. Only the limit on their number is shared.
#[derive(Clone)]
pub struct Source {
    shared: Arc<Shared>,
}

struct Shared {
    pool: Pool,
    tls: MakeRustlsConnect,
    target: Target,
    options: SourceOptions,
    version: u32,
    /// Counts sockets. The pool counts only what it has handed out, and a dropped connection's driver lives on for a
    /// moment.
    limit: Arc<Semaphore>,
}

impl Source {
    /// Connects, checks the server's version and that no transaction pooler is in between, and closes again.
    ///
    /// # Errors
    ///
    /// [`SourceError::Connect`], [`SourceError::Version`], [`SourceError::Pooler`],
    /// [`SourceError::TooFewConnections`], or [`SourceError::Target`] for certificates that cannot be read.
    pub async fn connect(target: Target, options: SourceOptions) -> Result<Self, SourceError> {
        if options.max_connections < 2 {
            return Err(SourceError::TooFewConnections(options.max_connections));
        }
        let tls = tls::connector(&target.tls)?;
        let mut config = target.config.clone();
        if config.get_application_name().is_none() {
            config.application_name(&options.application_name);
        }
        // Each host may use up the time for one.
        let patience = target.connect_timeout * config.get_hosts().len().max(1) as u32;
        let probe = timeout(patience, probe(&config, &tls, &target));
        let server = probe.await.unwrap_or_else(|_elapsed| Err(no_answer(&target, patience)))?;

        let limit = Arc::new(Semaphore::new(options.max_connections));
        let dial = Dial { tls: tls.clone(), setup: setup(&options, &server), limit: Arc::clone(&limit) };
        let manager = Manager::from_connect(config, dial, ManagerConfig { recycling_method: RecyclingMethod::Fast });
        let pool = Pool::builder(manager)
            .max_size(options.max_connections)
            .wait_timeout(Some(options.connection_wait))
            .create_timeout(Some(patience))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| SourceError::Unexpected(error.to_string()))?;
        Ok(Self { shared: Arc::new(Shared { pool, tls, target, options, version: server.version, limit }) })
    }

    /// A session of its own, in a read-only transaction that sees one state of the database: for checking statements
    /// and small questions. An export reads through [`super::Snapshot::session`].
    pub async fn session(&self) -> Result<Session, SourceError> {
        Session::start(self, self.connection().await?, None).await
    }

    /// Waits until every connection is closed, a second at most. A session that is dropped ends when its runtime next
    /// runs; where that may be never, the server would find the connection gone and log it.
    pub async fn closed(&self) {
        let all = self.shared.limit.acquire_many(self.shared.options.max_connections as u32);
        drop(timeout(Duration::from_secs(1), all).await);
    }

    /// Where the database is.
    pub fn target(&self) -> &Target {
        &self.shared.target
    }

    /// The settings in force.
    pub fn options(&self) -> &SourceOptions {
        &self.shared.options
    }

    /// The server's version, as 150004 for 15.4.
    pub fn version(&self) -> u32 {
        self.shared.version
    }

    pub(super) fn tls(&self) -> MakeRustlsConnect {
        self.shared.tls.clone()
    }

    /// A set-up connection that belongs to the current runtime.
    pub(super) async fn connection(&self) -> Result<Connection, SourceError> {
        let Shared { pool, options, target, .. } = &*self.shared;
        // The server counts a closed connection for a moment longer than we do.
        let mut pause = Duration::from_millis(50);
        loop {
            match pool.get().await {
                Ok(object) => return Ok(Connection(Some(object))),
                Err(PoolError::Backend(error))
                    if error.code() == Some(&SqlState::TOO_MANY_CONNECTIONS) && pause < Duration::from_secs(1) =>
                {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                Err(PoolError::Backend(error)) => return Err(connect_error(target, &error)),
                Err(PoolError::Timeout(TimeoutType::Wait)) => {
                    let (waited, max) = (options.connection_wait, options.max_connections);
                    return Err(SourceError::Exhausted { waited, max });
                }
                Err(PoolError::Timeout(_)) => return Err(no_answer(target, target.connect_timeout)),
                Err(other) => return Err(SourceError::Unexpected(other.to_string())),
            }
        }
    }
}

/// A bare connection, without what keeps a [`Source`] from writing: for a database that is smelt's own, as that of the
/// demo is. A clinical database is reached through [`Source`] only.
///
/// # Errors
///
/// [`SourceError::Connect`], or [`SourceError::Target`] for certificates that cannot be read.
pub async fn connect_own(target: &Target) -> Result<Client, SourceError> {
    let tls = tls::connector(&target.tls)?;
    let patience = target.connect_timeout * target.config.get_hosts().len().max(1) as u32;
    let client = timeout(patience, bare(&target.config, &tls, target)).await;
    client.unwrap_or_else(|_elapsed| Err(no_answer(target, patience)))
}

/// A pooled connection that is closed instead of going back: its driver lives on one runtime, and the next to ask
/// may be another.
pub(super) struct Connection(Option<Object>);

impl Deref for Connection {
    type Target = deadpool_postgres::ClientWrapper;

    #[expect(clippy::expect_used, reason = "the object is there until drop takes it")]
    fn deref(&self) -> &Self::Target {
        self.0.as_ref().expect("a connection is there until it is dropped")
    }
}

impl DerefMut for Connection {
    #[expect(clippy::expect_used, reason = "the object is there until drop takes it")]
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.0.as_mut().expect("a connection is there until it is dropped")
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        drop(self.0.take().map(Object::take));
    }
}

/// Opens connections for the pool.
struct Dial {
    tls: MakeRustlsConnect,
    setup: String,
    limit: Arc<Semaphore>,
}

type Dialled<'a> = Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + 'a>>;

impl Connect for Dial {
    fn connect(&self, config: &Config) -> Dialled<'_> {
        let config = config.clone();
        Box::pin(async move {
            // The semaphore is never closed.
            let permit = Arc::clone(&self.limit).acquire_owned().await.ok();
            let (client, connection) = config.connect(self.tls.clone()).await?;
            let driver = tokio::spawn(drive(connection, permit));
            client.batch_execute(&self.setup).await?;
            // A statement whose client vanished (a crash, a pulled cable) stops soon. Some systems cannot watch
            // sockets and refuse the setting.
            drop(client.batch_execute("set client_connection_check_interval = '5s'").await);
            Ok((client, driver))
        })
    }
}

/// Moves bytes until the connection ends. Notices are dropped: they may quote values.
async fn drive<S, T>(mut connection: tokio_postgres::Connection<S, T>, permit: Option<OwnedSemaphorePermit>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(_)) = poll_fn(|cx| connection.poll_message(cx)).await {}
    drop(connection);
    drop(permit);
}

/// What is learnt about the server before the first real connection.
struct Server {
    version: u32,
    encoding: String,
}

/// What every connection is told before anything else.
fn setup(options: &SourceOptions, server: &Server) -> String {
    // In an SQL_ASCII database nobody knows what the bytes mean; asked for UTF-8, the server refuses what is not.
    // Untouched, the rows get through and a bad one is counted where it is written.
    let encoding = if server.encoding == "SQL_ASCII" { "SQL_ASCII" } else { "UTF8" };
    let mut sql = vec![
        format!("client_encoding = '{encoding}'"),
        "timezone = 'UTC'".to_owned(),
        "datestyle = 'ISO, YMD'".to_owned(),
        "intervalstyle = 'iso_8601'".to_owned(),
        "extra_float_digits = 1".to_owned(),
        "standard_conforming_strings = on".to_owned(),
        "default_transaction_read_only = on".to_owned(),
        "idle_session_timeout = 0".to_owned(),
        // Compiling costs more than it gains on plain selects.
        "jit = off".to_owned(),
        // Rows come in the same order every time, and a worker is one process on the server: the number of workers
        // bounds the load.
        "synchronize_seqscans = off".to_owned(),
        "max_parallel_workers_per_gather = 0".to_owned(),
    ];
    if server.version >= 170_000 {
        // A transaction lasts as long as the export; single statements are what a limit is for.
        sql.push("transaction_timeout = 0".to_owned());
    }
    for (name, value) in [
        ("statement_timeout", options.statement_timeout),
        ("lock_timeout", options.lock_timeout),
        ("idle_in_transaction_session_timeout", options.idle_in_transaction_timeout),
    ] {
        sql.extend(value.map(|limit| format!("{name} = {}", limit.as_millis().min(i32::MAX as u128))));
    }
    if !options.search_path.is_empty() {
        let schemas: Vec<String> = options.search_path.iter().map(|schema| quote_ident(schema)).collect();
        sql.push(format!("search_path = {}", schemas.join(", ")));
    }
    format!("set {}", sql.join("; set "))
}

/// The server's version, from two bare connections that also show whether each keeps its own server session.
///
/// Nothing is set on them: a transaction pooler would hand the settings to its next client.
async fn probe(config: &Config, tls: &MakeRustlsConnect, target: &Target) -> Result<Server, SourceError> {
    const PID: &str = "select pg_backend_pid()";
    let (a, b) = tokio::try_join!(bare(config, tls, target), bare(config, tls, target))?;
    let version = ask(&a, "select current_setting('server_version_num')").await?;
    let version: u32 = version.parse().unwrap_or(0);
    if version < 140_000 {
        let found = ask(&a, "select current_setting('server_version')").await?;
        return Err(SourceError::Version { target: target.to_string(), found });
    }
    let encoding = ask(&a, "show server_encoding").await?;
    // A pool that hands out the last used session first gives A's to B. One that takes turns gives A another one
    // (twice A), or has just one (A and B). While B is in a transaction, A cannot have B's.
    let own = ask(&a, PID).await?;
    let mut same = own == ask(&a, PID).await?;
    let other = ask(&b, PID).await?;
    same &= own != other;
    if same {
        same &= other == ask(&b, "begin read only; select pg_backend_pid()").await?;
        same &= own == ask(&a, PID).await?;
        same &= own == ask(&a, PID).await?;
        same &= other == ask(&b, "rollback; select pg_backend_pid()").await?;
    }
    if same { Ok(Server { version, encoding }) } else { Err(SourceError::Pooler { target: target.to_string() }) }
}

async fn bare(config: &Config, tls: &MakeRustlsConnect, target: &Target) -> Result<Client, SourceError> {
    let (client, connection) = config.connect(tls.clone()).await.map_err(|error| connect_error(target, &error))?;
    tokio::spawn(drive(connection, None));
    Ok(client)
}

/// The last value of the last row.
async fn ask(client: &Client, sql: &str) -> Result<String, SourceError> {
    let messages = client.simple_query(sql).await.map_err(|error| SourceError::running(&error))?;
    let last = messages.iter().rev().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    last.map(str::to_owned).ok_or_else(|| SourceError::Unexpected("a row is missing".to_owned()))
}

fn connect_error(target: &Target, error: &Error) -> SourceError {
    let mut mapped = SourceError::connecting(&target.to_string(), error);
    if let (SourceError::Connect { reason, .. }, Some(note)) = (&mut mapped, &target.password_note)
        && reason.contains("password")
    {
        *reason = format!("{reason}; {note}");
    }
    mapped
}

fn no_answer(target: &Target, patience: Duration) -> SourceError {
    let reason = format!("no answer within {patience:?}");
    SourceError::Connect { target: target.to_string(), reason, sqlstate: None, transient: true }
}
