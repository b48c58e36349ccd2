//! How often a job may be polled: a bucket of tokens for each (S-04).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Buckets beyond this are looked through for full ones, which need not be kept.
const MANY: usize = 4_096;

/// Microseconds in a minute.
const MINUTE: i64 = 60_000_000;

/// Counts polls.
pub(super) struct Polls {
    /// Tokens a minute.
    rate: i64,
    /// Tokens a bucket holds.
    burst: i64,
    buckets: Mutex<HashMap<String, Bucket>>,
}

/// In millionths of a token, so that no fraction is lost.
struct Bucket {
    tokens: i64,
    at: i64,
}

const TOKEN: i64 = 1_000_000;

impl Polls {
    /// So many a minute; a quarter of them, ten at least, may come at once.
    pub(super) fn new(per_minute: u32) -> Self {
        let rate = i64::from(per_minute.max(1));
        Self { rate, burst: (rate / 4).max(10), buckets: Mutex::default() }
    }

    /// Takes a token of `job`. `Err` is the number of seconds until there is one.
    pub(super) fn take(&self, job: &str, now: i64) -> Result<(), u64> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MANY && !buckets.contains_key(job) {
            buckets.retain(|_, bucket| self.filled(bucket, now) < self.burst * TOKEN);
        }
        // A bucket begins full, so the first poll is free.
        let bucket = buckets.entry(job.to_owned()).or_insert(Bucket { tokens: self.burst * TOKEN, at: now });
        bucket.tokens = self.filled(bucket, now);
        bucket.at = now;
        if bucket.tokens >= TOKEN {
            bucket.tokens -= TOKEN;
            return Ok(());
        }
        let missing = (TOKEN - bucket.tokens) as u64;
        Err((missing * 60).div_ceil((self.rate * TOKEN) as u64).max(1))
    }

    fn filled(&self, bucket: &Bucket, now: i64) -> i64 {
        let span = now.saturating_sub(bucket.at).clamp(0, 60 * MINUTE);
        // A token a minute is one millionth of it in 60 microseconds.
        (bucket.tokens + span * self.rate / 60).min(self.burst * TOKEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // S-04 R-01
    #[test]
    fn a_burst_then_the_rate() {
        let polls = Polls::new(60);
        let second = 1_000_000;
        for n in 0..15 {
            assert_eq!(polls.take("a", 0), Ok(()), "{n}");
        }
        assert_eq!(polls.take("a", 0), Err(1));
        assert_eq!(polls.take("b", 0), Ok(()), "jobs do not share");
        assert_eq!(polls.take("a", second / 2), Err(1));
        assert_eq!(polls.take("a", second), Ok(()));
        assert_eq!(polls.take("a", second), Err(1));
        assert_eq!(polls.take("a", second - 1), Err(1), "a clock that goes back gives nothing");
        assert_eq!(polls.take("a", 100 * MINUTE), Ok(()));

        let slow = Polls::new(1);
        for _ in 0..10 {
            slow.take("a", 0).unwrap();
        }
        assert_eq!(slow.take("a", 0), Err(60));
    }

    #[test]
    fn buckets_that_are_full_again_are_forgotten() {
        let polls = Polls::new(60);
        for n in 0..MANY {
            polls.take(&n.to_string(), 0).unwrap();
        }
        polls.take("one more", MINUTE).unwrap();
        assert_eq!(polls.buckets.lock().unwrap().len(), 1);
    }
}
