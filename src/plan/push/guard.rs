//! `$if` in SQL: which rows can make a condition true, or false.

use super::Turned;
use super::compare::{BLANKS, Trim, equal, unequal};
use super::condition::Condition;
use crate::mapping::tree::{ColumnRef, CompareOp, Condition as Guard, Operand};
use crate::plan::select::{Param, quote_literal};
use crate::row::PgKind;

impl Turned<'_> {
    /// What holds when all of these conditions do.
    pub(super) fn guards(&self, guards: &[Guard]) -> Condition {
        Condition::all(guards.iter().map(|guard| self.guard(guard, true)))
    }

    /// What holds when a condition comes to `wanted`; an unknown one comes to neither.
    fn guard(&self, guard: &Guard, wanted: bool) -> Condition {
        let each = |parts: &[Guard]| parts.iter().map(|part| self.guard(part, wanted)).collect::<Vec<_>>();
        match guard {
            Guard::And(parts) if wanted => Condition::all(each(parts)),
            Guard::And(parts) => Condition::any(each(parts)),
            Guard::Or(parts) if wanted => Condition::any(each(parts)),
            Guard::Or(parts) => Condition::all(each(parts)),
            Guard::Not(part) => self.guard(part, !wanted),
            Guard::IsNull { operand: Operand::Column(column), negated } => self.is_null(column, wanted != *negated),
            Guard::In { operand: Operand::Column(column), list, negated } => {
                self.is_one_of(column, &list.iter().collect::<Vec<_>>(), wanted != *negated)
            }
            Guard::Compare { left: Operand::Column(column), op, right: literal } => match op {
                CompareOp::Eq => self.is_one_of(column, &[literal], wanted),
                CompareOp::Ne => self.is_one_of(column, &[literal], !wanted),
                _ => self.compares(column, *op, literal, wanted),
            },
            Guard::Truthy(column) => match self.column(column) {
                Some((name, PgKind::Bool)) => Condition::text(if wanted { name } else { format!("not {name}") }),
                _ => Condition::Maybe,
            },
            Guard::IsNull { .. } | Guard::In { .. } | Guard::Compare { .. } => Condition::Maybe,
        }
    }

    /// Blank text is NULL.
    fn is_null(&self, column: &ColumnRef, wanted: bool) -> Condition {
        let Some((name, kind)) = self.column(column) else { return Condition::Maybe };
        match kind {
            _ if !wanted => Condition::text(format!("{name} is not null")),
            PgKind::Text | PgKind::Char => {
                let blanks = quote_literal(BLANKS);
                Condition::text(format!("({name} is null or btrim({name}::text, {blanks}) = '')"))
            }
            // They can be empty in more ways.
            PgKind::Json | PgKind::Jsonb | PgKind::Bytea | PgKind::Array(_) => Condition::Maybe,
            _ => Condition::text(format!("{name} is null")),
        }
    }

    fn is_one_of(&self, column: &ColumnRef, list: &[&Operand], wanted: bool) -> Condition {
        let Some((name, kind)) = self.column(column) else { return Condition::Maybe };
        let literal = |operand: &&Operand| match (operand, &kind) {
            (Operand::Text(text), PgKind::Text) => Some(text.clone()),
            (Operand::Text(text), PgKind::Char) => Some(text.trim_end_matches(' ').to_owned()),
            (Operand::Text(text), PgKind::Uuid) => uuid::Uuid::parse_str(text).ok().map(|uuid| uuid.to_string()),
            (Operand::Number(digits), PgKind::Int2 | PgKind::Int4 | PgKind::Int8) => {
                digits.parse::<i64>().ok().map(|number| number.to_string())
            }
            (Operand::Bool(value), PgKind::Bool) => Some(value.to_string()),
            _ => None,
        };
        let Some(values) = list.iter().map(literal).collect::<Option<Vec<String>>>() else { return Condition::Maybe };
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        if wanted { equal(&name, &kind, &values, Trim::No) } else { unequal(&name, &kind, &values) }
    }

    fn compares(&self, column: &ColumnRef, op: CompareOp, literal: &Operand, wanted: bool) -> Condition {
        let Some((name, PgKind::Int2 | PgKind::Int4 | PgKind::Int8 | PgKind::Numeric)) = self.column(column) else {
            return Condition::Maybe;
        };
        let Operand::Number(digits) = literal else { return Condition::Maybe };
        let op = match (op, wanted) {
            (CompareOp::Lt, true) | (CompareOp::Ge, false) => "<",
            (CompareOp::Le, true) | (CompareOp::Gt, false) => "<=",
            (CompareOp::Gt, true) | (CompareOp::Le, false) => ">",
            (CompareOp::Ge, true) | (CompareOp::Lt, false) => ">=",
            (CompareOp::Eq | CompareOp::Ne, _) => return Condition::Maybe,
        };
        Condition::sql(&format!("{name} {op} "), Param::Text(digits.clone()), "::text::numeric")
    }
}
