//! Decimal numbers of any length, compared by value: `1.50` equals `15e-1`.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;

/// A decimal number: `0.digits × 10^point`, negated or not. Zero has no digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decimal {
    negative: bool,
    /// ASCII digits without a zero at either end.
    digits: Vec<u8>,
    point: i64,
}

impl Decimal {
    /// Reads `-1.50e3`; `None` for what is no number of JSON (leading zeros are forgiven).
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, digits, scale) = parts(text)?;
        Some(Self::new(negative, digits, scale))
    }

    /// The numbers that a search for `text` means, by how precise it is, the end not included: `5.4` is from 5.35 up to
    /// 5.45 (R4, search, "number").
    pub fn implied(text: &str) -> Option<Range<Self>> {
        let (negative, digits, scale) = parts(text)?;
        let half_above = |mut digits: Vec<u8>, negative| {
            digits.push(b'5');
            Self::new(negative, digits, scale + 1)
        };
        let outer = half_above(digits.clone(), negative);
        let inner =
            one_less(digits).map_or_else(|| half_above(Vec::new(), !negative), |less| half_above(less, negative));
        Some(if negative { outer..inner } else { inner..outer })
    }

    /// `digits × 10^-scale`.
    fn new(negative: bool, mut digits: Vec<u8>, scale: i64) -> Self {
        let point = i64::try_from(digits.len()).unwrap_or(i64::MAX).saturating_sub(scale);
        let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
        digits.drain(..zeros);
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        if digits.is_empty() {
            return Self { negative: false, digits, point: 0 };
        }
        Self { negative, digits, point: point.saturating_sub(i64::try_from(zeros).unwrap_or(i64::MAX)) }
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |one: &Self| {
            if one.digits.is_empty() {
                0
            } else if one.negative {
                -1
            } else {
                1
            }
        };
        let size = || self.point.cmp(&other.point).then_with(|| self.digits.cmp(&other.digits));
        sign(self).cmp(&sign(other)).then_with(|| match sign(self) {
            0 => Ordering::Equal,
            1 => size(),
            _ => size().reverse(),
        })
    }
}

/// Written as `-0.54e1`, which JSON and PostgreSQL read.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.negative { "-" } else { "" };
        let digits = if self.digits.is_empty() { "0".into() } else { String::from_utf8_lossy(&self.digits) };
        write!(f, "{sign}0.{digits}e{}", self.point)
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Sign, digits, and how many of them stand behind the point.
fn parts(text: &str) -> Option<(bool, Vec<u8>, i64)> {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        // A number beyond any that is stored.
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (mantissa, ""),
    };
    let numeric = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !numeric(whole) || !numeric(fraction) {
        return None;
    }
    let digits = [whole.as_bytes(), fraction.as_bytes()].concat();
    Some((negative, digits, i64::try_from(fraction.len()).ok()? - i64::from(exponent)))
}

/// A whole number less one; `None` for zero.
fn one_less(mut digits: Vec<u8>) -> Option<Vec<u8>> {
    let last = digits.iter().rposition(|digit| *digit != b'0')?;
    let (digit, zeros) = digits.get_mut(last..)?.split_first_mut()?;
    *digit -= 1;
    zeros.fill(b'9');
    Some(digits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Decimal {
        Decimal::parse(text).expect(text)
    }

    #[test]
    fn equal_whatever_the_notation() {
        for (left, right) in
            [("1.50", "15e-1"), ("0", "-0.00"), ("100", "1e2"), ("0.001", "1E-3"), ("007", "7"), ("12e0", "12")]
        {
            assert_eq!(number(left), number(right), "{left} {right}");
            assert_eq!(number(&number(left).to_string()), number(right), "{left} {right}");
        }
        for text in ["", "-", ".5", "5.", "1e", "1e+", "x", "+1", "1 ", "1e99999999999"] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }

    #[test]
    fn ordered_by_value() {
        let sorted = ["-1e30", "-10", "-9.99", "-0.1", "-0.01", "0", "0.009", "0.01", "9", "9.0001", "10", "1e30"];
        for pair in sorted.windows(2) {
            assert!(number(pair[0]) < number(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn as_precise_as_it_is_written() {
        for (text, low, high) in [
            ("5.4", "5.35", "5.45"),
            ("5.40", "5.395", "5.405"),
            ("100", "99.5", "100.5"),
            ("1e2", "50", "150"),
            ("0", "-0.5", "0.5"),
            ("-5.4", "-5.45", "-5.35"),
            ("1", "0.5", "1.5"),
            ("1000", "999.5", "1000.5"),
        ] {
            assert_eq!(Decimal::implied(text), Some(number(low)..number(high)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn as_integers_do(left in -100_000_i64..100_000, right in -100_000_i64..100_000, scale in 0_usize..6) {
            let text = |value: i64| {
                let digits = format!("{:06}", value.abs());
                let (whole, fraction) = digits.split_at(digits.len() - scale);
                let sign = if value < 0 { "-" } else { "" };
                let whole = if whole.is_empty() { "0" } else { whole };
                if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
            };
            prop_assert_eq!(number(&text(left)).cmp(&number(&text(right))), left.cmp(&right));
            let implied = Decimal::implied(&text(left)).expect("a number");
            prop_assert_eq!(implied.contains(&number(&text(right))), left == right);
        }
    }
}
