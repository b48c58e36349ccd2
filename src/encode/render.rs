//! Templates without a compiled form, rendered by the handlebars crate.

use std::sync::OnceLock;

use handlebars::{
    BlockContext, Context, Handlebars, Helper, HelperDef, JsonRender, RenderContext, RenderError, Renderable,
    ScopedJson, StringOutput, html_escape, no_escape,
};
use serde_json::{Map, Value};

use super::leaf::{Form, Leaves};
use super::scope::Rows;
use super::string::apply;
use super::{EncodeError, Invalid, leaf, text};
use crate::plan::program::Function;
use crate::plan::program::{SlotRef, Writer};
use crate::row::PgKind;

/// The member of a row's context under which the context of the row inside it stands.
const INNER: &str = "\u{1}row";

/// A template and the columns it names.
#[derive(Debug)]
pub(super) struct Template {
    parsed: handlebars::Template,
    html: bool,
    columns: Vec<Column>,
    /// Scopes outward of the outermost column.
    depth: u8,
}

#[derive(Debug)]
struct Column {
    /// Without `../`: the slot tells the row.
    name: String,
    slot: SlotRef,
    writer: Writer,
}

impl Template {
    pub(super) fn new(source: &str, columns: &[(String, SlotRef, Writer)], html: bool) -> Result<Self, EncodeError> {
        let parsed = handlebars::Template::compile(source)
            .map_err(|error| EncodeError::Template { reason: error.to_string() })?;
        let columns: Vec<Column> = columns
            .iter()
            .map(|(name, slot, writer)| Column {
                name: name.trim_start_matches("../").to_owned(),
                slot: *slot,
                writer: *writer,
            })
            .collect();
        let depth = columns.iter().map(|column| column.slot.up).max().unwrap_or(0);
        Ok(Self { parsed, html, columns, depth })
    }

    /// The text for the current row of a scope.
    pub(super) fn render(&self, rows: &Rows, scope: usize, leaves: &mut Leaves) -> Result<String, Invalid> {
        let mut levels = vec![Map::new(); usize::from(self.depth) + 1];
        for column in &self.columns {
            let Some((kind, field)) = rows.present(scope, column.slot) else { continue };
            let value = value(kind, column.writer, field, leaves)?;
            if let Some(level) = levels.get_mut(usize::from(column.slot.up)) {
                level.insert(column.name.clone(), value);
            }
        }
        // Innermost row first; each becomes a member of the one around it, as `../` expects.
        let context = levels.into_iter().reduce(|inner, mut outer| {
            outer.insert(INNER.to_owned(), Value::Object(inner));
            outer
        });
        let context = Context::from(Value::Object(context.unwrap_or_default()));
        let mut state = RenderContext::new(None);
        for level in 1..=usize::from(self.depth) {
            let mut block = BlockContext::new();
            *block.base_path_mut() = vec![INNER.to_owned(); level];
            state.push_block(block);
        }
        let mut rendered = StringOutput::new();
        // The error may quote the row, so it is not kept.
        self.parsed
            .render(registry(self.html), &context, &mut state, &mut rendered)
            .map_err(|_render_error| Invalid)?;
        rendered.into_string().map_err(|_not_utf8| Invalid)
    }
}

/// A field in a template's context: booleans, integers and documents as themselves, all else as FHIR text.
fn value(kind: &PgKind, writer: Writer, field: &[u8], leaves: &mut Leaves) -> Result<Value, Invalid> {
    match kind {
        PgKind::Bool => return Ok(Value::Bool(leaf::boolean(field)?)),
        PgKind::Int2 | PgKind::Int4 | PgKind::Int8 => return Ok(Value::from(leaf::int(field)?)),
        _ => {}
    }
    let mut raw = Vec::new();
    match writer {
        Writer::Json => {
            leaf::database(kind, field, &mut raw)?;
            serde_json::from_slice(&raw).map_err(|_json_error| Invalid)
        }
        Writer::Array(_) => {
            raw.push(b'[');
            leaves.json(kind, writer, false, field, &mut raw)?;
            raw.push(b']');
            serde_json::from_slice(&raw).map_err(|_json_error| Invalid)
        }
        _ => {
            leaves.text(kind, writer, field, Form::Raw, &mut raw)?;
            Ok(Value::from(text::utf8(&raw)?))
        }
    }
}

/// Our functions, as helpers.
struct Apply(Function);

impl HelperDef for Apply {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        let argument = helper.param(0).map(|param| param.value().render()).unwrap_or_default();
        Ok(ScopedJson::from(Value::String(apply(self.0, &argument))))
    }
}

fn registry(html: bool) -> &'static Handlebars<'static> {
    static REGISTRIES: [OnceLock<Handlebars<'static>>; 2] = [OnceLock::new(), OnceLock::new()];
    REGISTRIES[usize::from(html)].get_or_init(|| {
        let mut registry = Handlebars::new();
        registry.register_escape_fn(if html { html_escape } else { no_escape });
        for (name, function) in [
            ("upper", Function::Upper),
            ("lower", Function::Lower),
            ("trim", Function::Trim),
            ("urlencode", Function::UrlEncode),
        ] {
            registry.register_helper(name, Box::new(Apply(function)));
        }
        registry
    })
}
