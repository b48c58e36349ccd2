//! One read-only transaction on one connection.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_postgres::{
    CancelToken, Error, IsolationLevel, Portal, RowStream, SimpleQueryMessage, Statement as Prepared,
    types::{ToSql, Type},
};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::sync::CancellationToken;

use super::{Rows, Source, SourceError, pool::Connection, snapshot::Snapshot};
use crate::plan::select::{Param, Statement};

/// The two halves of the advisory lock that every session's transaction holds. It marks the transaction as one that
/// cannot write, so that other exports need not wait for it.
pub(super) const READER_LOCK: (i32, i32) = (0x736d_656c, 0x7472_6561);

/// One read-only transaction on one connection, seeing one state of the database. It runs one statement at a time
/// ([`SourceError::Busy`]), and ends with the first statement that fails while it runs or is stopped
/// ([`SourceError::Ended`]).
///
/// It belongs to the tokio runtime it was made on.
pub struct Session {
    pub(super) shared: Arc<Shared>,
}

/// What a session and its rows share.
pub(super) struct Shared {
    requests: mpsc::UnboundedSender<Request>,
    state: AtomicU8,
    stop: CancellationToken,
    cancel: CancelToken,
    tls: MakeRustlsConnect,
    /// Keeps the snapshot alive as long as it is read.
    _snapshot: Option<Snapshot>,
}

const IDLE: u8 = 0;
const BUSY: u8 = 1;
const ENDED: u8 = 2;

/// What the task that owns the connection is asked to do. A portal needs the driver's `Transaction`, which borrows
/// the connection; so one task holds both, and everybody else talks to it.
enum Request {
    Script(String, oneshot::Sender<Result<Vec<SimpleQueryMessage>, Error>>),
    Prepare(Statement, oneshot::Sender<Result<Prepared, Error>>),
    Query(Prepared, Vec<Param>, oneshot::Sender<Result<RowStream, Error>>),
    Bind(Prepared, Vec<Param>, oneshot::Sender<Result<Portal, Error>>),
    Fetch(Portal, i32, oneshot::Sender<Result<RowStream, Error>>),
    End(oneshot::Sender<Result<(), Error>>),
}

