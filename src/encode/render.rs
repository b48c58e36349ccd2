//! Templates without a compiled form, rendered by the handlebars crate.

use std::cmp::Ordering;
use std::sync::OnceLock;

use handlebars::{
    Context, Handlebars, Helper, HelperDef, JsonRender, RenderContext, RenderError, Renderable, ScopedJson,
    StringOutput, html_escape, no_escape,
};
use serde_json::{Map, Value};

use super::compare::{self, Literal};
use super::leaf::{Form, Leaves};
use super::scope::Rows;
use super::string::apply;
use super::{EncodeError, Invalid, leaf, text};
use crate::plan::program::{Comparand, CompareOp, Function, SlotRef, Writer};
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

/// `eq`, `ne`, `gt`, … as templates without the crate have them, where values are texts.
struct Compare(CompareOp);

impl HelperDef for Compare {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        let side = |at| helper.param(at).map_or(&Value::Null, |param| param.value());
        let (left, right) = (side(0), side(1));
        let holds = match self.0 {
            CompareOp::Eq => equal(left, right),
            CompareOp::Ne => !equal(left, right),
            op => order(left, right).is_some_and(|order| compare::holds(op, order)),
        };
        Ok(ScopedJson::from(Value::Bool(holds)))
    }
}

/// Scalars are equal when they read the same; what is empty equals nothing.
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Null, _) | (_, Value::Null) => false,
        (Value::Array(_) | Value::Object(_), _) | (_, Value::Array(_) | Value::Object(_)) => left == right,
        (left, right) => left.render() == right.render(),
    }
}

/// Numbers, and texts that are numbers (a decimal is one), by value; other texts by their characters.
fn order(left: &Value, right: &Value) -> Option<Ordering> {
    let number = |value: &Value| match value {
        Value::Number(_) | Value::String(_) => Literal::new(&Comparand::Numeric(value.render())).ok(),
        _ => None,
    };
    if let (Some(left), Some(right)) = (number(left), number(right)) {
        return left.against(&right);
    }
    match (left, right) {
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

impl HelperDef for Apply {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        let argument = helper.param(0).map_or(&Value::Null, |param| param.value());
        let done = match (self.0, argument) {
            (Function::Len, Value::Array(items)) => Value::from(items.len()),
            (Function::Len, Value::Object(members)) => Value::from(members.len()),
            (Function::Len, scalar) => Value::from(scalar.render().chars().count()),
            (function, argument) => Value::String(apply(function, &argument.render())),
        };
        Ok(ScopedJson::from(done))
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
            ("len", Function::Len),
        ] {
            registry.register_helper(name, Box::new(Apply(function)));
        }
        for (name, op) in [
            ("eq", CompareOp::Eq),
            ("ne", CompareOp::Ne),
            ("gt", CompareOp::Gt),
            ("gte", CompareOp::Ge),
            ("lt", CompareOp::Lt),
            ("lte", CompareOp::Le),
        ] {
            registry.register_helper(name, Box::new(Compare(op)));
        }
        registry
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What a condition or call gives is what a compiled template would give.
    #[test]
    fn helpers_as_compiled_templates_have_them() {
        let row = json!({
            "n": 5, "decimal": "10.50", "less": "9.5", "long": "12345678901234567890.1", "longer": "12345678901234567890.2",
            "flag": true, "name": "Zoë", "tags": ["a", "b"], "object": {"x": 1}, "code": "0150",
        });
        for (template, expected) in [
            ("{{eq n '5'}} {{eq n 5}} {{eq flag 'true'}} {{eq decimal 10.5}}", "true true true false"),
            ("{{eq none none}} {{ne none 'x'}} {{eq none null}}", "false true false"),
            ("{{eq tags tags}} {{eq tags object}} {{eq object 'x'}}", "true false false"),
            ("{{gt decimal less}} {{lt decimal less}} {{gte decimal 10.5}}", "true false true"),
            ("{{lt long longer}} {{gt n 3}} {{lte n '4'}}", "true true false"),
            ("{{gt name 'A'}} {{gt name 3}} {{lt none 3}} {{gt flag false}}", "true false false true"),
            ("{{len name}} {{len tags}} {{len object}} {{len n}} {{len none}}", "3 2 1 1 0"),
            ("{{upper (trim name)}} {{urlencode n}} {{lower flag}}", "ZOË 5 true"),
        ] {
            assert_eq!(registry(false).render_template(template, &row).unwrap(), expected, "{template}");
        }
    }
}
