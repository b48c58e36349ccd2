//! Numbers that are not whole: `numeric` digit by digit, floats by their shortest digits.

use std::cmp::Ordering;

use super::Invalid;

/// A `numeric` as PostgreSQL sends it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numeric<'a> {
    /// Power of 10000 of the first digit.
    weight: i32,
    sign: u16,
    /// Decimal digits after the point.
    scale: usize,
    /// Base-10000 digits, two bytes each.
    digits: &'a [[u8; 2]],
}

const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const MINUS_INFINITY: u16 = 0xF000;

impl<'a> Numeric<'a> {
    /// Reads the wire form.
    #[inline]
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Invalid> {
        let (halves, []) = bytes.as_chunks::<2>() else { return Err(Invalid) };
        let [count, weight, sign, scale, digits @ ..] = halves else { return Err(Invalid) };
        if usize::from(u16::from_be_bytes(*count)) != digits.len() {
            return Err(Invalid);
        }
        Ok(Self {
            weight: i32::from(i16::from_be_bytes(*weight)),
            sign: u16::from_be_bytes(*sign),
            scale: usize::from(u16::from_be_bytes(*scale)),
            digits,
        })
    }

    /// The base-10000 digit at this power, 0 beyond those sent.
    #[inline]
    fn digit(&self, power: i32) -> u16 {
        let index = usize::try_from(self.weight - power).ok();
        index.and_then(|index| self.digits.get(index)).map_or(0, |digit| u16::from_be_bytes(*digit))
    }

    fn is_zero(&self) -> bool {
        self.digits.iter().all(|digit| *digit == [0, 0])
    }

    /// Appends the digits with the scale; NaN and infinities are invalid.
    #[inline]
    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), Invalid> {
        match self.sign {
            0 => {}
            NEGATIVE => out.push(b'-'),
            _ => return Err(Invalid),
        }
        let mut power = self.weight.max(0);
        let leading = itoa::Buffer::new().format(self.digit(power)).len().min(4);
        out.extend_from_slice(&four(self.digit(power))[4 - leading..]);
        while power > 0 {
            power -= 1;
            out.extend_from_slice(&four(self.digit(power)));
        }
        if self.scale > 0 {
            out.push(b'.');
            let end = out.len() + self.scale;
            while out.len() < end {
                power -= 1;
                out.extend_from_slice(&four(self.digit(power)));
            }
            out.truncate(end);
        }
        Ok(())
    }

    /// Appends what PostgreSQL's own output function would.
    pub(super) fn write_database(&self, out: &mut Vec<u8>) -> Result<(), Invalid> {
        match self.sign {
            NAN => out.extend_from_slice(b"NaN"),
            INFINITY => out.extend_from_slice(b"Infinity"),
            MINUS_INFINITY => out.extend_from_slice(b"-Infinity"),
            _ => return self.write(out),
        }
        Ok(())
    }

    /// Order by value; as in PostgreSQL, NaN equals itself and is above everything.
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        fn rank(of: &Numeric<'_>) -> i8 {
            match of.sign {
                NAN => 3,
                INFINITY => 2,
                MINUS_INFINITY => -2,
                _ if of.is_zero() => 0,
                NEGATIVE => -1,
                _ => 1,
            }
        }
        let (left, right) = (rank(self), rank(other));
        if left != right || !matches!(left, -1 | 1) {
            return left.cmp(&right);
        }
        let lowest = |of: &Self| of.weight - of.digits.len() as i32;
        let mut power = self.weight.max(other.weight);
        let last = lowest(self).min(lowest(other));
        let mut order = Ordering::Equal;
        while order.is_eq() && power > last {
            order = self.digit(power).cmp(&other.digit(power));
            power -= 1;
        }
        if left < 0 { order.reverse() } else { order }
    }
}

/// Four decimal digits of a base-10000 digit.
#[inline]
fn four(digit: u16) -> [u8; 4] {
    let [a, b] = super::text::pair(u32::from(digit / 100));
    let [c, d] = super::text::pair(u32::from(digit % 100));
    [a, b, c, d]
}

