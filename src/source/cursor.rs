//! Rows of a running statement, as batches of binary fields.

use std::{error::Error as StdError, future::poll_fn, pin::Pin, sync::Arc, task::Poll};

use futures_core::Stream as _;
use tokio_postgres::{
    Portal, Row, RowStream,
    types::{FromSql, Type},
};

use super::{
    SourceError,
    session::{Shared, Turn},
};
use crate::row::RowBatch;

/// Bytes of fields after which a batch is full.
pub const BATCH_BYTES: usize = 32 * 1024;

/// Rows after which a batch is full, however small they are.
const BATCH_ROWS: usize = 16 * 1024;

/// Rows asked of a portal at once. All of them come into one batch, so this also bounds the memory when rows become
/// much larger than those before.
const PORTAL_ROWS: i32 = 512;

/// Rows of a running statement.
///
/// Memory is bounded: while no batch is asked for, the server waits.
pub struct Rows {
    feed: Feed,
    width: usize,
    batch_bytes: usize,
}

enum Feed {
    /// The statement holds the session until it ends.
    Stream(Pin<Box<RowStream>>, Turn),
    /// The session is held for each batch.
    Portal { shared: Arc<Shared>, portal: Portal, rows: i32 },
    /// No more rows.
    Done,
}

impl Rows {
    pub(super) fn stream(turn: Turn, width: usize, stream: RowStream) -> Result<Self, SourceError> {
        if width == 0 {
            return Err(turn.end(no_columns()));
        }
        Ok(Self { feed: Feed::Stream(Box::pin(stream), turn), width, batch_bytes: BATCH_BYTES })
    }

    pub(super) fn portal(shared: Arc<Shared>, width: usize, portal: Portal) -> Result<Self, SourceError> {
        if width == 0 {
            return Err(no_columns());
        }
        // Few at first: nothing is known about their size.
        Ok(Self { feed: Feed::Portal { shared, portal, rows: 32 }, width, batch_bytes: BATCH_BYTES })
    }

    /// Number of columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Calls a batch full at `bytes` instead of [`BATCH_BYTES`].
    #[must_use]
    pub fn with_batch_bytes(mut self, bytes: usize) -> Self {
        self.batch_bytes = bytes;
        self
    }

    /// Replaces the rows in `batch` by the next ones: at least one, unless the statement has no more, which is told
    /// by `false`. A batch ends with the row that fills it. Not to be given up half-way: rows would be lost.
    ///
    /// # Errors
    ///
    /// [`SourceError::Statement`] when the statement failed, [`SourceError::Lost`] when the connection broke. The
    /// session is over then, and so are these rows.
    pub async fn next_batch(&mut self, batch: &mut RowBatch) -> Result<bool, SourceError> {
        batch.reset(self.width);
        let more = match &mut self.feed {
            Feed::Done => return Ok(false),
            Feed::Stream(stream, _) => fill(stream.as_mut(), batch, self.batch_bytes, BATCH_ROWS).await,
            Feed::Portal { shared, portal, rows } => fetch(shared, portal, rows, batch, self.batch_bytes).await,
        };
        if matches!(more, Ok(true) | Err(SourceError::Busy)) {
            return more;
        }
        match (std::mem::replace(&mut self.feed, Feed::Done), more) {
            (Feed::Stream(_, turn), Err(error)) => return Err(turn.end(error)),
            (Feed::Stream(_, turn), Ok(_)) => turn.finish(),
            (_, Err(error)) => return Err(error),
            (_, Ok(_)) => {}
        }
        Ok(!batch.is_empty())
    }
}

/// Reads up to `rows` rows of a portal, and sets `rows` for the next time. False when there are no more.
async fn fetch(
    shared: &Arc<Shared>,
    portal: &Portal,
    rows: &mut i32,
    batch: &mut RowBatch,
    batch_bytes: usize,
) -> Result<bool, SourceError> {
    let turn = shared.turn()?;
    let fetched = async {
        let mut stream = Box::pin(shared.fetch(portal.clone(), *rows).await?);
        fill(stream.as_mut(), batch, usize::MAX, usize::MAX).await
    };
    if let Err(error) = fetched.await {
        return Err(turn.end(error));
    }
    turn.finish();
    if (batch.len() as i32) < *rows {
        return Ok(false);
    }
    let per_row = (batch.data_len() / batch.len().max(1)).max(1);
    let wanted = i32::try_from(batch_bytes / per_row).unwrap_or(i32::MAX);
    // Growing step by step keeps a run of small rows from asking for hundreds of large ones.
    *rows = wanted.clamp(1, PORTAL_ROWS).min(rows.saturating_mul(4));
    Ok(true)
}

fn no_columns() -> SourceError {
    SourceError::Unexpected("the statement returns no columns".to_owned())
}

/// Reads rows into `batch` until it holds `bytes` bytes or `rows` rows (true) or there are no more (false).
async fn fill(
    mut stream: Pin<&mut RowStream>,
    batch: &mut RowBatch,
    bytes: usize,
    rows: usize,
) -> Result<bool, SourceError> {
    let mut count = 0;
    poll_fn(|cx| {
        loop {
            match stream.as_mut().poll_next(cx) {
                Poll::Ready(Some(Ok(row))) => {
                    push(&row, batch)?;
                    count += 1;
                    if count >= rows || batch.data_len() >= bytes {
                        return Poll::Ready(Ok(true));
                    }
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(SourceError::running(&error))),
                Poll::Ready(None) => return Poll::Ready(Ok(false)),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await
}

fn push(row: &Row, batch: &mut RowBatch) -> Result<(), SourceError> {
    for column in 0..row.len() {
        let Raw(field) = row.try_get(column).map_err(|error| SourceError::running(&error))?;
        batch.push(field);
    }
    Ok(())
}

/// A field's bytes as they came, whatever their type.
pub(super) struct Raw<'a>(pub(super) Option<&'a [u8]>);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(Some(raw)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
