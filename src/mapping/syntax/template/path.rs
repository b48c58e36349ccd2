//! Names inside templates: `a`, `this.a`, `[Order Date]`, `../a.b`, `@root.a`, `@index`.
//!
//! The crate keeps a path's raw text; its own segments hide `../` behind a type that is not exported.

/// A name in a template, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    /// Starts at the outermost row (`@root`).
    pub(super) root: bool,
    /// `@index` and its like: a variable of a block, no column.
    pub(super) local: bool,
    /// Number of `../`.
    pub(super) up: usize,
    /// Names; empty for `this`.
    pub(super) items: Vec<String>,
}

/// Takes a path's raw text apart.
pub(super) fn parse(raw: &str) -> Path {
    let mut rest = raw.trim();
    for current in ["this.", "this/", "./"] {
        if let Some(after) = rest.strip_prefix(current) {
            rest = after;
            break;
        }
    }
    let mut path = Path { root: false, local: false, up: 0, items: Vec::new() };
    if let Some(after) = rest.strip_prefix("@root").and_then(|after| after.strip_prefix(['.', '/'])) {
        path.root = true;
        rest = after;
    }
    if let Some(after) = rest.strip_prefix('@') {
        path.local = true;
        rest = after;
    }
    while let Some(after) = rest.strip_prefix("../").or_else(|| rest.strip_prefix("...")) {
        path.up += 1;
        rest = after;
    }
    while !rest.is_empty() {
        let (item, after) = if let Some(quoted) = rest.strip_prefix('[') {
            quoted.split_once(']').unwrap_or((quoted, ""))
        } else {
            let end = rest.find(['.', '/']).unwrap_or(rest.len());
            (rest.get(..end).unwrap_or(""), rest.get(end..).unwrap_or(""))
        };
        if item != "this" {
            path.items.push(item.to_owned());
        }
        rest = after.strip_prefix(['.', '/']).unwrap_or(after);
    }
    path
}
