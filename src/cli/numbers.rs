//! Numbers as people read them.

use std::time::Duration;

/// `0`, `999`, `12.3 k`, `5.1 M`.
pub(super) fn short(count: u64) -> String {
    scaled(count as f64, ["", " k", " M", " G"])
}

/// `0 B`, `12.3 kB`, `812.4 MB`.
pub(super) fn bytes(bytes: u64) -> String {
    scaled(bytes as f64, [" B", " kB", " MB", " GB"])
}

/// `1,234,567`.
pub(super) fn exact(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`.
pub(super) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..=9 => format!("{:.1} s", time.as_secs_f64()),
        10..=59 => format!("{seconds} s"),
        60..=3599 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// `count` per second; 0 as long as no time has passed.
pub(super) fn per_second(count: u64, time: Duration) -> u64 {
    let seconds = time.as_secs_f64();
    if seconds > 0.0 { (count as f64 / seconds).round() as u64 } else { 0 }
}

fn scaled(mut value: f64, units: [&str; 4]) -> String {
    let mut units = units.into_iter();
    let mut unit = units.next().unwrap_or_default();
    let mut whole = true;
    for next in units {
        // 999.95 would be printed as 1000.0.
        if value < if whole { 1000.0 } else { 999.95 } {
            break;
        }
        value /= 1000.0;
        unit = next;
        whole = false;
    }
    if whole { format!("{value:.0}{unit}") } else { format!("{value:.1}{unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (count, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1.0 k"),
            (12_345, "12.3 k"),
            (999_949, "999.9 k"),
            (999_950, "1.0 M"),
            (5_123_456, "5.1 M"),
            (7_000_000_000_000, "7000.0 G"),
        ] {
            assert_eq!(short(count), text);
        }
        assert_eq!(bytes(812_400_000), "812.4 MB");
        assert_eq!(bytes(12), "12 B");
        for (count, text) in [(0, "0"), (123, "123"), (1234, "1,234"), (123_456, "123,456"), (1_234_567, "1,234,567")] {
            assert_eq!(exact(count), text);
        }
        for (millis, text) in [(400, "0.4 s"), (12_700, "12 s"), (200_000, "3 min 20 s"), (7_500_000, "2 h 5 min")] {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
        assert_eq!(per_second(100, Duration::ZERO), 0);
        assert_eq!(per_second(100, Duration::from_millis(500)), 200);
    }
}
