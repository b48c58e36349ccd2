//! What a YAML node must look like: the questions that project, header and fragments ask of one.
//!
//! Each takes the node and what to call it, and reports (M105) when the answer is no.

use super::diagnostic::{Diagnostic, nearest};
use super::tree::Name;
use super::yaml::{Entry, Node};

/// A mistake in what kind of thing stands here.
pub(super) fn wrong(node: &Node, what: &str, wanted: &str) -> Diagnostic {
    let message = format!("`{what}` must be {wanted}");
    Diagnostic::error("M105", node.span, message).label(format!("this is {}", node.shape()))
}

/// The entries of an object.
pub(super) fn object<'a>(node: &'a Node, what: &str, out: &mut Vec<Diagnostic>) -> Option<&'a [Entry]> {
    let entries = node.entries();
    if entries.is_none() {
        out.push(wrong(node, what, "an object (`key: value` lines)"));
    }
    entries
}

/// A text that is not empty.
pub(super) fn text(node: &Node, what: &str, wanted: &str, out: &mut Vec<Diagnostic>) -> Option<Name> {
    let text = node.text().filter(|text| !text.trim().is_empty());
    if text.is_none() {
        out.push(wrong(node, what, wanted));
    }
    text.map(|text| Name { text: text.to_owned(), span: node.part(0, text.len()) })
}

/// One text or a list of them, at least one.
pub(super) fn texts(node: &Node, what: &str, wanted: &str, out: &mut Vec<Diagnostic>) -> Vec<Name> {
    match node.items() {
        None => text(node, what, wanted, out).into_iter().collect(),
        Some([]) => {
            out.push(wrong(node, what, wanted).label("this list is empty"));
            Vec::new()
        }
        Some(items) => items.iter().filter_map(|item| text(item, what, wanted, out)).collect(),
    }
}

/// `true` or `false`.
pub(super) fn boolean(node: &Node, what: &str, out: &mut Vec<Diagnostic>) -> Option<bool> {
    match node.text() {
        Some("true") => Some(true),
        Some("false") => Some(false),
        _ => {
            out.push(Diagnostic::error("M105", node.span, format!("`{what}` must be `true` or `false`")));
            None
        }
    }
}

/// A key that `place` does not have (M103).
pub(super) fn unknown_key(key: &Name, place: &str, known: &[&str], out: &mut Vec<Diagnostic>) {
    let error = Diagnostic::error("M103", key.span, format!("{place} has no key `{}`", key.text)).label("unknown key");
    out.push(match nearest(&key.text, known.iter().copied()) {
        Some(near) => error.edit(format!("did you mean `{near}`?"), key.span, near),
        None => error.note(format!("keys here: {}", known.join(", "))),
    });
}

/// Reports every key of `entries` that is not `known`.
pub(super) fn known_keys(entries: &[Entry], place: &str, known: &[&str], out: &mut Vec<Diagnostic>) {
    for entry in entries.iter().filter(|entry| !known.contains(&&*entry.key.text)) {
        unknown_key(&entry.key, place, known, out);
    }
}
