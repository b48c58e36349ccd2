//! Strings built per row, and conditions: trees over names become trees over slots.

use super::lower::Lower;
use super::program::{
    Comparand, PredicateTest, SlotRef, TextArg, TextArgText, TextPart, TextProgram, TextTest, Writer,
};
use super::scope::Presence;
use super::times;
use super::writer::{in_template, in_text};
use crate::mapping::diagnostic::Diagnostic;
use crate::mapping::tree::{Arg, ColumnRef, CompareOp, Condition, Function, Operand, Part, Test, Text};
use crate::row::PgKind;

impl Lower<'_> {
    // ---- texts ----------------------------------------------------------------------------------------------

    /// A text is empty when a column outside every guard is, or nothing but blanks would be written.
    pub(super) fn text_presence(&mut self, text: &Text) -> Presence {
        let mut parts = Vec::new();
        if is_uncertain(&text.parts) {
            let program = TextProgram { parts: self.text_parts(&text.parts), html: text.html };
            let current = self.current as usize;
            let written = self.scopes[current].predicate(PredicateTest::Written(Box::new(program)));
            parts.push(Presence::When(written));
        }
        for part in &text.parts {
            match part {
                Part::Column(column) | Part::Apply(_, column) => parts.push(self.column_presence(column)),
                Part::Uuid { args, .. } | Part::Sha256(args) => {
                    for arg in args {
                        if let Arg::Column(column) = arg {
                            parts.push(self.column_presence(column));
                        }
                    }
                }
                Part::Render { required, .. } => {
                    for column in required {
                        parts.push(self.column_presence(column));
                    }
                }
                Part::Literal(_) | Part::When { .. } => {}
            }
        }
        let current = self.current as usize;
        self.scopes[current].all(parts)
    }

    fn column_presence(&mut self, column: &ColumnRef) -> Presence {
        match self.find_column(column, false) {
            Some(found) => self.slot_of(&found, None).1,
            None => Presence::Never,
        }
    }

    /// The number of the text's program.
    pub(super) fn text(&mut self, text: &Text) -> u16 {
        if let Some(refers) = &text.refers {
            self.reference_types(refers);
        }
        let parts = self.text_parts(&text.parts);
        self.texts.push(TextProgram { parts, html: text.html });
        (self.texts.len() - 1) as u16
    }

    fn text_parts(&mut self, parts: &[Part]) -> Vec<TextPart> {
        let mut out = Vec::new();
        for part in parts {
            match part {
                Part::Literal(text) => out.push(TextPart::Literal(text.clone())),
                Part::Column(column) => {
                    if let Some((slot, writer)) = self.text_column(column) {
                        out.push(TextPart::Slot(slot, writer));
                    }
                }
                Part::Apply(function, column) => {
                    if let Some((slot, writer)) = self.text_column(column) {
                        out.push(TextPart::Apply(*function, slot, writer));
                    }
                }
                Part::Uuid { namespace, args } => {
                    let args = self.hash_args(args);
                    out.push(TextPart::Uuid(*namespace, args));
                }
                Part::Sha256(args) => {
                    let args = self.hash_args(args);
                    out.push(TextPart::Sha256(args));
                }
                Part::When { test, then, otherwise } => {
                    let test = self.text_test(test);
                    let (then, otherwise) = (self.text_parts(then), self.text_parts(otherwise));
                    out.push(TextPart::When(test, then, otherwise));
                }
                Part::Render { template, columns, .. } => {
                    let mut slots = Vec::new();
                    for column in columns {
                        // Lists and documents are what a template needs the crate for.
                        let Some(found) = self.find_column(column, true) else { continue };
                        match in_template(&found.kind, self.pack.project.timezone.is_some()) {
                            Ok(writer) => {
                                let (slot, _) = self.slot_of(&found, None);
                                let name = format!("{}{}", "../".repeat(column.up.into()), column.name);
                                slots.push((name, slot, writer));
                            }
                            Err(misfit) => self.misfit(&misfit, column, &found.kind.to_string(), "text"),
                        }
                    }
                    out.push(TextPart::Render(template.clone(), slots));
                }
            }
        }
        out
    }

    fn text_column(&mut self, column: &ColumnRef) -> Option<(SlotRef, Writer)> {
        let found = self.find_column(column, false)?;
        let writer = self.text_writer(column, &found.kind)?;
        let (slot, _) = self.slot_of(&found, None);
        Some((slot, writer))
    }

    fn text_writer(&mut self, column: &ColumnRef, kind: &PgKind) -> Option<Writer> {
        match in_text(kind, self.pack.project.timezone.is_some()) {
            Ok(writer) => Some(writer),
            Err(misfit) => {
                self.misfit(&misfit, column, &kind.to_string(), "text");
                None
            }
        }
    }

    fn hash_args(&mut self, args: &[Arg]) -> Vec<TextArg> {
        let mut out = Vec::new();
        for arg in args {
            match arg {
                Arg::Literal(text) => out.push(TextArg::Literal(text.clone())),
                Arg::Column(column) => {
                    let Some(found) = self.find_column(column, false) else { continue };
                    // Ids are made of the database's own text, so a local time needs no zone here.
                    if let Err(misfit) = in_text(&found.kind, true) {
                        self.misfit(&misfit, column, &found.kind.to_string(), "part of an id");
                        continue;
                    }
                    let (slot, _) = self.slot_of(&found, None);
                    out.push(TextArg::Slot(slot));
                }
            }
        }
        out
    }

    fn text_test(&mut self, test: &Test) -> TextTest {
        match test {
            Test::Truthy(column) => match self.find_column(column, false) {
                Some(found) => {
                    let slot = self.slot_of(&found, None).0;
                    let mut all = vec![TextTest::Truthy(slot)];
                    if found.from_json {
                        // A field is read as text, and is to decide as the boolean or number that it may be.
                        all.extend(["false", "0"].map(|text| {
                            let text = TextArgText::Literal(text.to_owned());
                            TextTest::Not(Box::new(TextTest::Eq(TextArgText::Slot(slot, Writer::String), text)))
                        }));
                    }
                    TextTest::And(all)
                }
                None => TextTest::Or(Vec::new()),
            },
            Test::Not(test) => TextTest::Not(Box::new(self.text_test(test))),
            Test::And(tests) => TextTest::And(tests.iter().map(|test| self.text_test(test)).collect()),
            Test::Or(tests) => TextTest::Or(tests.iter().map(|test| self.text_test(test)).collect()),
            Test::Eq(left, right) => match (self.text_side(left), self.text_side(right)) {
                (Some(left), Some(right)) => TextTest::Eq(left, right),
                _ => TextTest::Or(Vec::new()),
            },
        }
    }

    fn text_side(&mut self, arg: &Arg) -> Option<TextArgText> {
        match arg {
            Arg::Literal(text) => Some(TextArgText::Literal(text.clone())),
            Arg::Column(column) => self.text_column(column).map(|(slot, writer)| TextArgText::Slot(slot, writer)),
        }
    }

    // ---- conditions -----------------------------------------------------------------------------------------

    /// The presence that a `$if` condition is.
    pub(super) fn condition(&mut self, condition: &Condition) -> Presence {
        let Some(test) = self.predicate(condition) else { return Presence::Never };
        let current = self.current as usize;
        let bit = self.scopes[current].predicate(test);
        if let Some(column) = condition.columns().first() {
            let known = (column.span, self.current, bit);
            if !self.conditions.contains(&known) {
                self.conditions.push(known);
            }
        }
        Presence::When(bit)
    }

    fn predicate(&mut self, condition: &Condition) -> Option<PredicateTest> {
        let all = |this: &mut Self, parts: &[Condition]| -> Option<Vec<PredicateTest>> {
            let parts: Vec<_> = parts.iter().map(|part| this.predicate(part)).collect();
            parts.into_iter().collect()
        };
        Some(match condition {
            Condition::And(parts) => PredicateTest::And(all(self, parts)?),
            Condition::Or(parts) => PredicateTest::Or(all(self, parts)?),
            Condition::Not(part) => PredicateTest::Not(Box::new(self.predicate(part)?)),
            Condition::IsNull { operand, negated } => {
                let test = match operand {
                    Operand::Column(column) => PredicateTest::IsNull(self.operand(column)?.0),
                    _ => PredicateTest::Or(Vec::new()),
                };
                if *negated { PredicateTest::Not(Box::new(test)) } else { test }
            }
            Condition::In { operand, list, negated } => {
                let Operand::Column(column) = operand else { return Some(fixed(false)) };
                let (slot, kind) = self.operand(column)?;
                let list: Option<Vec<_>> = list.iter().map(|item| self.comparand(item, &kind, column)).collect();
                let test = PredicateTest::In(slot, list?);
                if *negated { PredicateTest::Not(Box::new(test)) } else { test }
            }
            Condition::Truthy(column) => {
                let (slot, kind) = self.operand(column)?;
                if kind != PgKind::Bool {
                    self.no_comparison(column, &kind, "a condition alone is a boolean column");
                    return None;
                }
                PredicateTest::Truthy(slot)
            }
            Condition::Compare { left, op, right } => match (left, right) {
                (Operand::Column(left), Operand::Column(right)) => {
                    let (left_slot, left_kind) = self.operand(left)?;
                    let (right_slot, right_kind) = self.operand(right)?;
                    if left_kind != right_kind {
                        let what = format!("the other side is {right_kind}; cast one of them in SQL");
                        self.no_comparison(left, &left_kind, &what);
                        return None;
                    }
                    PredicateTest::Slots(left_slot, *op, right_slot)
                }
                (Operand::Column(column), literal) => {
                    let (slot, kind) = self.operand(column)?;
                    PredicateTest::Literal(slot, *op, self.comparand(literal, &kind, column)?)
                }
                (literal, Operand::Column(column)) => {
                    let (slot, kind) = self.operand(column)?;
                    PredicateTest::Literal(slot, mirrored(*op), self.comparand(literal, &kind, column)?)
                }
                (left, right) => fixed(constant_comparison(left, *op, right)),
            },
        })
    }

    fn operand(&mut self, column: &ColumnRef) -> Option<(SlotRef, PgKind)> {
        let found = self.find_column(column, false)?;
        let (slot, _) = self.slot_of(&found, None);
        Some((slot, found.kind))
    }

    fn comparand(&mut self, literal: &Operand, kind: &PgKind, column: &ColumnRef) -> Option<Comparand> {
        let comparand = match (literal, kind) {
            (Operand::Text(text), PgKind::Text | PgKind::Char) => Some(Comparand::Text(text.clone())),
            (Operand::Text(text), PgKind::Uuid) => {
                uuid::Uuid::parse_str(text).ok().map(|uuid| Comparand::Uuid(*uuid.as_bytes()))
            }
            (Operand::Text(text), PgKind::Date) => times::days(text).map(Comparand::Int),
            (Operand::Text(text), PgKind::Timestamp | PgKind::TimestampTz) => {
                times::timestamp(text).map(Comparand::Int)
            }
            (Operand::Text(text), PgKind::Time) => times::time_of_day(text).map(Comparand::Int),
            (Operand::Number(digits), PgKind::Int2 | PgKind::Int4 | PgKind::Int8) => {
                digits.parse().ok().map(Comparand::Int)
            }
            (Operand::Number(digits), PgKind::Numeric) => Some(Comparand::Numeric(digits.clone())),
            (Operand::Number(digits), PgKind::Float4 | PgKind::Float8) => digits.parse().ok().map(Comparand::Float),
            (Operand::Bool(value), PgKind::Bool) => Some(Comparand::Bool(*value)),
            _ => None,
        };
        if comparand.is_none() {
            let written = match literal {
                Operand::Text(_) => "a text",
                Operand::Number(_) => "a number",
                Operand::Bool(_) => "a boolean",
                Operand::Column(_) => "a column",
            };
            self.no_comparison(column, kind, &format!("the other side is {written} that does not read as {kind}"));
        }
        comparand
    }

    fn no_comparison(&mut self, column: &ColumnRef, kind: &PgKind, why: &str) {
        self.diagnostics.push(
            Diagnostic::error("M204", column.span, format!("`{}` cannot be compared like this", column.name))
                .label(format!("{kind}; {why}")),
        );
    }
}

