//! How often somebody may ask.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

const MINUTE: i64 = 60_000_000;
/// Who is remembered at most; the others share one place.
const MAX_KNOWN: usize = 50_000;

/// At most so many a minute for each `K`, any of them at once. `None` is the place that is shared when too many ask.
pub(super) struct Limiter<K> {
    /// Microseconds that one of them costs.
    cost: i64,
    /// When each will have paid for what it had.
    paid: Mutex<HashMap<Option<K>, i64>>,
    most: usize,
}

impl<K: Eq + Hash> Limiter<K> {
    pub(super) fn new(per_minute: u32) -> Self {
        Self { cost: MINUTE / i64::from(per_minute.max(1)), paid: Mutex::default(), most: MAX_KNOWN }
    }

    /// Lets one through, or says after how many seconds to come again.
    pub(super) fn take(&self, key: K, now: i64) -> Result<(), u32> {
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = Some(key);
        if paid.len() >= self.most && !paid.contains_key(&key) {
            paid.retain(|_, until| *until > now);
            if paid.len() >= self.most {
                key = None;
            }
        }
        let until = paid.entry(key).or_insert(now);
        // Neither saved up while away, nor owed for longer than a minute when the clock was set back.
        let owed = (*until).clamp(now, now.saturating_add(MINUTE));
        *until = owed;
        let wait = owed + self.cost - now - MINUTE;
        if wait > 0 {
            return Err(u32::try_from(wait.div_euclid(1_000_000) + 1).unwrap_or(u32::MAX));
        }
        *until = owed + self.cost;
        Ok(())
    }
}

/// Whom an address stands for: an IPv6 network of 64 bits is one customer.
pub(super) fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_holds_so_many_and_no_more() {
        let limiter = Limiter::new(3);
        for _ in 0..3 {
            assert_eq!(limiter.take("a", 0), Ok(()));
        }
        let wait = limiter.take("a", 0).unwrap_err();
        assert!((20..=21).contains(&wait), "{wait}");
        assert_eq!(limiter.take("b", 0), Ok(()), "others are not concerned");
        assert!(limiter.take("a", 19_999_999).is_err());
        assert_eq!(limiter.take("a", 20_000_001), Ok(()));
        assert!(limiter.take("a", 20_000_001).is_err());
        // Nothing is saved up over the hours.
        let later = 3_600_000_000;
        assert_eq!((0..5).filter(|_| limiter.take("a", later).is_ok()).count(), 3);
        // A clock that is set back locks nobody out for longer than a minute.
        assert!(limiter.take("a", 0).is_err());
        assert_eq!(limiter.take("a", 60_000_000), Ok(()));
    }

    #[test]
    fn memory_is_bounded() {
        let limiter = Limiter { most: 2, ..Limiter::new(1) };
        assert_eq!(limiter.take(1, 0), Ok(()));
        assert_eq!(limiter.take(2, 0), Ok(()));
        assert_eq!(limiter.take(3, 0), Ok(()), "the shared place");
        assert!(limiter.take(4, 0).is_err(), "is shared");
        assert_eq!(limiter.take(4, MINUTE), Ok(()), "who has paid is forgotten");
        assert!(limiter.paid.lock().unwrap().len() <= 3);
    }

    #[test]
    fn an_ipv6_network_is_one() {
        let same = |a: &str, b: &str| neighbourhood(a.parse().unwrap()) == neighbourhood(b.parse().unwrap());
        assert!(same("2606:4700::1", "2606:4700::ffff:1"));
        assert!(!same("2606:4700::1", "2606:4700:0:1::1"));
        assert!(same("::ffff:192.0.2.1", "192.0.2.1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
    }
}
