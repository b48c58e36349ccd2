//! What has no compiled form: a piece of the template, written again with every column named from the root, so
//! that it reads the same alone as in its place.

use std::fmt::Write;

use handlebars::Template;
use handlebars::template::{BlockParam, HelperTemplate, Parameter, TemplateElement};

use super::path::{self, Path};
use super::walk::{Walk, column, constant};
use super::{HELPERS, Named};
use crate::mapping::diagnostic::Diagnostic;
use crate::mapping::tree::{ColumnRef, Part};

/// Names of [`HELPERS`] that give no value.
const NO_FUNCTIONS: [&str; 7] = ["each", "else", "if", "log", "raw", "unless", "with"];

/// A piece being written.
#[derive(Default)]
struct Piece {
    source: String,
    columns: Vec<ColumnRef>,
    required: Vec<ColumnRef>,
    /// Number of `{{#each}}` and `{{#with}}` around.
    depth: usize,
    /// Inside `{{#if}}` or `{{#unless}}`.
    guarded: bool,
    /// What makes the crate render it.
    because: &'static str,
    /// Names of block parameters.
    locals: Vec<String>,
    /// The piece spans lines: tags are kept from standing alone on theirs, which would eat white space that is
    /// already resolved.
    lines: bool,
}

impl Piece {
    /// An empty comment beside a tag, so that it never stands alone on its line.
    fn mark(&mut self) {
        if self.lines {
            self.source.push_str("{{!}}");
        }
    }
}

impl Walk<'_, '_> {
    /// The part that leaves `element` to the crate.
    pub(super) fn render(&mut self, element: &TemplateElement, guarded: bool) -> Vec<Part> {
        let because = match element {
            TemplateElement::HelperBlock(block) => match block.name.as_name().unwrap_or_default() {
                "each" => "`{{#each}}`",
                "with" => "`{{#with}}`",
                _ => "an `{{#if}}` that is not compiled",
            },
            _ => "another helper",
        };
        let mut piece = Piece { guarded, because, ..Piece::default() };
        piece.lines = has_lines(element);
        self.write(&mut piece, element);
        if self.wrong {
            return Vec::new();
        }
        vec![Part::Render { template: piece.source, columns: piece.columns, required: piece.required }]
    }

    fn write(&mut self, piece: &mut Piece, element: &TemplateElement) {
        match element {
            TemplateElement::RawString(text) => self.raw(piece, text),
            TemplateElement::Comment(_) => {}
            TemplateElement::Expression(call) => {
                piece.source.push_str("{{");
                self.call(piece, call);
                piece.source.push_str("}}");
            }
            TemplateElement::HtmlExpression(call) => {
                if self.html {
                    self.refuse("values in `div` are always escaped: write `{{…}}`");
                }
                piece.source.push_str("{{{");
                self.call(piece, call);
                piece.source.push_str("}}}");
            }
            TemplateElement::HelperBlock(block) => self.write_block(piece, block),
            TemplateElement::PartialExpression(_) | TemplateElement::PartialBlock(_) => {
                self.refuse("templates have no partials");
            }
            _ => {
                self.refuse("templates have no decorators");
            }
        }
    }

    fn body(&mut self, piece: &mut Piece, template: Option<&Template>) {
        for (n, element) in template.into_iter().flat_map(|body| body.elements.iter().enumerate()) {
            if !matches!(element, TemplateElement::RawString(_)) {
                let place = template.and_then(|body| body.mapping.get(n));
                self.enter(place.map(|place| super::mistake::offset(self.piece.text, place.0, place.1)));
            }
            self.write(piece, element);
        }
    }

