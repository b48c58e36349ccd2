//! File URLs that work without a token for a short time (F-08, F-09).

use super::secret::SigningKey;

/// A path segment that opens the files of a job until `expires` (seconds since 1970).
pub fn sign(_key: &SigningKey, _job: &str, _expires: i64) -> String {
    String::new()
}

/// Whether a path segment opens the files of this job now.
pub fn check(_key: &SigningKey, _segment: &str, _job: &str, _now: i64) -> bool {
    false
}
