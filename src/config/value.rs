//! Readers of values: none means that the text is no such value.

use std::time::Duration;

use crate::sink::Codec;

/// Some text.
pub(super) fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// The items of a comma list, blanks and empty ones dropped.
pub(super) fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

/// `true` or `false`.
pub(super) fn switch(text: &str) -> Option<bool> {
    text.parse().ok()
}

/// `90s`, `5min`, `24h`, `7d`; a bare number is seconds.
pub(super) fn time(text: &str) -> Option<Duration> {
    let (number, unit) = number(text)?;
    let seconds = match unit {
        "" | "s" => 1,
        "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

/// `256MiB`, `1GiB`, `100MB`, `65536`: at least 64 KiB, so that a type does not fall into countless files.
pub(crate) fn size(text: &str) -> Option<u64> {
    let (number, unit) = number(text)?;
    let factor = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return None,
    };
    number.checked_mul(factor).filter(|bytes| *bytes >= 1 << 16)
}

/// A whole number and what follows it.
fn number(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit.trim()))
}

pub(super) fn codec(text: &str) -> Option<Codec> {
    match text {
        "none" => Some(Codec::None),
        "gzip" => Some(Codec::Gzip),
        "zstd" => Some(Codec::Zstd),
        _ => None,
    }
}

/// `include` or `exclude`.
pub(super) fn include(text: &str) -> Option<bool> {
    match text {
        "include" => Some(true),
        "exclude" => Some(false),
        _ => None,
    }
}

pub(super) fn level(text: &str) -> Option<tracing::Level> {
    match text {
        "error" => Some(tracing::Level::ERROR),
        "warn" => Some(tracing::Level::WARN),
        "info" => Some(tracing::Level::INFO),
        "debug" => Some(tracing::Level::DEBUG),
        "trace" => Some(tracing::Level::TRACE),
        _ => None,
    }
}

pub(super) fn is_json(text: &str) -> Option<bool> {
    match text {
        "json" => Some(true),
        "text" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(size("64KiB"), Some(65_536));
        assert_eq!(size("100 MB"), Some(100_000_000));
        assert_eq!(size("1GiB"), Some(1 << 30));
        assert_eq!(size("2TB"), Some(2_000_000_000_000));
        assert_eq!(size("65536"), Some(65_536));
        assert_eq!(size("65535"), None);
        assert_eq!(size("MiB"), None);
    }

    #[test]
    fn times() {
        let seconds = |text| time(text).map(|time| time.as_secs());
        assert_eq!(seconds("90"), Some(90));
        assert_eq!(
            (seconds("90s"), seconds("5 min"), seconds("24h"), seconds("7d")),
            (Some(90), Some(300), Some(86_400), Some(604_800))
        );
        for wrong in ["", "s", "-1s", "1.5h", "5m", "1w", "99999999999999999999s", "9999999999999999999d"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn lists_drop_what_is_empty() {
        assert_eq!(list(" a, b ,,c"), ["a", "b", "c"]);
        assert_eq!(list(""), [""; 0]);
    }
}
