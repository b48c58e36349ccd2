//! Finds values that hold a template and lack the quotes it needs (M101). YAML reads their `{` as the start of an
//! inline object, so this is a search over the lines, done only where the parser stumbled.

use std::ops::Range;

use super::super::diagnostic::Diagnostic;
use super::super::source::{SourceId, Span};

/// A value to be put in quotes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unquoted {
    /// Its bytes.
    pub(super) range: Range<usize>,
    /// It starts with `{{` (else it stands in a flow collection, where any brace ends a plain value).
    leading: bool,
}

impl Unquoted {
    pub(super) fn diagnostic(&self, source: SourceId, text: &str) -> Diagnostic {
        let span = Span::new(source, self.range.start, self.range.end);
        let value = text.get(self.range.clone()).unwrap_or("");
        let label = if self.leading {
            "YAML reads `{` here as the start of an inline object"
        } else {
            "inside `{ }` and `[ ]`, a brace ends a value without quotes"
        };
        let (quotes, quoted) = if value.contains(['"', '\\']) {
            ("single quotes", format!("'{}'", value.replace('\'', "''")))
        } else {
            ("double quotes", format!("\"{value}\""))
        };
        Diagnostic::error("M101", span, "a template must be in quotes").label(label).edit(
            format!("put it in {quotes}"),
            span,
            quoted,
        )
    }
}

/// Every such value, in file order.
pub(super) fn unquoted_templates(text: &str) -> Vec<Unquoted> {
    let mut scan = Scan { text: text.as_bytes(), flow: 0, block: None, found: Vec::new() };
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        scan.line(offset, offset + line.trim_end_matches(['\n', '\r']).len());
        offset += line.len();
    }
    scan.found
}

struct Scan<'a> {
    text: &'a [u8],
    /// Open `{` and `[`.
    flow: usize,
    /// Inside a block scalar whose parent is indented this much.
    block: Option<usize>,
    found: Vec<Unquoted>,
}

