//! The keys and plain values at the top of a YAML file.

use granit_parser::{Event, Options, Parser};

/// `key: value` at the top of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) key: String,
    /// None when the value is a list or an object.
    pub(super) value: Option<String>,
    /// Line of the key, from 1.
    pub(super) line: usize,
}

/// Why a file has no such pairs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotFlat {
    pub(super) line: usize,
    pub(super) problem: String,
}

/// Reads the first document of `text`. An empty file has no pairs.
pub(super) fn read(text: &str) -> Result<Vec<Pair>, NotFlat> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    let mut events = Parser::new_from_str_with_options(text, options);
    let mut next = || match events.next_event() {
        None => Ok((Event::StreamEnd, 1)),
        Some(Ok((event, span))) => Ok((event, span.start.line())),
        Some(Err(error)) => Err(NotFlat { line: error.marker().line(), problem: "is not YAML".to_owned() }),
    };
    let mut pairs = Vec::new();
    loop {
        match next()? {
            (Event::MappingStart(..), _) => break,
            (Event::StreamStart | Event::DocumentStart(..), _) => {}
            (Event::StreamEnd | Event::DocumentEnd, _) => return Ok(pairs),
            // An absent document is an empty plain scalar.
            (Event::Scalar(text, ..), _) if text.is_empty() || text == "~" => return Ok(pairs),
            (_, line) => return Err(NotFlat { line, problem: "is not a list of `key: value`".to_owned() }),
        }
    }
    loop {
        let (key, line) = match next()? {
            (Event::Scalar(key, ..), line) => (key.into_owned(), line),
            (Event::MappingEnd, _) => return Ok(pairs),
            (_, line) => return Err(NotFlat { line, problem: "has a key that is not plain text".to_owned() }),
        };
        if pairs.iter().any(|pair: &Pair| pair.key == key) {
            return Err(NotFlat { line, problem: format!("has `{key}` twice") });
        }
        let value = match next()?.0 {
            Event::Scalar(value, ..) => Some(value.into_owned()),
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                let mut open = 1;
                while open > 0 {
                    match next()?.0 {
                        Event::SequenceStart(..) | Event::MappingStart(..) => open += 1,
                        Event::SequenceEnd | Event::MappingEnd => open -= 1,
                        Event::StreamEnd => return Err(NotFlat { line, problem: "ends too early".to_owned() }),
                        _ => {}
                    }
                }
                None
            }
            _ => None,
        };
        pairs.push(Pair { key, value, line });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn top_level_only() {
        let text = "# settings\na: 1\nb: {c: 2, a: [3]}\n\"d\": 'x # y'\ne:\n  a: 4\nf: >-\n  folded\n  text\n";
        let pairs = read(text).unwrap();
        let seen: Vec<_> = pairs.iter().map(|pair| (pair.key.as_str(), pair.value.as_deref(), pair.line)).collect();
        assert_eq!(
            seen,
            [
                ("a", Some("1"), 2),
                ("b", None, 3),
                ("d", Some("x # y"), 4),
                ("e", None, 5),
                ("f", Some("folded text"), 7)
            ]
        );
    }

    #[test]
    fn nothing_is_no_pair() {
        for text in ["", "# only a comment\n", "---\n"] {
            assert_eq!(read(text), Ok(Vec::new()), "{text:?}");
        }
    }

    #[test]
    fn what_is_not_flat_says_where() {
        for (text, line, problem) in [
            ("- a\n", 1, "is not a list of `key: value`"),
            ("just text\n", 1, "is not a list of `key: value`"),
            ("a: 1\nb: [\n", 2, "is not YAML"),
            ("a: 1\na: 2\n", 2, "has `a` twice"),
            ("[a]: 1\n", 1, "has a key that is not plain text"),
        ] {
            assert_eq!(read(text), Err(NotFlat { line, problem: problem.to_owned() }), "{text:?}");
        }
    }
}
