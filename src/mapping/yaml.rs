//! YAML as the mapping language reads it: raw scalars and places, no types.
//!
//! Values are read by FHIR type later (§2.4), so nothing here guesses: `NO`, `1.50` and `02139` stay text. JSON is
//! read by the same parser, because it is YAML. Not allowed (§2.15): duplicate keys, tags, merge keys, directives,
//! several documents.

use std::borrow::Cow;
use std::collections::HashMap;

use granit_parser::{Event, Options, Parser, ScalarStyle, StrInput, StructureStyle};

use super::diagnostic::Diagnostic;
use super::source::{SourceId, Span};
use super::tree::Name;

mod quote;
mod syntax;

/// Levels of nesting a file may have, aliases expanded. FHIR resources stay below 20.
const MAX_DEPTH: usize = 100;

/// Nodes that the aliases of one file may add.
const MAX_ALIASED: usize = 10_000;

/// A YAML node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The node's characters (for a quoted scalar the quotes included).
    pub span: Span,
    /// What it is.
    pub kind: Kind,
}

/// The three kinds of node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Any scalar, as text after YAML's unquoting and folding. An absent value (`key:`) is the empty text, plain.
    Scalar(Scalar),
    /// A sequence, block or flow.
    Seq(Vec<Node>),
    /// A mapping, in file order, keys unique.
    Map(Vec<Entry>),
}

/// A scalar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    /// The text.
    pub text: String,
    /// Where `text` starts in the source when it stands there byte for byte (plain or quoted without escapes
    /// or folding), so that a part of it has a place of its own.
    pub verbatim: Option<u32>,
    /// Of a literal block (`|`): where each line of `text` starts in the source. Empty for any other scalar.
    pub lines: Vec<u32>,
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Name,
    /// The value.
    pub value: Node,
}

impl Node {
    /// The scalar, if it is one.
    pub fn scalar(&self) -> Option<&Scalar> {
        match &self.kind {
            Kind::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// The scalar's text, if it is one.
    pub fn text(&self) -> Option<&str> {
        self.scalar().map(|scalar| scalar.text.as_str())
    }

    /// The entries, if it is a mapping.
    pub fn entries(&self) -> Option<&[Entry]> {
        match &self.kind {
            Kind::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The items, if it is a sequence.
    pub fn items(&self) -> Option<&[Node]> {
        match &self.kind {
            Kind::Seq(items) => Some(items),
            _ => None,
        }
    }

    /// The entry of a mapping with this key.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries()?.iter().find(|entry| entry.key.text == key)
    }

    /// The value of a mapping with this key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// True for an unquoted `null` or `~`, which removes in a patch (§2.13).
    pub fn is_null(&self) -> bool {
        self.scalar()
            .is_some_and(|scalar| matches!(&*scalar.text, "null" | "~") && scalar.verbatim == Some(self.span.start))
    }

    /// True for an absent value (`key:` and nothing behind it).
    pub fn is_absent(&self) -> bool {
        self.span.start == self.span.end && self.text() == Some("")
    }

    /// What it is, for messages: `text`, `a list`, `an object`.
    pub fn shape(&self) -> &'static str {
        match &self.kind {
            Kind::Scalar(_) if self.is_absent() => "nothing",
            Kind::Scalar(_) => "text",
            Kind::Seq(_) => "a list",
            Kind::Map(_) => "an object",
        }
    }

    /// The place of bytes `start..end` of the scalar's text; the whole node when they have none of their own.
    pub fn part(&self, start: usize, end: usize) -> Span {
        let Kind::Scalar(scalar) = &self.kind else { return self.span };
        if let Some(first) = scalar.verbatim {
            return Span { source: self.span.source, start: first + start as u32, end: first + end as u32 };
        }
        // A line of a literal block stands in the source as it is.
        let mut line_start = 0;
        for (line, &offset) in scalar.text.split('\n').zip(&scalar.lines) {
            let line_end = line_start + line.len();
            if (line_start..=line_end).contains(&start) && end <= line_end {
                let offset = offset as usize;
                return Span::new(self.span.source, offset + start - line_start, offset + end - line_start);
            }
            line_start = line_end + 1;
        }
        self.span
    }
}

/// Reads one YAML (or JSON) text.
///
/// Every mistake is added to `out`. `None` means that there is no tree to go on with; a tree that comes with
/// mistakes is what they would read like once corrected.
pub fn parse(source: SourceId, text: &str, out: &mut Vec<Diagnostic>) -> Option<Node> {
    let mut found = Vec::new();
    let (node, braces) = Builder::new(source, text, text, &mut found).document();
    if node.is_none() || braces {
        // `{{` without quotes is most often the cause. Say so, and read on as if the quotes were there.
        let values = quote::unquoted_templates(text);
        if !values.is_empty() {
            let mut masked = text.as_bytes().to_vec();
            for value in &values {
                out.push(value.diagnostic(source, text));
                if let Some(bytes) = masked.get_mut(value.range.clone()) {
                    bytes.fill(b'x');
                }
            }
            let masked = String::from_utf8_lossy(&masked);
            let (node, _) = Builder::new(source, text, &masked, out).document();
            return node;
        }
    }
    out.append(&mut found);
    node
}

/// A node that an alias may name.
struct Anchor {
    node: Node,
    size: usize,
    depth: usize,
}

struct Builder<'a> {
    source: SourceId,
    /// What spans point into.
    text: &'a str,
    /// `text`, or `text` with unquoted templates overwritten, byte by byte.
    masked: &'a str,
    events: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Anchor>,
    aliased: usize,
    /// A flow mapping starts with `{{`.
    braces: bool,
    out: &'a mut Vec<Diagnostic>,
}

/// The text cannot be read further; the reason is already reported.
struct Stop;

impl<'a> Builder<'a> {
    fn new(source: SourceId, text: &'a str, masked: &'a str, out: &'a mut Vec<Diagnostic>) -> Self {
        let mut options = Options::default();
        options.disallow_directives = true;
        options.emit_unresolved_aliases = true;
        options.set_emit_comments(false);
        let events = Parser::new_from_str_with_options(masked, options);
        Self { source, text, masked, events, anchors: HashMap::new(), aliased: 0, braces: false, out }
    }

