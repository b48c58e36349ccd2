//! Constants, read by FHIR type into JSON text (§2.4).

use super::Checker;
use super::value::Place;
use crate::fhir::elements::{CodeList, codes};
use crate::fhir::id::{ReferenceText, is_absolute_uri, is_id, reference};
use crate::fhir::instant::{is_date, is_date_time, is_instant, is_time};
use crate::mapping::diagnostic::{Diagnostic, nearest};
use crate::mapping::source::Span;
use crate::mapping::syntax::Piece;

/// How an XHTML text must start.
const DIV: &str = "<div xmlns=\"http://www.w3.org/1999/xhtml\"";

/// JSON text of a string.
pub(super) fn quote(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}

/// JSON text of a constant of a primitive type that is no URI, or what the type wants.
pub(super) fn primitive(ty: &str, text: &str) -> Result<String, &'static str> {
    let written = |fits: bool, wanted| if fits { Ok(text.to_owned()) } else { Err(wanted) };
    let quoted = |fits: bool, wanted| if fits { Ok(quote(text)) } else { Err(wanted) };
    let number = text.parse::<i32>().ok().filter(|number| number.to_string() == text);
    match ty {
        "boolean" => written(matches!(text, "true" | "false"), "`true` or `false`"),
        "integer" => written(number.is_some(), "a whole number"),
        "positiveInt" => written(number.is_some_and(|number| number > 0), "a whole number from 1"),
        "unsignedInt" => written(number.is_some_and(|number| number >= 0), "a whole number from 0"),
        "decimal" => written(is_decimal(text), "a number such as `1.50`"),
        "date" => quoted(is_date(text), "`2026`, `2026-03` or `2026-03-08`"),
        "dateTime" => quoted(is_date_time(text), "a day, or a time with its zone: `2026-03-08T09:30:00Z`"),
        "instant" => quoted(is_instant(text), "a time with its zone: `2026-03-08T09:30:00Z`"),
        "time" => quoted(is_time(text), "`09:30:00`"),
        "code" => quoted(is_code(text), "no blanks at the ends, none doubled"),
        "id" => quoted(is_id(text), "A-Z a-z 0-9 - . and at most 64 characters"),
        "base64Binary" => quoted(is_base64(text), "base64 text"),
        "xhtml" => quoted(is_div(text), "`<div xmlns=\"http://www.w3.org/1999/xhtml\">…</div>`"),
        _ => quoted(!text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\r' | '\n')), "no control characters"),
    }
}

/// Whether a text, constant or template, is one XHTML `<div>`.
pub(super) fn is_div(text: &str) -> bool {
    let text = text.trim();
    text.starts_with(DIV) && text.ends_with("</div>")
}

/// Whether values of this primitive type are URIs of some kind.
pub(super) fn is_uri_type(ty: &str) -> bool {
    matches!(ty, "uri" | "url" | "canonical" | "oid" | "uuid")
}

fn is_decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && digits(fraction)
        && digits(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))
}

fn is_code(text: &str) -> bool {
    !text.is_empty() && text.split(' ').all(|word| !word.is_empty() && !word.contains(char::is_whitespace))
}

fn is_base64(text: &str) -> bool {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).is_ok()
}

/// `allowed: male, female, other, unknown`.
pub(super) fn allowed(list: &CodeList) -> String {
    let codes: Vec<&str> = list.iter().map(|(_, code)| code).collect();
    let shown = codes.get(..12).filter(|_| codes.len() > 14).unwrap_or(&codes);
    match codes.len() - shown.len() {
        0 => format!("allowed: {}", shown.join(", ")),
        more => format!("allowed: {}, … {more} more", shown.join(", ")),
    }
}

