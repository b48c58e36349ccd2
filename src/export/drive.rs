//! The loop between streams and encoder: whoever lacks something gets it, whoever has something gives it.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::ExportError;
use crate::encode::{Encoder, Limits, Output, Step};
use crate::plan::program::Compiled;
use crate::row::RowBatch;
use crate::source::Rows;

/// Bytes of lines that are made before they are looked at.
const CHUNK: usize = 64 * 1024;

/// Memory that is used again and again.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    pub(super) output: Output,
    batches: Vec<RowBatch>,
}

/// Runs `encoder` over its streams, `rows` by stream number. `take` is called when a chunk is ready, and once at the
/// end; it may stop the run.
pub(super) async fn drive(
    encoder: &mut Encoder,
    rows: &mut [Rows],
    buffers: &mut Buffers,
    mut take: impl FnMut(&mut Encoder, &mut Output) -> Result<ControlFlow<()>, ExportError>,
) -> Result<(), ExportError> {
    loop {
        match encoder.step(&mut buffers.output) {
            Step::Need(stream) => {
                let mut batch = buffers.batches.pop().unwrap_or_default();
                let more = match rows.get_mut(stream as usize) {
                    Some(rows) => rows.next_batch(&mut batch).await?,
                    None => false,
                };
                if more {
                    buffers.batches.push(encoder.feed(stream, batch));
                } else {
                    buffers.batches.push(batch);
                    encoder.finish(stream);
                }
            }
            Step::Chunk => {
                if take(encoder, &mut buffers.output)?.is_break() {
                    return Ok(());
                }
                // The connection's driver and a cancellation get their turn.
                tokio::task::yield_now().await;
            }
            Step::Done => break,
        }
    }
    take(encoder, &mut buffers.output).map(|_| ())
}

/// Runs a program for its lines alone; `take` may stop the run, after the lines that are made. A line that is larger
/// than a chunk stays in memory until it is whole.
pub(super) async fn lines(
    compiled: &Compiled,
    rows: &mut [Rows],
    mut take: impl FnMut(&[u8]) -> ControlFlow<()>,
) -> Result<(), ExportError> {
    let mut encoder = Encoder::new(Arc::clone(&compiled.program), Limits { chunk_bytes: CHUNK })?;
    let mut spare = Vec::new();
    drive(&mut encoder, rows, &mut Buffers::default(), |_, output| {
        while output.spill().is_some() {}
        let made = output.take_settled(std::mem::take(&mut spare)).bytes;
        let mut goes_on = ControlFlow::Continue(());
        for line in made.split(|byte| *byte == b'\n') {
            goes_on = take(line);
        }
        spare = made;
        Ok(goes_on)
    })
    .await
}