    /// The first document, and whether a flow mapping in it starts with `{{`.
    fn document(mut self) -> (Option<Node>, bool) {
        let node = self.try_document().ok();
        (node, self.braces)
    }

    fn try_document(&mut self) -> Result<Node, Stop> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(..) if root.is_some() => {
                    let message = "a file holds one document";
                    self.out.push(Diagnostic::error("M104", span, message).label("a second document starts here"));
                    break;
                }
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => root = Some(self.node(event, span, 0)?.0),
            }
        }
        Ok(root.unwrap_or_else(|| absent(Span::new(self.source, 0, 0))))
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Stop> {
        match self.events.next_event() {
            Some(Ok((event, place))) => {
                if let Some(tag) = place.tag_span().filter(|_| event.is_node()) {
                    let span = self.span(&tag);
                    let message = "YAML tags are not part of the mapping language";
                    let label = "remove it; the FHIR element decides the type";
                    self.out.push(Diagnostic::error("M104", span, message).label(label));
                }
                let span = self.span(&place);
                Ok((event, span))
            }
            Some(Err(error)) => {
                self.out.push(syntax::diagnostic(self.source, self.text, &error));
                Err(Stop)
            }
            None => Ok((Event::StreamEnd, Span::new(self.source, self.text.len(), self.text.len()))),
        }
    }

    fn span(&self, place: &granit_parser::Span) -> Span {
        place.byte_range().map_or_else(
            || Span::new(self.source, 0, 0),
            |range| Span::new(self.source, range.start, range.end.max(range.start)),
        )
    }

    /// The node that starts with `event`, its number of nodes and its depth.
    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<(Node, usize, usize), Stop> {
        if depth >= MAX_DEPTH {
            return Err(self.stop(span, format!("more than {MAX_DEPTH} levels of nesting")));
        }
        let (anchor, (node, size, height)) = match event {
            Event::Scalar(text, style, anchor, _) => (anchor, (self.scalar(text, style, span), 1, 1)),
            Event::SequenceStart(style, anchor, _) => (anchor, self.sequence(style, span, depth)?),
            Event::MappingStart(style, anchor, _) => (anchor, self.mapping(style, span, depth)?),
            Event::Alias(id) => return self.alias(id, span, depth),
            Event::UnresolvedAlias(_) => {
                let error = Diagnostic::error("M100", span, "no anchor of this name stands above")
                    .label("YAML reads a leading `*` as an alias")
                    .help("put the value in quotes if it is meant as text");
                self.out.push(error);
                return Ok((absent(span), 1, 1));
            }
            _ => return Err(self.stop(span, "a value is missing here".to_owned())),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, Anchor { node: node.clone(), size, depth: height });
        }
        Ok((node, size, height))
    }

    fn alias(&mut self, id: usize, span: Span, depth: usize) -> Result<(Node, usize, usize), Stop> {
        let Some(anchor) = self.anchors.get(&id) else {
            return Err(self.stop(span, "an alias may not stand inside its own anchor".to_owned()));
        };
        self.aliased += anchor.size;
        if self.aliased > MAX_ALIASED || depth + anchor.depth > MAX_DEPTH {
            return Err(self.stop(span, "the aliases of this file expand to too much".to_owned()));
        }
        Ok((anchor.node.clone(), anchor.size, anchor.depth))
    }

    fn stop(&mut self, span: Span, message: String) -> Stop {
        self.out.push(Diagnostic::error("M100", span, message));
        Stop
    }

    fn scalar(&self, text: Cow<'a, str>, style: ScalarStyle, span: Span) -> Node {
        let (start, end) = (span.start as usize, span.end as usize);
        let raw = self.text.get(start..end).unwrap_or("");
        let masked = self.masked.get(start..end).unwrap_or("");
        // A plain scalar that was overwritten gets its own characters back.
        let text = match (masked == raw, style) {
            // The parser says `~` for a value that is not there.
            (true, ScalarStyle::Plain) if raw.is_empty() => String::new(),
            (true, _) => text.into_owned(),
            (false, _) => raw.to_owned(),
        };
        let lines = match style {
            ScalarStyle::Literal => literal_lines(self.text, start, &text),
            _ => Vec::new(),
        };
        let first = match style {
            ScalarStyle::Plain => Some(start),
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Some(start + 1),
            _ => None,
        };
        let verbatim = first
            .filter(|&first| self.text.get(first..).is_some_and(|rest| rest.starts_with(&text)))
            .filter(|&first| first + text.len() <= end)
            .map(|first| first as u32);
        let mut node = Node { span, kind: Kind::Scalar(Scalar { text, verbatim, lines }) };
        if matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
            node.span.end = span.start + raw.trim_end().len() as u32;
        }
        node
    }

    fn sequence(&mut self, style: StructureStyle, start: Span, depth: usize) -> Result<(Node, usize, usize), Stop> {
        let (mut items, mut size, mut height, mut span) = (Vec::new(), 1, 0, start);
        loop {
            let (event, place) = self.next()?;
            if event == Event::SequenceEnd {
                if style == StructureStyle::Flow {
                    span.end = place.end;
                }
                return Ok((Node { span, kind: Kind::Seq(items) }, size, height + 1));
            }
            let (item, nodes, levels) = self.node(event, place, depth + 1)?;
            size += nodes;
            height = height.max(levels);
            span.end = span.end.max(item.span.end);
            items.push(item);
        }
    }

    fn mapping(&mut self, style: StructureStyle, start: Span, depth: usize) -> Result<(Node, usize, usize), Stop> {
        let flow = style == StructureStyle::Flow;
        let (mut entries, mut size, mut height, mut span) = (Vec::<Entry>::new(), 1, 0, start);
        self.braces |= flow && self.masked.get(start.start as usize..).is_some_and(|rest| rest.starts_with("{{"));
        loop {
            let (event, place) = self.next()?;
            if event == Event::MappingEnd {
                if flow {
                    span.end = place.end;
                }
                return Ok((Node { span, kind: Kind::Map(entries) }, size, height + 1));
            }
            let key = self.key(event, place, depth + 1)?;
            let (event, place) = self.next()?;
            let (mut value, nodes, levels) = self.node(event, place, depth + 1)?;
            size += nodes;
            height = height.max(levels);
            let Some(key) = key else { continue };
            if value.is_absent() {
                // The parser places it before the next token; behind the key is where the author looks.
                let colon = usize::from(self.text.as_bytes().get(key.span.end as usize) == Some(&b':'));
                let behind = key.span.end as usize + colon;
                value = absent(Span::new(self.source, behind, behind));
            }
            span.start = span.start.min(key.span.start);
            span.end = span.end.max(key.span.end).max(value.span.end);
            if key.text == "<<" {
                let error = Diagnostic::error("M104", key.span, "merge keys are not part of the mapping language")
                    .label("write the members out, or use a fragment (`$use`)");
                self.out.push(error);
            } else if let Some(first) = entries.iter().find(|entry| entry.key.text == key.text) {
                let error = Diagnostic::error("M102", key.span, format!("`{}` stands twice in one object", key.text))
                    .label("only one of them can count")
                    .also(first.key.span, "first here");
                self.out.push(error);
            } else {
                entries.push(Entry { key, value });
            }
        }
    }

    fn key(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Option<Name>, Stop> {
        let (node, ..) = self.node(event, span, depth)?;
        if let Kind::Scalar(Scalar { text, .. }) = node.kind {
            return Ok(Some(Name { text, span }));
        }
        self.out.push(Diagnostic::error("M100", node.span, "a key must be text").label("this is a collection"));
        Ok(None)
    }
}

fn absent(span: Span) -> Node {
    Node { span, kind: Kind::Scalar(Scalar { text: String::new(), verbatim: Some(span.start), lines: Vec::new() }) }
}

/// Where each line of a literal block's `value` starts; `start` is in its first line that is not blank.
fn literal_lines(text: &str, start: usize, value: &str) -> Vec<u32> {
    let mut offset = start;
    for _ in 0..=value.len() - value.trim_start_matches('\n').len() {
        let before = text.get(..offset).unwrap_or("");
        offset = before.strip_suffix('\n').unwrap_or(before).rfind('\n').map_or(0, |newline| newline + 1);
    }
    let mut lines = Vec::new();
    for line in value.lines() {
        let raw = text.get(offset..).and_then(|rest| rest.split('\n').next()).unwrap_or("");
        let content = raw.strip_suffix('\r').unwrap_or(raw);
        // What a source line has more than the value's line is indentation.
        lines.push((offset + content.len().saturating_sub(line.len())) as u32);
        offset += raw.len() + 1;
    }
    lines
}

#[cfg(test)]
mod tests;
