//! What tests stand on: a throw-away PostgreSQL, a pooler that plays tricks, and a second implementation of the
//! language with rows to try it on.

pub(crate) mod cluster;
pub mod database;
pub(crate) mod generate;
pub(crate) mod judge;
pub(crate) mod known;
pub mod pack;
pub(crate) mod packs;
pub mod pooler;
pub(crate) mod reference;
pub(crate) mod server;

use std::{
    future::Future,
    time::{Duration, Instant},
};

/// Asks again until `condition` holds; fails after 20 seconds.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition().await {
        assert!(Instant::now() < deadline, "still not so after 20 seconds: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
