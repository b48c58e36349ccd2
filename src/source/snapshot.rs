//! One state of the database, shared by many sessions.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Session, Source, SourceError,
    watermark::{Listing, Watermark, listing_sql, transaction_time},
};

/// One state of the database. Cheap to clone; kept until the last clone and the last session in it are gone.
///
/// The connection that holds it is driven by the tokio runtime that took it, which must outlive it.
#[derive(Clone)]
pub struct Snapshot {
    shared: Arc<Shared>,
}

struct Shared {
    source: Source,
    /// Open as long as others may join.
    leader: Session,
    id: String,
    transaction_time: i64,
    lag: Duration,
    watermark: Watermark,
}

impl Source {
    /// Takes a snapshot, after waiting up to `wait` for transactions that are open now and so are not in it.
    ///
    /// # Errors
    ///
    /// What connecting and running a statement gives.
    pub async fn snapshot(&self, wait: Duration) -> Result<Snapshot, SourceError> {
        let connection = self.connection().await?;
        let running = |error| SourceError::running(&error);
        // It is quiet for as long as the export lasts.
        connection.batch_execute("set idle_in_transaction_session_timeout = 0").await.map_err(running)?;

        let sql = listing_sql();
        let deadline = Instant::now() + wait;
        let first = Listing::read(&connection.simple_query(&sql).await.map_err(running)?)?;
        let mut before = first.clone();
        let mut pause = Duration::from_millis(2);
        while before.holds_back(&first) {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { break };
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 2).min(Duration::from_millis(100));
            before = Listing::read(&connection.simple_query(&sql).await.map_err(running)?)?;
        }

        let leader = Session::start(self, connection, None).await?;
        let id = leader.first_text("select pg_catalog.pg_export_snapshot()").await?;
        let after = Listing::read(&leader.script(&sql).await?)?;
        let (transaction_time, watermark) = transaction_time(&first, &before, &after, self.options().overlap);
        let lag = Duration::from_micros(before.clock().saturating_sub(transaction_time).try_into().unwrap_or(0));
        let shared = Shared { source: self.clone(), leader, id, transaction_time, lag, watermark };
        Ok(Snapshot { shared: Arc::new(shared) })
    }
}

impl Snapshot {
    /// Microseconds since the Unix epoch, by the server's clock: every change up to this moment, and possibly some
    /// after it, is in the snapshot. Strictly before the start of every transaction that was open.
    pub fn transaction_time(&self) -> i64 {
        self.shared.transaction_time
    }

    /// How far [`Snapshot::transaction_time`] lies behind the server's clock.
    pub fn lag(&self) -> Duration {
        self.shared.lag
    }

    /// How sure [`Snapshot::transaction_time`] is.
    pub fn watermark(&self) -> Watermark {
        self.shared.watermark
    }

    /// The session that holds the snapshot, for what is asked beside the reading, on the runtime that took it. Nobody
    /// can join any more when a statement of it has failed while it ran.
    pub fn leader(&self) -> &Session {
        &self.shared.leader
    }

    /// Lets the database go, as soon as all is read: nobody can join any more, and dead rows need not be kept.
    pub async fn release(&self) {
        self.shared.leader.end().await;
    }

    /// A session that sees this snapshot, on a connection that belongs to the current tokio runtime.
    ///
    /// # Errors
    ///
    /// [`SourceError::SnapshotGone`] when the connection that holds the snapshot was closed, else what connecting
    /// gives.
    pub async fn session(&self) -> Result<Session, SourceError> {
        let source = &self.shared.source;
        Session::start(source, source.connection().await?, Some(self.clone())).await
    }

    /// SQL that makes a transaction see this snapshot; it comes before any other.
    pub(super) fn import(&self) -> String {
        format!("set transaction snapshot '{}'; ", self.shared.id.replace('\'', "''"))
    }
}
