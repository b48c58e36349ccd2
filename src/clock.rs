//! What time it is, as a value that is passed in: whoever decides by time can be tested without waiting.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

/// A clock.
pub trait Clock: Send + Sync {
    /// Microseconds since 1970-01-01T00:00:00Z.
    fn now_micros(&self) -> i64;

    /// Seconds since 1970-01-01T00:00:00Z, rounded down.
    fn now_seconds(&self) -> i64 {
        self.now_micros().div_euclid(1_000_000)
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_micros(&self) -> i64 {
        let micros = |span: std::time::Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => micros(after),
            Err(before) => -micros(before.duration()),
        }
    }
}

/// A clock that stands still until it is set: for tests.
#[derive(Debug, Default)]
pub struct SetClock(AtomicI64);

impl SetClock {
    /// A clock that shows these microseconds.
    pub const fn at(micros: i64) -> Self {
        Self(AtomicI64::new(micros))
    }

    /// Shows these microseconds from now on.
    pub fn set(&self, micros: i64) {
        self.0.store(micros, Ordering::SeqCst);
    }

    /// Moves by so many seconds.
    pub fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds.saturating_mul(1_000_000), Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now_micros(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_round_down() {
        let clock = SetClock::at(1_999_999);
        assert_eq!(clock.now_seconds(), 1);
        clock.set(-1);
        assert_eq!(clock.now_seconds(), -1);
        clock.advance(2);
        assert_eq!(clock.now_micros(), 1_999_999);
    }

    #[test]
    fn the_machine_is_later_than_this_line_was_written() {
        assert!(SystemClock.now_seconds() > 1_760_000_000);
    }
}