/// Shortest digits that read back the same; NaN and infinities are invalid.
pub(super) fn float(value: impl ryu::Float + Into<f64>, out: &mut Vec<u8>) -> Result<(), Invalid> {
    if !value.into().is_finite() {
        return Err(Invalid);
    }
    let mut buffer = ryu::Buffer::new();
    let digits = buffer.format_finite(value);
    out.extend_from_slice(digits.strip_suffix(".0").unwrap_or(digits).as_bytes());
    Ok(())
}

/// What PostgreSQL's own output function writes: shortest digits, with an exponent below 1e-4 and from
/// `10^threshold` on (15 for `double precision`, 6 for `real`).
pub(super) fn float_database(value: impl ryu::Float + Into<f64>, threshold: i32, out: &mut Vec<u8>) {
    let wide = value.into();
    if !wide.is_finite() {
        let name: &[u8] = if wide.is_nan() {
            b"NaN"
        } else if wide > 0.0 {
            b"Infinity"
        } else {
            b"-Infinity"
        };
        out.extend_from_slice(name);
        return;
    }
    let mut buffer = ryu::Buffer::new();
    let shortest = buffer.format_finite(value);
    let unsigned = shortest.strip_prefix('-');
    if unsigned.is_some() {
        out.push(b'-');
    }
    let unsigned = unsigned.unwrap_or(shortest);
    let (mantissa, exponent) = unsigned.split_once('e').unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = [whole, fraction].concat();
    // `point` digits of the significant ones stand before the decimal point.
    let significant = all.trim_start_matches('0');
    let shift = (all.len() - significant.len()) as i32;
    let point = whole.len() as i32 + exponent.parse::<i32>().unwrap_or(0) - shift;
    let digits = significant.trim_end_matches('0');
    let power = point - 1;
    if digits.is_empty() {
        out.push(b'0');
    } else if !(-4..threshold).contains(&power) {
        let (first, rest) = digits.split_at(1);
        out.extend_from_slice(first.as_bytes());
        if !rest.is_empty() {
            out.push(b'.');
            out.extend_from_slice(rest.as_bytes());
        }
        out.extend_from_slice(format!("e{}{:02}", if power < 0 { '-' } else { '+' }, power.abs()).as_bytes());
    } else if point <= 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + (-point) as usize, b'0');
        out.extend_from_slice(digits.as_bytes());
    } else {
        let point = point as usize;
        let (whole, fraction) = digits.split_at(point.min(digits.len()));
        out.extend_from_slice(whole.as_bytes());
        out.resize(out.len() + point - whole.len(), b'0');
        if !fraction.is_empty() {
            out.push(b'.');
            out.extend_from_slice(fraction.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::row::{PgKind, value::binary};

    fn wire(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        binary(&PgKind::Numeric, text, &mut out).unwrap();
        out
    }

    fn printed(wire: &[u8]) -> String {
        let mut out = Vec::new();
        match Numeric::read(wire).and_then(|value| value.write(&mut out)) {
            Ok(()) => String::from_utf8(out).unwrap(),
            Err(Invalid) => "invalid".to_owned(),
        }
    }

    #[test]
    fn numerics() {
        let hundred = format!("-{}.{}", "1234567890".repeat(10), "0987654321".repeat(10));
        let deep = format!("0.{}1", "0".repeat(16_382));
        for text in ["0", "0.00", "81.50", "-12345.6789", "0.0001", "100000000", "10000.0001", "9999", &hundred, &deep]
        {
            assert_eq!(printed(&wire(text)), text);
        }
        for (wire, expected) in [
            (wire("NaN"), "invalid"),
            (wire("-Infinity"), "invalid"),
            (vec![0, 1, 0, 0, 0, 0, 0], "invalid"),
            (vec![0, 2, 0, 0, 0, 0, 0, 0, 0, 1], "invalid"),
            (vec![], "invalid"),
        ] {
            assert_eq!(printed(&wire), expected);
        }
    }

    #[test]
    fn numerics_in_order_of_value() {
        let ascending = [
            "-Infinity",
            "-10000.5",
            "-10000",
            "-0.0001",
            "0",
            "0.00009",
            "0.0001",
            "1",
            "1.01",
            "9999",
            "10000",
            "Infinity",
            "NaN",
        ];
        for (i, left) in ascending.iter().enumerate() {
            for (j, right) in ascending.iter().enumerate() {
                let (left, right) = (wire(left), wire(right));
                assert_eq!(Numeric::read(&left).unwrap().compare(&Numeric::read(&right).unwrap()), i.cmp(&j));
            }
        }
        let (short, long) = (wire("1.5"), wire("1.500000"));
        assert!(Numeric::read(&short).unwrap().compare(&Numeric::read(&long).unwrap()).is_eq());
    }

    #[test]
    fn floats() {
        for (value, expected) in
            [(0.0, "0"), (-0.0, "-0"), (1.0, "1"), (0.1, "0.1"), (1e16, "1e16"), (1.5e-7, "1.5e-7"), (f64::NAN, "")]
        {
            let mut out = Vec::new();
            assert_eq!(float(value, &mut out).is_err(), expected.is_empty());
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
        let mut out = Vec::new();
        float(0.1_f32, &mut out).unwrap();
        assert_eq!(out, b"0.1");
    }

    /// Expected texts are PostgreSQL 15's.
    #[test]
    fn floats_as_the_database_prints_them() {
        for (value, double, single) in [
            (1e14, "100000000000000", "1e+14"),
            (1e15, "1e+15", "1e+15"),
            (123_456_789_012_345.0, "123456789012345", "1.2345679e+14"),
            (1_234_567_890_123_456.0, "1.234567890123456e+15", "1.234568e+15"),
            (0.0001, "0.0001", "0.0001"),
            (0.000_01, "1e-05", "1e-05"),
            (999_999.0, "999999", "999999"),
            (1e6, "1000000", "1e+06"),
            (1_234_567.0, "1234567", "1.234567e+06"),
            (-0.1, "-0.1", "-0.1"),
            (-0.0, "-0", "-0"),
            (12.5, "12.5", "12.5"),
            (f64::NAN, "NaN", "NaN"),
            (f64::NEG_INFINITY, "-Infinity", "-Infinity"),
        ] {
            let (mut wide, mut narrow) = (Vec::new(), Vec::new());
            float_database(value, 15, &mut wide);
            float_database(value as f32, 6, &mut narrow);
            assert_eq!(String::from_utf8(wide).unwrap(), double);
            assert_eq!(String::from_utf8(narrow).unwrap(), single);
        }
    }

    proptest! {
        #[test]
        fn numerics_come_back(text in "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,30})?") {
            let zero = !text.contains(['1', '2', '3', '4', '5', '6', '7', '8', '9']);
            let expected = if zero { text.trim_start_matches('-') } else { &text };
            prop_assert_eq!(printed(&wire(&text)), expected);
        }

        #[test]
        fn any_bytes_are_a_numeric_or_invalid(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            let text = printed(&bytes);
            prop_assert!(text == "invalid" || text.bytes().all(|byte| byte.is_ascii_digit() || b"-.".contains(&byte)));
        }

        #[test]
        fn floats_read_back(value in any::<f64>().prop_filter("finite", |value| value.is_finite())) {
            let mut out = Vec::new();
            float(value, &mut out).unwrap();
            let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
            prop_assert!(json.is_number());
            prop_assert_eq!(std::str::from_utf8(&out).unwrap().parse::<f64>().unwrap().to_bits(), value.to_bits());
            let mut out = Vec::new();
            float_database(value, 15, &mut out);
            prop_assert_eq!(std::str::from_utf8(&out).unwrap().parse::<f64>().unwrap().to_bits(), value.to_bits());
        }
    }
}
