//! Templates without a compiled form, rendered by the handlebars crate.

use std::sync::OnceLock;

use handlebars::{
    Context, Handlebars, Helper, HelperDef, JsonRender, RenderContext, RenderError, Renderable, ScopedJson,
    StringOutput, html_escape, no_escape,
};
use serde_json::{Map, Value};

use super::leaf::{Form, Leaves};
use super::scope::Rows;
use super::string::apply;
use super::{EncodeError, Invalid, leaf, text};
use crate::plan::program::Function;
use crate::plan::program::{SlotRef, Writer};
use crate::row::PgKind;

/// A template and the columns it names.
#[derive(Debug)]
pub(super) struct Template {
    parsed: handlebars::Template,
    html: bool,
    /// Name in the context (`name`, `../name`), slot, writer.
    columns: Vec<(String, SlotRef, Writer)>,
}

impl Template {
    pub(super) fn new(source: &str, columns: &[(String, SlotRef, Writer)], html: bool) -> Result<Self, EncodeError> {
        let parsed = handlebars::Template::compile(source)
            .map_err(|error| EncodeError::Template { reason: error.to_string() })?;
        Ok(Self { parsed, html, columns: columns.to_vec() })
    }

    /// The text for the current row of a scope.
    pub(super) fn render(&self, rows: &Rows, scope: usize, leaves: &mut Leaves) -> Result<String, Invalid> {
        let mut members = Map::new();
        for (name, slot, writer) in &self.columns {
            let Some((kind, field)) = rows.present(scope, *slot) else { continue };
            members.insert(name.clone(), value(kind, *writer, field, leaves)?);
        }
        let context = Context::from(Value::Object(members));
        let mut state = RenderContext::new(None);
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
