//! Just enough of SQL's lexical rules to find where a statement ends. What it means is PostgreSQL's business.

use std::ops::Range;

/// Why a text is not one statement; places are byte offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Problem {
    /// Nothing but white space and comments.
    Empty,
    /// A second statement starts here.
    Second(Range<usize>),
    /// What opens here is never closed.
    Unclosed(Range<usize>),
    /// `$1`: a statement of a mapping has no parameters.
    Parameter(Range<usize>),
    /// The statement starts with this word and returns no rows that can be selected from.
    NotAQuery(Range<usize>),
}

/// The one statement of `text`: from its start (leading comments kept) to the end of its last token, a closing
/// semicolon and trailing comments left out.
pub(super) fn statement(text: &str) -> Result<&str, Problem> {
    let mut tokens = Tokens { text, bytes: text.as_bytes(), place: 0 };
    let (mut end, mut closed) = (0, false);
    while let Some(token) = tokens.next()? {
        let word = text.get(token.clone()).unwrap_or("");
        if word == ";" {
            closed |= end > 0;
        } else if closed {
            return Err(Problem::Second(token));
        } else {
            let queries = ["select", "with", "values", "table", "("];
            if end == 0 && !queries.contains(&&*word.to_ascii_lowercase()) {
                return Err(Problem::NotAQuery(token));
            }
            end = token.end;
        }
    }
    if end == 0 { Err(Problem::Empty) } else { Ok(text.get(..end).unwrap_or(text)) }
}

struct Tokens<'a> {
    text: &'a str,
    bytes: &'a [u8],
    place: usize,
}

impl Tokens<'_> {
    fn at(&self, place: usize) -> u8 {
        self.bytes.get(place).copied().unwrap_or(0)
    }

    /// The next token: a word, a quoted thing, or one other character.
    fn next(&mut self) -> Result<Option<Range<usize>>, Problem> {
        loop {
            let start = self.place;
            let Some(&byte) = self.bytes.get(start) else { return Ok(None) };
            match (byte, self.at(start + 1)) {
                _ if byte.is_ascii_whitespace() => self.place += 1,
                (b'-', b'-') => self.place = self.find(start, "\n").unwrap_or(self.bytes.len()),
                (b'/', b'*') => self.comment(start)?,
                (b'\'', _) => return self.quoted(start, start, b'\'', false).map(Some),
                (b'e' | b'E', b'\'') => return self.quoted(start, start + 1, b'\'', true).map(Some),
                (b'"', _) => return self.quoted(start, start, b'"', false).map(Some),
                (b'$', next) if next.is_ascii_digit() => {
                    self.word(start + 1);
                    return Err(Problem::Parameter(start..self.place));
                }
                (b'$', _) => return self.dollar(start).map(Some),
                _ if is_word(byte) => {
                    self.word(start);
                    return Ok(Some(start..self.place));
                }
                _ => {
                    self.place += 1;
                    return Ok(Some(start..self.place));
                }
            }
        }
    }

    fn find(&self, from: usize, what: &str) -> Option<usize> {
        self.text.get(from..).and_then(|rest| rest.find(what)).map(|found| from + found)
    }

    /// Comments nest.
    fn comment(&mut self, start: usize) -> Result<(), Problem> {
        let mut depth = 0;
        while self.place < self.bytes.len() {
            match (self.at(self.place), self.at(self.place + 1)) {
                (b'/', b'*') => {
                    depth += 1;
                    self.place += 2;
                }
                (b'*', b'/') => {
                    depth -= 1;
                    self.place += 2;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                _ => self.place += 1,
            }
        }
        Err(Problem::Unclosed(start..start + 2))
    }

    fn quoted(&mut self, start: usize, open: usize, quote: u8, escapes: bool) -> Result<Range<usize>, Problem> {
        self.place = open + 1;
        while self.place < self.bytes.len() {
            match (self.at(self.place), self.at(self.place + 1)) {
                (b'\\', _) if escapes => self.place += 2,
                (byte, next) if byte == quote && next == quote => self.place += 2,
                (byte, _) if byte == quote => {
                    self.place += 1;
                    return Ok(start..self.place);
                }
                _ => self.place += 1,
            }
        }
        Err(Problem::Unclosed(open..open + 1))
    }

    /// `$$…$$` or `$tag$…$tag$`; a lone `$` is a character like any other.
    fn dollar(&mut self, start: usize) -> Result<Range<usize>, Problem> {
        self.place = start + 1;
        while is_word(self.at(self.place)) {
            self.place += 1;
        }
        if self.at(self.place) != b'$' {
            return Ok(start..self.place);
        }
        let open = start..self.place + 1;
        let tag = self.text.get(open.clone()).unwrap_or("$$");
        match self.find(open.end, tag) {
            Some(close) => {
                self.place = close + tag.len();
                Ok(start..self.place)
            }
            None => Err(Problem::Unclosed(open)),
        }
    }

    /// Names may hold `$` after their first character.
    fn word(&mut self, start: usize) {
        self.place = start;
        while is_word(self.at(self.place)) || (self.at(self.place) == b'$' && self.place > start) {
            self.place += 1;
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_statement() {
        let check = |text: &str, expected: &str| assert_eq!(statement(text), Ok(expected), "{text}");
        check("select 1", "select 1");
        check("-- why\nselect 1 ; -- end\n/* ; */ ;\n", "-- why\nselect 1");
        check("select 1 -- end", "select 1");
        check("select ';', e'\\';', \";\", $$;$$, $a$;$$;$a$", "select ';', e'\\';', \";\", $$;$$, $a$;$$;$a$");
        check("select 'it''s;' /* a /* b ; */ ; */ from t;", "select 'it''s;' /* a /* b ; */ ; */ from t");
        check("WITH x AS (select a$1 from é) table x", "WITH x AS (select a$1 from é) table x");
    }

    #[test]
    fn what_is_not_one_statement() {
        let check = |text: &str, expected: Problem| assert_eq!(statement(text), Err(expected), "{text}");
        check(" -- nothing\n;", Problem::Empty);
        check("select 1; select 2", Problem::Second(10..16));
        check("select 'a", Problem::Unclosed(7..8));
        check("select /* a", Problem::Unclosed(7..9));
        check("select $q$ a $$", Problem::Unclosed(7..10));
        check("select $12", Problem::Parameter(7..10));
        check("delete from t", Problem::NotAQuery(0..6));
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[-'\"$/*;ae\\\\ \né1]{0,40}") {
            if let Ok(found) = statement(&text) {
                prop_assert!(text.starts_with(found));
            }
        }
    }
}