/// True when a text may be blank though all columns outside its guards have a value.
fn is_uncertain(parts: &[Part]) -> bool {
    let may_be_empty = |part: &Part| match part {
        Part::Literal(text) => text.trim().is_empty(),
        Part::Column(_) | Part::Uuid { .. } | Part::Sha256(_) => false,
        // Blanks beyond ASCII are trimmed, and do not make a column blank.
        Part::Apply(function, _) => *function == Function::Trim,
        Part::When { .. } | Part::Render { .. } => true,
    };
    parts.iter().all(may_be_empty) && parts.iter().any(|part| !matches!(part, Part::Literal(_)))
}

fn fixed(value: bool) -> PredicateTest {
    if value { PredicateTest::And(Vec::new()) } else { PredicateTest::Or(Vec::new()) }
}

fn mirrored(op: CompareOp) -> CompareOp {
    match op {
        CompareOp::Lt => CompareOp::Gt,
        CompareOp::Le => CompareOp::Ge,
        CompareOp::Gt => CompareOp::Lt,
        CompareOp::Ge => CompareOp::Le,
        same => same,
    }
}

fn constant_comparison(left: &Operand, op: CompareOp, right: &Operand) -> bool {
    let order = match (left, right) {
        (Operand::Text(left), Operand::Text(right)) => Some(left.cmp(right)),
        (Operand::Bool(left), Operand::Bool(right)) => Some(left.cmp(right)),
        (Operand::Number(left), Operand::Number(right)) => match (left.parse::<f64>(), right.parse::<f64>()) {
            (Ok(left), Ok(right)) => left.partial_cmp(&right),
            _ => None,
        },
        _ => None,
    };
    order.is_some_and(|order| match op {
        CompareOp::Eq => order.is_eq(),
        CompareOp::Ne => order.is_ne(),
        CompareOp::Lt => order.is_lt(),
        CompareOp::Le => order.is_le(),
        CompareOp::Gt => order.is_gt(),
        CompareOp::Ge => order.is_ge(),
    })
}
