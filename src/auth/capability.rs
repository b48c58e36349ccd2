//! File URLs that work without a token for a short time (F-08, F-09): a path segment that only this server can make,
//! with 256 bits nobody can guess.

use super::secret::SigningKey;

/// A path segment that opens the files of a job until `expires` (seconds since 1970).
pub fn sign(key: &SigningKey, job: &str, expires: i64) -> String {
    // Without a seal the segment opens nothing.
    let seal = key.seal(&message(job, expires)).unwrap_or_default();
    format!("{expires}.{seal}")
}

/// Whether a path segment opens the files of this job now (seconds since 1970).
pub fn check(key: &SigningKey, segment: &str, job: &str, now: i64) -> bool {
    let Some((expires, seal)) = segment.split_once('.') else { return false };
    let Ok(until) = expires.parse::<i64>() else { return false };
    // One way to write a number: `+7` and `07` are other URLs.
    until.to_string() == expires && key.is_seal(seal, &message(job, until)) && now < until
}

fn message(job: &str, expires: i64) -> String {
    format!("{expires}:{job}")
}

#[cfg(test)]
mod tests {
    use super::*;

    // F-09
    #[test]
    fn a_segment_opens_one_job_for_its_time() {
        let key = SigningKey::random().unwrap();
        let segment = sign(&key, "job-1", 1000);
        assert!(segment.len() >= 43 && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)));
        for (job, now, want) in
            [("job-1", 0, true), ("job-1", 999, true), ("job-1", 1000, false), ("job-2", 0, false), ("", 0, false)]
        {
            assert_eq!(check(&key, &segment, job, now), want, "{job} {now}");
        }
        assert!(!check(&SigningKey::random().unwrap(), &segment, "job-1", 0), "another server's key");
    }

    #[test]
    fn nothing_about_a_segment_can_be_changed() {
        let key = SigningKey::random().unwrap();
        let segment = sign(&key, "job", 1000);
        let (_, seal) = segment.split_once('.').unwrap();
        for forged in [
            format!("2000.{seal}"),
            format!("01000.{seal}"),
            format!("+1000.{seal}"),
            format!(" 1000.{seal}"),
            format!("1000.{seal}="),
            format!("1000.{seal}A"),
            format!("1000.{}", &seal[1..]),
            format!("1000.{}", seal.to_ascii_uppercase()),
            "1000.".to_owned(),
            "1000".to_owned(),
            ".".to_owned(),
            String::new(),
            format!("99999999999999999999.{seal}"),
        ] {
            assert!(!check(&key, &forged, "job", 0), "{forged}");
        }
        // Time and job cannot trade characters.
        assert!(!check(&key, &format!("100.{seal}"), "0:job", 0));
    }
}