    fn write_block(&mut self, piece: &mut Piece, block: &HelperTemplate) {
        let name = block.name.as_name().unwrap_or_default().to_owned();
        let (enters, guards) = match name.as_str() {
            "each" | "with" => (true, false),
            "if" | "unless" => (false, true),
            _ => {
                self.refuse(format!("`{name}` is no block; the blocks are `if`, `unless`, `each` and `with`"));
                return;
            }
        };
        piece.mark();
        let _ = write!(piece.source, "{{{{#{name}");
        self.token(&name);
        self.count(&name, block);
        let guarded = piece.guarded;
        piece.guarded |= guards;
        self.arguments(piece, block);
        let locals = piece.locals.len();
        if let Some(params) = &block.block_param {
            if !enters {
                self.no_local(&name);
            }
            let names = match params {
                BlockParam::Single(first) => vec![first],
                BlockParam::Pair((first, second)) => vec![first, second],
                _ => Vec::new(),
            };
            let names: Vec<String> = names.into_iter().filter_map(Parameter::as_name).map(str::to_owned).collect();
            let _ = write!(piece.source, " as |{}|", names.join(" "));
            piece.locals.extend(names);
        }
        piece.source.push_str("}}");
        piece.mark();
        piece.depth += usize::from(enters);
        self.body(piece, block.template.as_ref());
        piece.depth -= usize::from(enters);
        piece.locals.truncate(locals);
        if let Some(inverse) = &block.inverse {
            piece.mark();
            piece.source.push_str("{{else}}");
            piece.mark();
            self.body(piece, Some(inverse));
        }
        piece.guarded = guarded;
        piece.mark();
        let _ = write!(piece.source, "{{{{/{name}}}}}");
        piece.mark();
    }

    /// The inside of a tag or of parentheses.
    fn call(&mut self, piece: &mut Piece, call: &HelperTemplate) {
        if let Parameter::Subexpression(inner) = &call.name
            && let TemplateElement::Expression(inner) = inner.as_element()
        {
            self.call(piece, inner);
            return;
        }
        let name = call.name.as_name().unwrap_or_default().to_owned();
        if call.params.is_empty() && call.hash.is_empty() {
            if HELPERS.contains(&name.as_str()) {
                let span = self.token(&name);
                let message = format!("`{name}` is a Handlebars helper, so this does not read `{name}`");
                let help = format!("name it explicitly: `{{{{this.{name}}}}}`");
                self.report(Diagnostic::error("M305", span, message).help(help));
                return;
            }
            self.write_path(piece, &name);
            return;
        }
        match name.as_str() {
            "uuid" | "sha256" | "ref" => {
                self.token(&name);
                let span = self.tag();
                let message = format!("`{name}` cannot stand inside {}", piece.because);
                let wrong = Diagnostic::error(super::CODE, span, message).label("Handlebars renders this piece");
                self.report(wrong.help("conditions of columns, `not`, `and`, `or`, `eq` and `ne` are compiled; make any other, or the text itself, a \
                     column of the query",
                ));
            }
            name if HELPERS.contains(&name) && !NO_FUNCTIONS.contains(&name) => {
                self.token(name);
                self.count(name, call);
                piece.source.push_str(name);
                self.arguments(piece, call);
            }
            name => {
                self.token(name);
                self.refuse(format!("no helper `{name}`"));
            }
        }
    }

    /// Refuses a helper with too few or too many arguments: the crate would find out at every row, or ignore them.
    fn count(&mut self, name: &str, call: &HelperTemplate) {
        let wanted = match name {
            "and" | "or" => call.params.len().max(1),
            "eq" | "ne" | "gt" | "gte" | "lt" | "lte" | "lookup" => 2,
            _ => 1,
        };
        if call.params.len() != wanted {
            let plural = if wanted == 1 { "" } else { "s" };
            self.refuse(format!(
                "`{name}` takes {wanted} argument{plural}, and {} given",
                match call.params.len() {
                    1 => "1 is".to_owned(),
                    given => format!("{given} are"),
                }
            ));
        }
        let named = call.hash.keys().find(|key| !(matches!(name, "if" | "unless") && *key == "includeZero"));
        if let Some(named) = named {
            self.refuse(format!("`{name}` takes no argument `{named}`"));
        }
    }

    fn arguments(&mut self, piece: &mut Piece, call: &HelperTemplate) {
        for parameter in &call.params {
            piece.source.push(' ');
            self.parameter(piece, parameter);
        }
        let mut named: Vec<_> = call.hash.iter().collect();
        named.sort_by_key(|(name, _)| *name);
        for (name, parameter) in named {
            let _ = write!(piece.source, " {name}=");
            self.parameter(piece, parameter);
        }
    }

