//! Order of fields, as PostgreSQL has it: for merging streams and for `$if`.

use std::cmp::Ordering;

use super::number::Numeric;
use super::{Invalid, leaf};
use crate::plan::program::Comparand;
use crate::plan::program::CompareOp;
use crate::row::{PgKind, value};

/// The order of two fields of one kind: numbers and times by value, text and uuids by bytes.
#[inline]
pub fn fields(kind: &PgKind, left: &[u8], right: &[u8]) -> Ordering {
    let by_value = match kind {
        PgKind::Int2
        | PgKind::Int4
        | PgKind::Int8
        | PgKind::Date
        | PgKind::Time
        | PgKind::Timestamp
        | PgKind::TimestampTz => ints(left, right),
        PgKind::Numeric => numerics(left, right),
        PgKind::Float4 | PgKind::Float8 => floats(kind, left, right),
        _ => None,
    };
    by_value.unwrap_or_else(|| leaf::text_of(kind, left).cmp(leaf::text_of(kind, right)))
}

fn ints(left: &[u8], right: &[u8]) -> Option<Ordering> {
    Some(leaf::int(left).ok()?.cmp(&leaf::int(right).ok()?))
}

fn numerics(left: &[u8], right: &[u8]) -> Option<Ordering> {
    Some(Numeric::read(left).ok()?.compare(&Numeric::read(right).ok()?))
}

fn float(kind: &PgKind, field: &[u8]) -> Option<f64> {
    if *kind == PgKind::Float4 { leaf::float4(field).ok().map(f64::from) } else { leaf::float8(field).ok() }
}

fn floats(kind: &PgKind, left: &[u8], right: &[u8]) -> Option<Ordering> {
    Some(float_order(float(kind, left)?, float(kind, right)?))
}

/// NaN equals itself and is above everything, zeros are equal.
fn float_order(left: f64, right: f64) -> Ordering {
    left.partial_cmp(&right).unwrap_or_else(|| left.is_nan().cmp(&right.is_nan()))
}

/// A literal of a condition, ready to be compared.
#[derive(Debug, Clone)]
pub(super) enum Literal {
    Bytes(Vec<u8>),
    Int(i64),
    /// In PostgreSQL's binary form.
    Numeric(Vec<u8>),
    Float(f64),
}

impl Literal {
    pub(super) fn new(comparand: &Comparand) -> Result<Self, Invalid> {
        Ok(match comparand {
            Comparand::Text(text) => Self::Bytes(text.as_bytes().to_vec()),
            Comparand::Int(value) => Self::Int(*value),
            Comparand::Numeric(text) => {
                let mut wire = Vec::new();
                value::binary(&PgKind::Numeric, text, &mut wire).map_err(|_not_a_number| Invalid)?;
                Self::Numeric(wire)
            }
            Comparand::Float(value) => Self::Float(*value),
            Comparand::Bool(value) => Self::Bytes(vec![u8::from(*value)]),
            Comparand::Uuid(bytes) => Self::Bytes(bytes.to_vec()),
        })
    }

    /// The order of two numbers; `None` for anything else.
    pub(super) fn against(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Numeric(left), Self::Numeric(right)) => numerics(left, right),
            _ => None,
        }
    }

    /// The order of a field against the literal; `None` when they cannot be compared.
    pub(super) fn order(&self, kind: &PgKind, field: &[u8]) -> Option<Ordering> {
        match self {
            Self::Bytes(bytes) => {
                // `char(n)`: blanks at the end of a literal mean nothing either.
                Some(leaf::text_of(kind, field).cmp(leaf::text_of(kind, bytes)))
            }
            Self::Int(value) => Some(leaf::int(field).ok()?.cmp(value)),
            Self::Numeric(wire) => numerics(field, wire),
            Self::Float(value) => Some(float_order(float(kind, field)?, *value)),
        }
    }
}

/// True when the operator holds for this order.
pub(super) fn holds(op: CompareOp, order: Ordering) -> bool {
    match op {
        CompareOp::Eq => order.is_eq(),
        CompareOp::Ne => order.is_ne(),
        CompareOp::Lt => order.is_lt(),
        CompareOp::Le => order.is_le(),
        CompareOp::Gt => order.is_gt(),
        CompareOp::Ge => order.is_ge(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(kind: &str, text: &str) -> (PgKind, Vec<u8>) {
        let kind = PgKind::from_sql_name(kind);
        let mut field = Vec::new();
        value::binary(&kind, text, &mut field).unwrap();
        (kind, field)
    }

    #[test]
    fn ascending_values() {
        for (kind, ascending) in [
            ("smallint", &["-2", "0", "255", "256"][..]),
            ("integer", &["-70000", "-1", "0", "65536"]),
            ("bigint", &["-5000000000", "0", "5000000000"]),
            ("numeric", &["-1.5", "0", "1.49", "1.5", "10", "NaN"]),
            ("real", &["-Infinity", "-1", "0", "0.5", "Infinity", "NaN"]),
            ("double precision", &["-1", "0", "1e300", "NaN"]),
            ("text", &["", " ", "A", "a", "ab", "ä"]),
            ("boolean", &["false", "true"]),
            ("date", &["-infinity", "1999-12-31", "2000-01-01", "infinity"]),
            ("timestamp", &["1999-12-31 23:59:59", "2000-01-01 00:00:00"]),
            ("timestamptz", &["-infinity", "1999-12-31T23:59:59Z", "2000-01-01T00:00:00Z"]),
            ("uuid", &["00000000-0000-0000-0000-000000000001", "80000000-0000-0000-0000-000000000000"]),
        ] {
            for (i, left) in ascending.iter().enumerate() {
                for (j, right) in ascending.iter().enumerate() {
                    let ((of, left), (_, right)) = (field(kind, left), field(kind, right));
                    assert_eq!(fields(&of, &left, &right), i.cmp(&j), "{kind} {i} {j}");
                }
            }
        }
        let ((of, left), (_, right)) = (field("character", "ab  "), field("character", "ab"));
        assert!(fields(&of, &left, &right).is_eq());
    }

    #[test]
    fn literals() {
        for (kind, value, literal, expected) in [
            ("text", "b", Comparand::Text("a".to_owned()), Some(Ordering::Greater)),
            ("character", "a  ", Comparand::Text("a ".to_owned()), Some(Ordering::Equal)),
            ("smallint", "3", Comparand::Int(4), Some(Ordering::Less)),
            ("date", "2000-01-02", Comparand::Int(1), Some(Ordering::Equal)),
            ("numeric", "1.50", Comparand::Numeric("1.5".to_owned()), Some(Ordering::Equal)),
            ("real", "0.5", Comparand::Float(0.5), Some(Ordering::Equal)),
            ("boolean", "true", Comparand::Bool(false), Some(Ordering::Greater)),
            ("uuid", "00000000-0000-0000-0000-000000000000", Comparand::Uuid([0; 16]), Some(Ordering::Equal)),
            ("text", "abc", Comparand::Int(4), None),
        ] {
            let (of, field) = field(kind, value);
            assert_eq!(Literal::new(&literal).unwrap().order(&of, &field), expected, "{kind} {value}");
        }
        assert!(Literal::new(&Comparand::Numeric("x".to_owned())).is_err());
    }
}
