//! `$if` conditions (§2.5, grammar in §2.15): SQL's comparisons over columns and literals.

use super::cursor::{Cursor, IntoLabel, Literal};
use super::{Parsed, Piece};
use crate::mapping::tree::{CompareOp, Condition, Operand};

const CODE: &str = "M311";
/// Parentheses and `not`s deeper than this are refused.
const DEPTH: usize = 64;
const WORDS: [&str; 10] = ["and", "or", "not", "is", "in", "null", "true", "false", "like", "between"];

/// Reads a whole condition.
pub fn condition(piece: Piece<'_>) -> Parsed<Condition> {
    let mut reader = Reader { cursor: Cursor::new(piece, CODE), depth: 0 };
    let condition = reader.or()?;
    reader.cursor.spaces();
    if reader.cursor.done() { Ok(condition) } else { Err(reader.trailing()) }
}

struct Reader<'a> {
    cursor: Cursor<'a>,
    depth: usize,
}

impl Reader<'_> {
    fn or(&mut self) -> Parsed<Condition> {
        let mut all = vec![self.and()?];
        while self.word("or") {
            all.push(self.and()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Condition::Or(all) })
    }

    fn and(&mut self) -> Parsed<Condition> {
        let mut all = vec![self.not()?];
        while self.word("and") {
            all.push(self.not()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Condition::And(all) })
    }

    fn not(&mut self) -> Parsed<Condition> {
        if self.depth >= DEPTH {
            return Err(self.cursor.wrong("this condition is nested too deeply"));
        }
        if !self.word("not") {
            return self.predicate();
        }
        self.depth += 1;
        let inner = self.not()?;
        self.depth -= 1;
        Ok(Condition::Not(Box::new(inner)))
    }

    fn predicate(&mut self) -> Parsed<Condition> {
        self.cursor.spaces();
        if self.cursor.take("(") {
            self.depth += 1;
            let inner = self.or()?;
            self.depth -= 1;
            self.cursor.spaces();
            return if self.cursor.take(")") { Ok(inner) } else { Err(self.trailing().into_label("`)` expected")) };
        }
        let operand = self.operand()?;
        if self.word("is") {
            let negated = self.word("not");
            if self.word("null") {
                return Ok(Condition::IsNull { operand, negated });
            }
            self.cursor.spaces();
            return Err(self.cursor.wrong("`is` is followed by `null` or `not null`"));
        }
        let before = self.cursor.at;
        let negated = self.word("not");
        if self.word("in") {
            return Ok(Condition::In { operand, list: self.list()?, negated });
        }
        if negated {
            if matches!(self.cursor.word().to_ascii_lowercase().as_str(), "like" | "ilike" | "between" | "similar") {
                return Err(self.trailing());
            }
            self.cursor.at = before;
        }
        if let Some(op) = self.operator()? {
            return Ok(Condition::Compare { left: operand, op, right: self.operand()? });
        }
        match operand {
            Operand::Column(column) => Ok(Condition::Truthy(column)),
            _ => Err(self.trailing().into_label("a comparison is expected after a literal")),
        }
    }

    fn list(&mut self) -> Parsed<Vec<Operand>> {
        self.cursor.spaces();
        if !self.cursor.take("(") {
            return Err(self.cursor.wrong("`in` is followed by literals in parentheses: `in ('a', 'b')`"));
        }
        let mut list = Vec::new();
        loop {
            self.cursor.spaces();
            let Some(literal) = self.cursor.literal()? else {
                return Err(self.cursor.wrong("`in` takes literals: `in ('a', 'b')`").into_label("literal expected"));
            };
            list.push(operand(literal));
            self.cursor.spaces();
            if self.cursor.take(")") {
                return Ok(list);
            }
            if !self.cursor.take(",") {
                return Err(self.cursor.wrong("`,` or `)` is expected here"));
            }
        }
    }

    fn operand(&mut self) -> Parsed<Operand> {
        self.cursor.spaces();
        if let Some(literal) = self.cursor.literal()? {
            return Ok(operand(literal));
        }
        let start = self.cursor.at;
        let word = self.cursor.word();
        if WORDS.iter().any(|keyword| word.eq_ignore_ascii_case(keyword)) {
            let wrong = self.cursor.wrong(format!("`{word}` is a keyword; a column or a literal is expected here"));
            return Err(wrong.into_help(format!("a column of that name is written `\"{word}\"`")));
        }
        if self.cursor.peek() == Some('$') {
            let span = self.cursor.piece.at(start, start + 1);
            let wrong = self.cursor.wrong_at(span, "names in a condition are bare, as in SQL");
            return Err(if self.cursor.piece.exact() {
                Box::new((*wrong).edit("write it without `$`", span, ""))
            } else {
                wrong
            });
        }
        if self.cursor.done() {
            return Err(self
                .cursor
                .wrong("this condition is not complete")
                .into_label("a column or a literal expected"));
        }
        let column = self.cursor.path(start)?;
        if self.cursor.rest().starts_with('(') {
            let span = self.cursor.since(start);
            let wrong = self.cursor.wrong_at(span, "there are no functions in conditions");
            return Err(wrong.into_help("compute it in the query and test that column"));
        }
        Ok(Operand::Column(column))
    }

    fn operator(&mut self) -> Parsed<Option<CompareOp>> {
        self.cursor.spaces();
        if self.cursor.rest().starts_with("==") {
            let span = self.cursor.piece.at(self.cursor.at, self.cursor.at + 2);
            let wrong = self.cursor.wrong_at(span, "SQL compares with a single `=`");
            return Err(if self.cursor.piece.exact() { Box::new((*wrong).edit("write", span, "=")) } else { wrong });
        }
        let table = [
            ("<>", CompareOp::Ne),
            ("!=", CompareOp::Ne),
            ("<=", CompareOp::Le),
            (">=", CompareOp::Ge),
            ("<", CompareOp::Lt),
            (">", CompareOp::Gt),
            ("=", CompareOp::Eq),
        ];
        Ok(table.into_iter().find(|(text, _)| self.cursor.take(text)).map(|(_, op)| op))
    }

    fn word(&mut self, keyword: &str) -> bool {
        let before = self.cursor.at;
        self.cursor.spaces();
        let found = self.cursor.keyword(keyword);
        if !found {
            self.cursor.at = before;
        }
        found
    }

    fn trailing(&mut self) -> Box<crate::mapping::diagnostic::Diagnostic> {
        self.cursor.spaces();
        if self.cursor.done() {
            return self.cursor.wrong("this condition is not complete");
        }
        let word = self.cursor.word();
        if ["like", "ilike", "similar", "between"].iter().any(|other| word.eq_ignore_ascii_case(other)) {
            let wrong = self.cursor.wrong(format!("conditions have no `{}`", word.to_lowercase()));
            return wrong.into_help("compute it in the query and test that column");
        }
        if self.cursor.rest().starts_with(['+', '-', '*', '/', '|', '%', ':']) {
            let wrong = self.cursor.wrong("conditions have no arithmetic");
            return wrong.into_help("compute it in the query and test that column");
        }
        let token =
            if word.is_empty() { self.cursor.peek().map(String::from).unwrap_or_default() } else { word.into() };
        self.cursor.wrong(format!("`{token}` does not belong here")).into_label("`and`, `or` or the end expected")
    }
}

fn operand(literal: Literal) -> Operand {
    match literal {
        Literal::Text(text) => Operand::Text(text),
        Literal::Number(number) => Operand::Number(number),
        Literal::Bool(value) => Operand::Bool(value),
    }
}