    fn parameter(&mut self, piece: &mut Piece, parameter: &Parameter) {
        match parameter {
            Parameter::Literal(json) => {
                let _ = write!(piece.source, "{json}");
            }
            Parameter::Path(_) | Parameter::Name(_) => {
                let name = parameter.as_name().unwrap_or_default().to_owned();
                self.write_path(piece, &name);
            }
            Parameter::Subexpression(inner) => {
                if let TemplateElement::Expression(call) = inner.as_element() {
                    // `(a)` is `a`: in parentheses the crate would look for a helper of that name.
                    if call.params.is_empty() && call.hash.is_empty() {
                        self.call(piece, call);
                        return;
                    }
                    piece.source.push('(');
                    self.call(piece, call);
                    piece.source.push(')');
                }
            }
            _ => {
                self.refuse("this argument cannot be read");
            }
        }
    }

    fn write_path(&mut self, piece: &mut Piece, raw: &str) {
        let path = path::parse(raw);
        let local = path.items.first().is_some_and(|first| piece.locals.contains(first));
        let inner = !path.root && path.up < piece.depth;
        if local || inner {
            self.token(raw);
            piece.source.push_str(raw);
            return;
        }
        if path.local {
            let span = self.token(raw);
            let message = format!("`{raw}` has a value only inside `{{{{#each}}}}`");
            self.report(Diagnostic::error(super::CODE, span, message));
            return;
        }
        let span = self.token(raw);
        let up = if path.root { 0 } else { path.up - piece.depth };
        let Some(column) = column(&Path { up, ..path }, span) else {
            self.report(Diagnostic::error(super::CODE, span, format!("`{raw}` is the whole row")));
            return;
        };
        match self.names.named(column) {
            Named::Column(column) => self.write_column(piece, column),
            Named::Parts(parts) => match constant(&parts) {
                Some(text) if piece.source.ends_with([' ', '=', '(']) => {
                    let _ = write!(piece.source, "{}", serde_json::Value::String(text));
                }
                _ => self.stray_argument(raw),
            },
            Named::Empty => self.stray_argument(raw),
        }
    }

    fn stray_argument(&mut self, raw: &str) {
        let span = self.tag();
        let message = format!("the argument given for `{raw}` cannot be used in this block: it needs a column");
        self.report(Diagnostic::error("M603", span, message));
    }

    fn write_column(&mut self, piece: &mut Piece, column: ColumnRef) {
        let key = format!("{}{}", "../".repeat(column.up.into()), column.name);
        let bracketed = std::iter::once(key.as_str()).chain(column.json.iter().map(String::as_str));
        for (n, item) in bracketed.enumerate() {
            if item.contains(']') {
                self.refuse("a name with `]` cannot be used in this block");
            }
            let _ = write!(piece.source, "{}[{item}]", if n == 0 { "@root." } else { "." });
        }
        let whole = ColumnRef { json: Vec::new(), ..column.clone() };
        let same =
            |other: &ColumnRef, one: &ColumnRef| (other.up, &other.name, &other.json) == (one.up, &one.name, &one.json);
        if !piece.columns.iter().any(|other| same(other, &whole)) {
            piece.columns.push(whole);
        }
        if !piece.guarded && !piece.required.iter().any(|other| same(other, &column)) {
            piece.required.push(column);
        }
    }

    fn raw(&mut self, piece: &mut Piece, text: &str) {
        if text.ends_with(['\\', '{']) || text.contains("\\{{") {
            self.refuse("a backslash or brace cannot stand here beside a block that Handlebars renders");
        }
        piece.source.push_str(&text.replace("{{", "\\{{"));
    }
}

/// Whether any text of the element holds a line break.
fn has_lines(element: &TemplateElement) -> bool {
    match element {
        TemplateElement::RawString(text) => text.contains('\n'),
        TemplateElement::HelperBlock(block) => {
            let bodies = [&block.template, &block.inverse];
            bodies.into_iter().flatten().flat_map(|body| &body.elements).any(has_lines)
        }
        _ => false,
    }
}
