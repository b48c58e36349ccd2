//! Workers on a queue of tasks until it is empty, and what runs beside them.

use std::collections::VecDeque;
use std::sync::PoisonError;

use tokio::runtime::Runtime;
use tokio::sync::mpsc::UnboundedReceiver;

use super::ExportError;
use super::shelf::lock;
use super::worker::{Done, Pages, Shared, Task, work};
use crate::sink::Sink;

/// Runs `tasks` on so many workers, and `beside` in the caller's thread. The first failure stops all.
///
/// # Errors
///
/// What failed; that others were stopped by it says less.
pub(super) fn phase<S: Sink>(
    runtime: &Runtime,
    shared: &Shared<'_, S>,
    workers: usize,
    mut tasks: Vec<Task>,
    beside: impl Future<Output = Result<(), ExportError>>,
) -> Result<Vec<Done<S::File>>, ExportError> {
    // Largest first, so that no worker is left with a long split at the end.
    tasks.sort_by_key(|task| std::cmp::Reverse(task.estimate));
    *shared.queue.lock().unwrap_or_else(PoisonError::into_inner) = VecDeque::from(tasks);
    let stop = &shared.cancel;
    std::thread::scope(|scope| {
        let (ended, mut results) = tokio::sync::mpsc::unbounded_channel();
        for number in 0..workers {
            let ended = ended.clone();
            let spawned =
                std::thread::Builder::new().name(format!("smelt-worker-{number}")).spawn_scoped(scope, move || {
                    let _ = ended.send(work(shared));
                });
            if let Err(error) = spawned {
                stop.cancel();
                return Err(ExportError::Runtime(error));
            }
        }
        drop(ended);
        runtime.block_on(async {
            let all = async {
                let mut ended = Vec::with_capacity(workers);
                for _ in 0..workers {
                    ended.push(next(&mut results, shared).await.unwrap_or_else(|| {
                        stop.cancel();
                        Err(ExportError::WorkerDied)
                    }));
                }
                first_failure(ended)
            };
            let beside = async {
                let ended = beside.await;
                if ended.is_err() {
                    stop.cancel();
                }
                ended
            };
            let (done, ended) = tokio::join!(all, async {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => Err(ExportError::Cancelled),
                    ended = beside => ended,
                }
            });
            match (done, ended) {
                (Ok(done), Ok(())) => Ok(done),
                (Err(ExportError::Cancelled) | Ok(_), Err(error)) | (Err(error), _) => Err(error),
            }
        })
    })
}

/// All of them, or what made the others stop: it says more than that they were stopped.
pub(super) fn first_failure<T>(all: Vec<Result<T, ExportError>>) -> Result<Vec<T>, ExportError> {
    let (mut done, mut failure) = (Vec::new(), None);
    for one in all {
        match one {
            Ok(one) => done.push(one),
            Err(ExportError::Cancelled) => _ = failure.get_or_insert(ExportError::Cancelled),
            Err(error) if failure.as_ref().is_none_or(|known| matches!(known, ExportError::Cancelled)) => {
                failure = Some(error);
            }
            Err(_) => {}
        }
    }
    failure.map_or(Ok(done), Err)
}

/// The next worker that ends. Until then finished files are told as pages, where they are.
async fn next<T, S: Sink>(results: &mut UnboundedReceiver<T>, shared: &Shared<'_, S>) -> Option<T> {
    let Some(Pages { listing, every }) = &shared.pages else { return results.recv().await };
    loop {
        tokio::select! {
            biased;
            result = results.recv() => return result,
            () = tokio::time::sleep(*every), if !every.is_zero() => lock(listing).publish(),
        }
    }
}
