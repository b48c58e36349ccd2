//! CSV by RFC 4180, with the place of every field. A byte-order mark and both line ends are accepted.

use super::super::diagnostic::Diagnostic;
use super::super::source::{SourceId, Span};
use super::super::tree::Name;

/// The records of a text; lines without a character are left out.
pub(super) struct Records<'a> {
    source: SourceId,
    text: &'a str,
    place: usize,
}

impl<'a> Records<'a> {
    pub(super) fn new(source: SourceId, text: &'a str) -> Self {
        let place = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Self { source, text, place }
    }

    /// The next record. A field's span is its text without the quotes.
    pub(super) fn next(&mut self, out: &mut Vec<Diagnostic>) -> Option<Vec<Name>> {
        while let Some(length) = self.line_end(self.place) {
            self.place += length;
        }
        if self.place >= self.text.len() {
            return None;
        }
        let mut record = Vec::new();
        loop {
            record.push(if self.rest().starts_with('"') { self.quoted(out) } else { self.plain() });
            if self.rest().starts_with(',') {
                self.place += 1;
            } else {
                return Some(record);
            }
        }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.place..).unwrap_or("")
    }

    /// Length of the line end at `place`, if there is one.
    fn line_end(&self, place: usize) -> Option<usize> {
        let rest = self.text.get(place..)?;
        if rest.starts_with("\r\n") { Some(2) } else { rest.starts_with('\n').then_some(1) }
    }

    fn field(&self, start: usize, end: usize, text: String) -> Name {
        Name { text, span: Span::new(self.source, start, end) }
    }

    fn plain(&mut self) -> Name {
        let start = self.place;
        let rest = self.rest();
        let line = rest.split('\n').next().unwrap_or("");
        let line = if line.len() < rest.len() { line.strip_suffix('\r').unwrap_or(line) } else { line };
        let text = line.split(',').next().unwrap_or("");
        self.place += text.len();
        self.field(start, self.place, text.to_owned())
    }

    fn quoted(&mut self, out: &mut Vec<Diagnostic>) -> Name {
        let open = self.place;
        let start = open + 1;
        let mut text = String::new();
        self.place = start;
        loop {
            let rest = self.rest();
            let Some(quote) = rest.find('"') else {
                let error = Diagnostic::error("M503", Span::new(self.source, open, start), "a quote is not closed");
                out.push(error.label("the field that starts here has no end"));
                text.push_str(rest);
                self.place = self.text.len();
                return self.field(start, self.place, text);
            };
            text.push_str(rest.get(..quote).unwrap_or(""));
            self.place += quote + 1;
            if !self.rest().starts_with('"') {
                break;
            }
            text.push('"');
            self.place += 1;
        }
        let field = self.field(start, self.place - 1, text);
        if !self.rest().is_empty() && !self.rest().starts_with(',') && self.line_end(self.place).is_none() {
            let after = self.plain().span;
            let error = Diagnostic::error("M503", after, "text after a closing quote");
            out.push(error.help("a quote inside a quoted field is written twice"));
        }
        field
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> (Vec<Vec<Name>>, Vec<Diagnostic>) {
        let (mut records, mut all, mut out) = (Records::new(SourceId(0), text), Vec::new(), Vec::new());
        while let Some(record) = records.next(&mut out) {
            all.push(record);
        }
        (all, out)
    }

    fn check(text: &str, expected: &[&[&str]]) {
        let (records, out) = read(text);
        assert_eq!(out, [], "{text:?}");
        let fields: Vec<Vec<&str>> =
            records.iter().map(|record| record.iter().map(|field| &*field.text).collect()).collect();
        assert_eq!(fields, expected, "{text:?}");
    }

    #[test]
    fn records() {
        check("a,b\n\nc,\n", &[&["a", "b"], &["c", ""]]);
        check("\u{feff}a,b\r\n\"c,\"\"d\"\"\",\"e\r\nf\"\r\n", &[&["a", "b"], &["c,\"d\"", "e\r\nf"]]);
        check(",\n\"\",x", &[&["", ""], &["", "x"]]);
        check(" a , b", &[&[" a ", " b"]]);
        check("a\rb\r", &[&["a\rb\r"]]);
    }

    #[test]
    fn broken_quotes() {
        let codes =
            |text: &str| read(text).1.into_iter().map(|d| (d.message, d.primary.span.start)).collect::<Vec<_>>();
        assert_eq!(codes("a,\"b\nc"), [("a quote is not closed".to_owned(), 2)]);
        assert_eq!(codes("\"a\"b,c"), [("text after a closing quote".to_owned(), 3)]);
    }

    fn field() -> impl Strategy<Value = String> {
        "[a-zé,\" \n]{0,6}"
    }

    proptest! {
        #[test]
        fn written_fields_are_read_back(rows in prop::collection::vec(prop::collection::vec(field(), 2..4), 1..5)) {
            let line = |row: &Vec<String>| {
                let quoted = row.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\"")));
                quoted.collect::<Vec<_>>().join(",") + "\r\n"
            };
            let text: String = rows.iter().map(line).collect();
            let (records, out) = read(&text);
            prop_assert_eq!(out, []);
            let fields: Vec<Vec<String>> =
                records.into_iter().map(|record| record.into_iter().map(|field| field.text).collect()).collect();
            prop_assert_eq!(fields, rows);
        }

        #[test]
        fn spans_are_the_fields(text in "[a,\"\r\né]{0,30}") {
            let (records, _) = read(&text);
            for field in records.into_iter().flatten() {
                let slice = text.get(field.span.start as usize..field.span.end as usize).expect("a place in the text");
                prop_assert!(slice == field.text || slice.replace("\"\"", "\"") == field.text, "{:?}: {:?}", slice, field.text);
            }
        }
    }
}