impl Session {
    /// Begins a transaction, in `snapshot` if one is given.
    pub(super) async fn start(
        source: &Source,
        connection: Connection,
        snapshot: Option<Snapshot>,
    ) -> Result<Self, SourceError> {
        let (requests, queue) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let cancel = connection.cancel_token();
        let begun = {
            let (reply, begun) = oneshot::channel();
            tokio::spawn(own(connection, queue, stop.clone(), reply));
            begun
        };
        match begun.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(SourceError::running(&error)),
            Err(_gone) => return Err(SourceError::Ended),
        }
        let import = snapshot.as_ref().map(Snapshot::import).unwrap_or_default();
        let shared =
            Shared { requests, state: AtomicU8::new(IDLE), stop, cancel, tls: source.tls(), _snapshot: snapshot };
        let session = Self { shared: Arc::new(shared) };
        let (a, b) = READER_LOCK;
        let begin = format!("{import}select pg_advisory_xact_lock_shared({a}, {b})");
        session.script(&begin).await.map_err(|error| match error {
            // The leader is gone, or (08, 57) the server is.
            SourceError::Statement(failure) if failure.sqlstate.starts_with("22") => SourceError::SnapshotGone,
            SourceError::Statement(failure) if failure.sqlstate.starts_with("42") => SourceError::SnapshotGone,
            other => other,
        })?;
        Ok(session)
    }

    /// Runs a statement and streams its rows. Nothing else can run in this session until they are read to the end;
    /// dropping them earlier stops the statement on the server and ends the session.
    ///
    /// # Errors
    ///
    /// [`SourceError::Rejected`] when the server does not accept the text, else what [`Rows::next_batch`] gives.
    pub async fn stream(&self, statement: &Statement) -> Result<Rows, SourceError> {
        let turn = self.shared.turn()?;
        // Not one round trip with `query_typed_raw`: it looks up a column's enum type behind rows nobody reads yet,
        // and waits for ever.
        let started = async {
            let prepared = self.shared.prepare(statement).await?;
            let params = statement.params.clone();
            let stream = self.shared.ask(|reply| Request::Query(prepared.clone(), params, reply)).await?;
            Ok((prepared.columns().len(), stream.map_err(|error| SourceError::running(&error))?))
        };
        match started.await {
            Ok((width, stream)) => Rows::stream(turn, width, stream),
            Err(error) => Err(turn.end(error)),
        }
    }

    /// Like [`Session::stream`], but a batch at a time, so that several of them can share the session: between two
    /// calls of [`Rows::next_batch`] the session is free. Rows dropped between batches do not end it.
    pub async fn portal_stream(&self, statement: &Statement) -> Result<Rows, SourceError> {
        let turn = self.shared.turn()?;
        let started = async {
            let prepared = self.shared.prepare(statement).await?;
            let params = statement.params.clone();
            let portal = self.shared.ask(|reply| Request::Bind(prepared.clone(), params, reply)).await?;
            Ok((prepared.columns().len(), portal.map_err(|error| SourceError::running(&error))?))
        };
        match started.await {
            Ok((width, portal)) => {
                turn.finish();
                Rows::portal(Arc::clone(&self.shared), width, portal)
            }
            Err(error) => Err(turn.end(error)),
        }
    }

    /// Ends the transaction at once: a session that is dropped ends when its runtime next runs. One that is reading is
    /// left to its rows.
    pub async fn end(&self) {
        if let Ok(turn) = self.shared.turn() {
            drop(self.shared.ask(Request::End).await);
            turn.end(SourceError::Ended);
        }
    }

    /// Runs statements that take no parameters, and gives the rows of all, as text.
    pub(super) async fn script(&self, sql: &str) -> Result<Vec<SimpleQueryMessage>, SourceError> {
        let turn = self.shared.turn()?;
        match self.shared.script(sql).await {
            Ok(messages) => {
                turn.finish();
                Ok(messages)
            }
            Err(error) => Err(turn.end(error)),
        }
    }

    /// Does `work` so that its failure does not end the session.
    pub(super) async fn guarded<R>(
        &self,
        work: impl Future<Output = Result<R, SourceError>>,
    ) -> Result<R, SourceError> {
        let turn = self.shared.turn()?;
        let outcome = async {
            self.shared.script("savepoint smelt").await?;
            let outcome = work.await;
            let end = if outcome.is_ok() { "" } else { "rollback to savepoint smelt; " };
            match self.shared.script(&format!("{end}release savepoint smelt")).await {
                Ok(_) => Ok(outcome),
                // The first error says more than what followed it.
                Err(error) => Err(outcome.err().unwrap_or(error)),
            }
        };
        match outcome.await {
            Ok(outcome) => {
                turn.finish();
                outcome
            }
            Err(error) => Err(turn.end(error)),
        }
    }
}

impl Shared {
    /// The right to use the session until the turn is finished.
    pub(super) fn turn(self: &Arc<Self>) -> Result<Turn, SourceError> {
        match self.state.compare_exchange(IDLE, BUSY, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(Turn { shared: Arc::clone(self), open: true }),
            Err(BUSY) => Err(SourceError::Busy),
            Err(_) => Err(SourceError::Ended),
        }
    }

