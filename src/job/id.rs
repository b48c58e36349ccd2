//! The name of a job: random, so that it cannot be guessed, and of one form, so that it can be a directory.

use std::fmt;
use std::io;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// 128 random bits, written as 22 characters of base64url.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId([u8; 16]);

/// A text that is not the name of any job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a job id")]
pub struct NotAJobId;

impl JobId {
    /// A new one, from the system's random numbers.
    ///
    /// # Errors
    ///
    /// When the system has none to give.
    pub fn random() -> io::Result<Self> {
        let mut bits = [0; 16];
        getrandom::fill(&mut bits).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Self(bits))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for JobId {
    type Err = NotAJobId;

    /// Reads what `Display` writes, and nothing else: one job has one name.
    fn from_str(text: &str) -> Result<Self, NotAJobId> {
        let mut bits = [0; 16];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut bits) {
            Ok(16) if text.len() == 22 => Ok(Self(bits)),
            _ => Err(NotAJobId),
        }
    }
}

impl Serialize for JobId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for JobId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    //
    #[test]
    fn ids_are_random_and_plain() {
        let ids: BTreeSet<String> = (0..100).map(|_| JobId::random().unwrap().to_string()).collect();
        assert_eq!(ids.len(), 100);
        for id in ids {
            assert!(id.len() == 22 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
            assert_eq!(id.parse::<JobId>().unwrap().to_string(), id);
        }
    }

    //
    #[test]
    fn nothing_else_is_an_id() {
        let good = "AAAAAAAAAAAAAAAAAAAAAA";
        assert!(good.parse::<JobId>().is_ok());
        for text in [
            "",
            ".",
            "..",
            "AAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAA==",
            // The last character has four bits to spare; only zeros are its one way to be written.
            "AAAAAAAAAAAAAAAAAAAAAB",
            "../../../../etc/passwd",
            "AAAAAAAAAAAAAAAAAAAA/A",
            "AAAAAAAAAAAAAAAAAAAA+A",
            "AAAAAAAAAAAAAAAAAAAA A",
            "AAAAAAAAAAAAAAAAAAAAA\0",
            "ＡAAAAAAAAAAAAAAAAAAA",
        ] {
            assert_eq!(text.parse::<JobId>(), Err(NotAJobId), "{text:?}");
        }
    }

    proptest! {
        //
        #[test]
        fn what_is_read_is_what_was_written(text in "\\PC{0,30}|[A-Za-z0-9_-]{22}") {
            if let Ok(id) = text.parse::<JobId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