impl Scan<'_> {
    fn at(&self, place: usize, end: usize) -> u8 {
        if place < end { self.text.get(place).copied().unwrap_or(b'\n') } else { b'\n' }
    }

    fn skip_spaces(&self, mut place: usize, end: usize) -> usize {
        while matches!(self.at(place, end), b' ' | b'\t') {
            place += 1;
        }
        place
    }

    fn line(&mut self, start: usize, end: usize) {
        let first = self.skip_spaces(start, end);
        if first == end || self.at(first, end) == b'#' {
            return;
        }
        if self.block.is_some_and(|parent| first - start > parent) {
            return;
        }
        self.block = None;
        // In block context: dashes, then perhaps a key; what stands behind is a value.
        let mut place = first;
        let mut indent = first - start;
        if self.flow == 0 {
            while self.at(place, end) == b'-' && matches!(self.at(place + 1, end), b' ' | b'\n') {
                indent = place - start;
                place = self.skip_spaces(place + 1, end);
            }
            if let Some(colon) = self.key_end(place, end) {
                indent = place - start;
                place = self.skip_spaces(colon + 1, end);
            }
            if matches!(self.at(place, end), b'|' | b'>') {
                self.block = Some(indent);
                return;
            }
        }
        self.values(place, end);
    }

    /// The colon that ends the key at `place`, if the line holds one. A key is never a template.
    fn key_end(&self, place: usize, end: usize) -> Option<usize> {
        if matches!(self.at(place, end), b'{' | b'[') {
            return None;
        }
        let mut place = match self.at(place, end) {
            b'"' | b'\'' => self.quoted_end(place, end)?,
            _ => place,
        };
        while place < end {
            match self.at(place, end) {
                b':' if matches!(self.at(place + 1, end), b' ' | b'\t' | b'\n') => return Some(place),
                b'#' if self.at(place - 1, end) == b' ' => return None,
                _ => place += 1,
            }
        }
        None
    }

    /// One past the closing quote, if it stands on this line.
    fn quoted_end(&self, start: usize, end: usize) -> Option<usize> {
        let quote = self.at(start, end);
        let mut place = start + 1;
        while place < end {
            match self.at(place, end) {
                b'\\' if quote == b'"' => place += 2,
                byte if byte == quote => {
                    if quote == b'\'' && self.at(place + 1, end) == quote {
                        place += 2;
                    } else {
                        return Some(place + 1);
                    }
                }
                _ => place += 1,
            }
        }
        None
    }

    /// The values of a line, flow collections entered.
    fn values(&mut self, mut place: usize, end: usize) {
        while place < end {
            match self.at(place, end) {
                b' ' | b'\t' | b',' => place += 1,
                b'#' => return,
                b':' if self.flow > 0 => place += 1,
                b'{' if self.at(place + 1, end) == b'{' => place = self.plain(place, end),
                b'{' | b'[' => {
                    self.flow += 1;
                    place += 1;
                }
                b'}' | b']' => {
                    self.flow = self.flow.saturating_sub(1);
                    place += 1;
                }
                b'"' | b'\'' => match self.quoted_end(place, end) {
                    Some(after) => place = after,
                    None => return,
                },
                _ => place = self.plain(place, end),
            }
        }
    }

    /// A plain value from `start`; gives its end.
    fn plain(&mut self, start: usize, end: usize) -> usize {
        let (mut place, mut template) = (start, false);
        while place < end {
            match self.at(place, end) {
                b'{' if self.at(place + 1, end) == b'{' => {
                    template = true;
                    place = self.template_end(place, end);
                }
                b',' | b']' | b'}' | b'[' | b'{' if self.flow > 0 => break,
                b':' if self.flow > 0 && matches!(self.at(place + 1, end), b' ' | b'\n' | b',' | b']' | b'}') => break,
                b'#' if place > start && matches!(self.at(place - 1, end), b' ' | b'\t') => break,
                _ => place += 1,
            }
        }
        let mut last = place;
        while last > start && matches!(self.at(last - 1, end), b' ' | b'\t') {
            last -= 1;
        }
        let leading = self.at(start, end) == b'{';
        if template && (leading || self.flow > 0) {
            self.found.push(Unquoted { range: start..last, leading });
        }
        place.max(start + 1)
    }

    /// One past the `}}` of the tag at `start`, quotes inside it respected; the line's end when there is none.
    fn template_end(&self, start: usize, end: usize) -> usize {
        let mut place = start + 2;
        let mut quote = None;
        while place < end {
            let byte = self.at(place, end);
            match quote {
                Some(open) if byte == open => quote = None,
                Some(_) => {}
                None if matches!(byte, b'\'' | b'"') => quote = Some(byte),
                None if byte == b'}' && self.at(place + 1, end) == b'}' => return place + 2,
                None => {}
            }
            place += 1;
        }
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let found: Vec<&str> = unquoted_templates(text).into_iter().map(|value| &text[value.range]).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn values_that_start_with_braces() {
        check("text: {{first}} {{last}}", &["{{first}} {{last}}"]);
        check("- {{a}}\n- - {{b}} # c", &["{{a}}", "{{b}}"]);
        check("- text: {{uuid 'A}}' x}}", &["{{uuid 'A}}' x}}"]);
        check("name:\n  {{a}}", &["{{a}}"]);
    }

    #[test]
    fn values_in_flow_collections() {
        check("a: {text: {{first}}, use: official}", &["{{first}}"]);
        check("a: [{{b}} c, Dr {{d}}]", &["{{b}} c", "Dr {{d}}"]);
        check("a: [\n  x {{b}},\n  {{c}}]\nd: e {{f}}", &["x {{b}}", "{{c}}"]);
    }

    #[test]
    fn what_is_right_stays() {
        check("a: \"{{b}}\"\nc: '{{d}}'\ne: f {{g}}\nh: {i: \"{{j}}\"}", &[]);
        check("sql: |\n  {{a}}: {{b}}\n\n  c: {{d}}\nkey: x", &[]);
        check("# a: {{b}}\nc: d # e: {{f}}", &[]);
        check("code: loinc#{{code}} \"{{name}}\"", &[]);
    }
}