    async fn ask<R>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<R, Error>>) -> Request,
    ) -> Result<Result<R, Error>, SourceError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).map_err(|_gone| SourceError::Ended)?;
        answer.await.map_err(|_gone| SourceError::Ended)
    }

    async fn script(&self, sql: &str) -> Result<Vec<SimpleQueryMessage>, SourceError> {
        let answer = self.ask(|reply| Request::Script(sql.to_owned(), reply)).await?;
        answer.map_err(|error| SourceError::running(&error))
    }

    pub(super) async fn prepare(&self, statement: &Statement) -> Result<Prepared, SourceError> {
        let answer = self.ask(|reply| Request::Prepare(statement.clone(), reply)).await?;
        answer.map_err(|error| SourceError::preparing(&error))
    }

    pub(super) async fn query(&self, prepared: Prepared, params: Vec<Param>) -> Result<RowStream, SourceError> {
        let answer = self.ask(|reply| Request::Query(prepared, params, reply)).await?;
        answer.map_err(|error| SourceError::running(&error))
    }

    pub(super) async fn fetch(&self, portal: Portal, rows: i32) -> Result<RowStream, SourceError> {
        let answer = self.ask(|reply| Request::Fetch(portal, rows, reply)).await?;
        answer.map_err(|error| SourceError::running(&error))
    }

    /// Stops what runs on the server, without waiting, and closes the connection.
    fn interrupt(&self) {
        self.state.store(ENDED, Ordering::Release);
        self.stop.cancel();
        let (token, tls) = (self.cancel.clone(), self.tls.clone());
        // A thread of its own: the runtime may be on its way out. If it cannot start or get through, the server
        // still finds the closed socket when it sends the next rows or looks after it.
        let cancel = move || {
            if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
                drop(runtime.block_on(async { timeout(Duration::from_secs(5), token.cancel_query(tls)).await }));
            }
        };
        drop(thread::Builder::new().name("smelt-cancel".to_owned()).spawn(cancel));
    }
}

/// The right to use a session. Dropped unfinished, it stops what runs and ends the session.
pub(super) struct Turn {
    shared: Arc<Shared>,
    open: bool,
}

impl Turn {
    /// The statement is over; the session is free.
    pub(super) fn finish(mut self) {
        self.open = false;
        self.shared.state.store(IDLE, Ordering::Release);
    }

    /// The statement failed, which aborts the transaction: the session is over.
    pub(super) fn end(mut self, error: SourceError) -> SourceError {
        self.open = false;
        self.shared.state.store(ENDED, Ordering::Release);
        self.shared.stop.cancel();
        error
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.open {
            self.shared.interrupt();
        }
    }
}

/// Owns the connection until nobody can ask for anything more, or `stop`.
async fn own(
    mut connection: Connection,
    queue: mpsc::UnboundedReceiver<Request>,
    stop: CancellationToken,
    begun: oneshot::Sender<Result<(), Error>>,
) {
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = answer(&mut connection, queue, begun) => {}
    }
}

async fn answer(
    connection: &mut Connection,
    mut queue: mpsc::UnboundedReceiver<Request>,
    begun: oneshot::Sender<Result<(), Error>>,
) {
    let begin = connection.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
    let transaction = match begin.start().await {
        Ok(transaction) => transaction,
        Err(error) => {
            drop(begun.send(Err(error)));
            return;
        }
    };
    drop(begun.send(Ok(())));
    let mut ended = None;
    // An answer nobody waits for any more is dropped; whoever gave up asked for `stop`.
    while let Some(request) = queue.recv().await {
        match request {
            Request::Script(sql, reply) => drop(reply.send(transaction.simple_query(&sql).await)),
            Request::Prepare(statement, reply) => {
                let types: Vec<Type> = statement.params.iter().map(param_type).collect();
                drop(reply.send(transaction.client().prepare_typed(&statement.text, &types).await));
            }
            Request::Query(prepared, params, reply) => {
                drop(reply.send(transaction.query_raw(&prepared, values(&params)).await));
            }
            Request::Bind(prepared, params, reply) => {
                drop(reply.send(transaction.bind_raw(&prepared, values(&params)).await));
            }
            Request::Fetch(portal, rows, reply) => {
                drop(reply.send(transaction.query_portal_raw(&portal, rows).await));
            }
            Request::End(reply) => {
                ended = Some(reply);
                break;
            }
        }
    }
    // A connection closed inside a transaction is an entry in the server's log.
    drop(timeout(Duration::from_secs(1), transaction.rollback()).await);
    if let Some(reply) = ended {
        drop(reply.send(Ok(())));
    }
}

fn param_type(param: &Param) -> Type {
    match param {
        Param::Text(_) => Type::TEXT,
        Param::TextArray(_) => Type::TEXT_ARRAY,
    }
}

fn values(params: &[Param]) -> Vec<&(dyn ToSql + Sync)> {
    let mut values: Vec<&(dyn ToSql + Sync)> = Vec::with_capacity(params.len());
    for param in params {
        match param {
            Param::Text(text) => values.push(text),
            Param::TextArray(texts) => values.push(&**texts),
        }
    }
    values
}