impl Checker<'_> {
    /// JSON text of a constant at a place of primitive type; `None` when it is wrong (and reported).
    pub(super) fn constant(&mut self, place: &Place, text: &str, span: Span) -> Option<String> {
        let ty = place.ty.code;
        if is_uri_type(ty) {
            return self.uri(place, text, span).map(|uri| quote(&uri));
        }
        let json = match primitive(ty, text) {
            Ok(json) => json,
            Err(wanted) => {
                let message = format!("`{}` is no value of {}", shown(text), place.element.path);
                self.report.add(Diagnostic::error("M205", span, message).label(format!("{ty}: {wanted}")));
                return None;
            }
        };
        if let Some(list) = place.binding.and_then(codes)
            && !list.contains(text)
        {
            self.report.add(self.not_allowed(place, list, text, span));
            return None;
        }
        if place.element.path == "Reference.reference" {
            return self.reference_text(place, text, span).then_some(json);
        }
        Some(json)
    }

    fn not_allowed(&self, place: &Place, list: &CodeList, text: &str, span: Span) -> Diagnostic {
        let name = list.name();
        let message = format!("`{}` is not allowed in {}", shown(text), place.subject());
        let diagnostic = Diagnostic::error("M205", span, message).label(format!("required value set {name}"));
        let diagnostic = diagnostic.note(allowed(list));
        if let Some(near) = nearest(text, list.iter().map(|(_, code)| code)) {
            return diagnostic.edit("did you mean", span, near);
        }
        let mapped = self.code_maps.iter().find_map(|map| {
            let row = map.rows.iter().find(|row| row.source == text)?;
            let target = row.targets.first().filter(|target| list.contains(&target.code))?;
            Some((map, target))
        });
        let Some((map, target)) = mapped else { return diagnostic };
        let (element, map, code) = (place.element.name, &map.name, &target.code);
        diagnostic
            .help(format!("to translate a column, write `${element} via {map}`; codes/{map}.csv maps {text} to {code}"))
    }

    /// A URI, its alias resolved; `None` when it is wrong (and reported).
    pub(super) fn uri(&mut self, place: &Place, text: &str, span: Span) -> Option<String> {
        let (bare, version) = match place.ty.code {
            "canonical" => text.split_once('|').map_or((text, None), |(uri, version)| (uri, Some(version))),
            _ => (text, None),
        };
        if let Some(uri) = self.project.alias.get(bare) {
            return Some(version.map_or_else(|| uri.clone(), |version| format!("{uri}|{version}")));
        }
        let relative = match place.ty.code {
            "canonical" => bare.strip_prefix('#').is_some_and(is_id),
            // An Attachment may point at a resource of the same server.
            "url" => matches!(reference(bare), Some(ReferenceText::Relative { .. })),
            "oid" => bare.starts_with("urn:oid:"),
            "uuid" => bare.starts_with("urn:uuid:"),
            _ => place.short_url && !bare.contains(char::is_whitespace),
        };
        if relative || is_absolute_uri(bare) && !matches!(place.ty.code, "oid" | "uuid") {
            return Some(text.to_owned());
        }
        self.report.add(self.not_uri(bare, span));
        None
    }

    /// The message for what is neither an absolute URI nor an alias.
    pub(super) fn not_uri(&self, text: &str, span: Span) -> Diagnostic {
        let message = format!("`{}` is neither an absolute URI nor an alias", shown(text));
        let diagnostic = Diagnostic::error("M209", span, message).label("not a URI");
        match nearest(text, self.project.alias.keys().map(String::as_str)) {
            Some(near) => diagnostic.edit("an alias of a similar name exists", span, near),
            None => diagnostic.help("add it under `alias:` in project.yaml, or write the URI"),
        }
    }

    /// A constant `Reference.reference`.
    fn reference_text(&mut self, place: &Place, text: &str, span: Span) -> bool {
        match reference(text) {
            Some(ReferenceText::Relative { resource_type, .. }) => {
                let targets: &[&str] = place.reference_type.map_or(&[], |ty| &ty.targets);
                if targets.is_empty() || targets.contains(&resource_type) || targets.contains(&"Resource") {
                    return true;
                }
                let message = format!("this place cannot refer to a {resource_type}");
                let diagnostic = Diagnostic::error("M402", span, message);
                self.report.add(diagnostic.note(format!("allowed: {}", targets.join(", "))));
                false
            }
            Some(_) => true,
            None => {
                let message = format!("`{}` is no reference", shown(text));
                let label = "`Type/id`, `#id` of a contained resource, or an absolute URI";
                self.report.add(Diagnostic::error("M205", span, message).label(label));
                false
            }
        }
    }
}

/// A constant of a mapping file in a message, not longer than a line.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or("")),
        None => text.to_owned(),
    }
}

/// The text of a constant with its escape removed: `$$x` is `$x`.
pub(super) fn unescaped(piece: Piece<'_>) -> Piece<'_> {
    if piece.text.starts_with("$$") { piece.part(1, piece.text.len()) } else { piece }
}
