//! What tests stand on: a throw-away PostgreSQL, and a pooler that plays tricks.

pub mod database;
pub mod pack;
pub mod pooler;

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
