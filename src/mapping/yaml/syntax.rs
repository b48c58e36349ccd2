//! The parser's complaints in our own words (M100).

use granit_parser::{ErrorKind, ScanError};

use super::super::diagnostic::Diagnostic;
use super::super::source::{SourceId, Span};

/// What a syntax error is called, and what to do.
struct Words {
    message: String,
    label: &'static str,
    help: Option<&'static str>,
}

/// The error at its place: one character.
pub(super) fn diagnostic(source: SourceId, text: &str, error: &ScanError) -> Diagnostic {
    let kind = error.kind();
    let start = place(kind, text, text.floor_char_boundary(error.marker().byte_offset().unwrap_or(0)));
    let width = text.get(start..).and_then(|rest| rest.chars().next()).filter(|&c| c != '\n' && c != '\r');
    let span = Span::new(source, start, start + width.map_or(0, char::len_utf8));
    if matches!(kind, ErrorKind::DirectiveDisallowed) {
        return Diagnostic::error("M104", span, "YAML directives are not part of the mapping language")
            .label("remove this line");
    }
    let Words { message, label, help } = words(kind, text.get(..start).unwrap_or(""));
    let diagnostic = Diagnostic::error("M100", span, message).label(label);
    match help {
        Some(help) => diagnostic.help(help),
        None => diagnostic,
    }
}

/// The character to point at; the parser says only where it noticed.
fn place(kind: &ErrorKind, text: &str, noticed: usize) -> usize {
    let bytes = text.as_bytes();
    match kind {
        ErrorKind::UnknownQuotedScalarEscape => {
            let mut place = noticed;
            while let Some(&byte) = bytes.get(place) {
                let escapes = b"0abtnvfre \"/\\N_LPxuU\t\r\n";
                match bytes.get(place + 1) {
                    Some(next) if byte == b'\\' && escapes.contains(next) => place += 2,
                    Some(_) if byte == b'\\' => return place,
                    _ => place += 1,
                }
            }
            noticed
        }
        ErrorKind::TabInBlockIndentation | ErrorKind::TabInIndentation | ErrorKind::TabNotAllowed
            if noticed > 0 && bytes.get(noticed - 1) == Some(&b'\t') =>
        {
            noticed - 1
        }
        _ => noticed,
    }
}

/// `before` is the text up to the place.
fn words(kind: &ErrorKind, before: &str) -> Words {
    let first_colon = || !before.rsplit('\n').next().unwrap_or("").contains(": ");
    let say = |message: &str, label: &'static str, help: Option<&'static str>| Words {
        message: message.to_owned(),
        label,
        help,
    };
    match kind {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInPlainScalar => {
            say("a tab cannot indent YAML", "a tab stands here", Some("use spaces, two per level"))
        }
        ErrorKind::MappingValueNotAllowed if first_colon() => say(
            "this line does not fit the lines above it",
            "YAML reads this line as part of the value above",
            Some("members of one object start in the same column; a value with a `: ` needs quotes"),
        ),
        ErrorKind::InvalidIndentation
        | ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::ExpectedBlockSequenceEntry
        | ErrorKind::InvalidBlockScalarIndent
        | ErrorKind::BlockSequenceEntryNotAllowed
        | ErrorKind::MappingKeyNotAllowed => say(
            "this line does not fit the lines above it",
            "neither the next member here nor part of the value above",
            Some("members of one object start in the same column, and each reads `key: value`"),
        ),
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => say(
            "a second `: ` in one line",
            "YAML reads this colon as the end of a key",
            Some("put the value in quotes if the colon belongs to it, or start a new line"),
        ),
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => {
            say("a key without its colon", "`: ` is missing", Some("write `key: value`"))
        }
        ErrorKind::UnclosedQuotedScalar | ErrorKind::DocumentIndicatorInQuotedScalar => {
            say("a quote is not closed", "the text that starts here has no end", None)
        }
        ErrorKind::InvalidTrailingDoubleQuotedScalar | ErrorKind::InvalidTrailingSingleQuotedScalar => say(
            "text after a closing quote",
            "the value ended before this",
            Some("put the whole value in the other kind of quotes, or leave them out"),
        ),
        ErrorKind::UnknownQuotedScalarEscape
        | ErrorKind::InvalidQuotedScalarHexEscape
        | ErrorKind::InvalidUnicodeEscape
        | ErrorKind::InvalidLowSurrogate
        | ErrorKind::InvalidLowSurrogateHexEscape
        | ErrorKind::MissingLowSurrogate
        | ErrorKind::UnpairedLowSurrogate => say(
            "an unknown escape in double quotes",
            "`\\` starts an escape here",
            Some("write `\\\\` for a backslash, or use single quotes"),
        ),
        ErrorKind::UnclosedFlowCollection { open } => {
            Words { message: format!("`{open}` is not closed"), label: "the collection has no end", help: None }
        }
        ErrorKind::MismatchedFlowCollectionEnd { open, close } => {
            Words { message: format!("`{open}` is closed by `{close}`"), label: "does not match", help: None }
        }
        ErrorKind::MisplacedFlowCollectionEnd => say("nothing is open here", "closes nothing", None),
        ErrorKind::ExpectedFlowMappingSeparator
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofImplicitFlowMapping => say(
            "this does not continue the inline object",
            "`,` or `}` is expected here",
            Some("inside `{ }`, commas and braces end a value; put values that hold them in quotes"),
        ),
        ErrorKind::ExpectedFlowSequenceSeparator | ErrorKind::UnexpectedEofFlowSequence => say(
            "this does not continue the inline list",
            "`,` or `]` is expected here",
            Some("inside `[ ]`, commas and brackets end a value; put values that hold them in quotes"),
        ),
        ErrorKind::UnexpectedCharacter { .. } => {
            say("a value cannot start with this character", "reserved by YAML", Some("put the value in quotes"))
        }
        ErrorKind::InvalidBlockScalarHeader | ErrorKind::ZeroBlockScalarIndent => say(
            "a block of text starts on the line after `|`",
            "nothing may stand here",
            Some("write `|` alone and the text below it, indented"),
        ),
        ErrorKind::CommentInterceptedScalar => say(
            "a comment inside a value",
            "the value above goes on after this comment",
            Some("put the value in quotes or on one line"),
        ),
        ErrorKind::RecursionLimitExceeded => say("too many levels of nesting", "", None),
        ErrorKind::BomInsideDocument => say("a byte-order mark inside the file", "remove it", None),
        ErrorKind::ExpectedTagBang
        | ErrorKind::UndeclaredTagHandle
        | ErrorKind::InvalidGlobalTagCharacter
        | ErrorKind::InvalidTagTerminator
        | ErrorKind::MissingTagUri
        | ErrorKind::UnclosedVerbatimTag => say(
            "YAML reads a leading `!` as a tag",
            "not a tag",
            Some("put the value in quotes if it is meant as text"),
        ),
        ErrorKind::MissingAnchorOrAliasName => say(
            "YAML reads a leading `*` as an alias and `&` as an anchor",
            "no name follows",
            Some("put the value in quotes if it is meant as text"),
        ),
        _ => say("this is not valid YAML", "the parser stopped here", None),
    }
}
