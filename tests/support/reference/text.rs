//! Texts: templates, references and ids (§2.4, §2.9). What branches is rendered by the handlebars crate.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt::Write as _;

use handlebars::{Handlebars, JsonRender, handlebars_helper, no_escape};
use serde_json::{Map, Value as Context};
use sha1::{Digest, Sha1};
use sha2::Sha256;
use smelt::fixture::Json;
use smelt::mapping::tree::{Arg, ColumnRef, Function, Part, Test, Text};
use smelt::row::PgKind;

use super::leaf::Invalid;
use super::{Cell, Reference, Scope};

handlebars_helper!(upper: |text: str| text.to_uppercase());
handlebars_helper!(lower: |text: str| text.to_lowercase());
handlebars_helper!(trim: |text: str| text.trim().to_owned());
handlebars_helper!(characters: |text: str| text.chars().count());
handlebars_helper!(len: |it: Json| match it {
    Context::Array(items) => items.len(),
    Context::Object(members) => members.len(),
    it => it.render().chars().count(),
});
handlebars_helper!(eq: |x: Json, y: Json| same(x, y));
handlebars_helper!(ne: |x: Json, y: Json| !same(x, y));
handlebars_helper!(gt: |x: Json, y: Json| order(x, y) == Some(Ordering::Greater));
handlebars_helper!(gte: |x: Json, y: Json| matches!(order(x, y), Some(Ordering::Greater | Ordering::Equal)));
handlebars_helper!(lt: |x: Json, y: Json| order(x, y) == Some(Ordering::Less));
handlebars_helper!(lte: |x: Json, y: Json| matches!(order(x, y), Some(Ordering::Less | Ordering::Equal)));
handlebars_helper!(urlencode: |text: str| {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(byte.into());
        } else {
            write!(out, "%{byte:02X}").unwrap();
        }
    }
    out
});

/// Whether two values read the same; nothing equals nothing.
fn same(x: &Context, y: &Context) -> bool {
    let parts = |value: &Context| value.is_array() || value.is_object();
    !x.is_null() && !y.is_null() && if parts(x) || parts(y) { x == y } else { x.render() == y.render() }
}

/// By value where both read as numbers.
fn order(x: &Context, y: &Context) -> Option<Ordering> {
    let number = |value: &Context| {
        let text = if value.is_boolean() { None } else { Some(value.render()) };
        text.filter(|text| text.starts_with(|c: char| c.is_ascii_digit() || c == '-'))?.parse::<f64>().ok()
    };
    match (number(x), number(y)) {
        (Some(x), Some(y)) => x.partial_cmp(&y),
        _ if x.is_string() && y.is_string() => Some(x.render().cmp(&y.render())),
        _ => x.as_bool()?.partial_cmp(&y.as_bool()?),
    }
}

/// Templates by the address of the parts they were written from.
pub(super) struct Templates {
    plain: Handlebars<'static>,
    html: Handlebars<'static>,
    written: HashMap<usize, Written>,
}

/// A template over variables `v0`, `v1`, …
#[derive(Clone, Default)]
struct Written {
    source: String,
    variables: Vec<Variable>,
}

#[derive(Clone)]
enum Variable {
    /// A value as FHIR text.
    Text(ColumnRef),
    /// A value as it decides: a boolean, an integer, or text.
    Decides(ColumnRef),
    /// Text as it is.
    Is(String),
    /// A piece rendered before.
    Piece(Part),
}

impl Default for Templates {
    fn default() -> Self {
        let registry = || {
            let mut registry = Handlebars::new();
            registry.register_helper("upper", Box::new(upper));
            registry.register_helper("lower", Box::new(lower));
            registry.register_helper("trim", Box::new(trim));
            registry.register_helper("urlencode", Box::new(urlencode));
            registry.register_helper("characters", Box::new(characters));
            registry.register_helper("len", Box::new(len));
            registry.register_helper("eq", Box::new(eq));
            registry.register_helper("ne", Box::new(ne));
            registry.register_helper("gt", Box::new(gt));
            registry.register_helper("gte", Box::new(gte));
            registry.register_helper("lt", Box::new(lt));
            registry.register_helper("lte", Box::new(lte));
            registry
        };
        let mut plain = registry();
        plain.register_escape_fn(no_escape);
        Self { plain, html: registry(), written: HashMap::new() }
    }
}

impl Reference<'_> {
    /// The string, or nothing when a column outside every guard is empty.
    pub(super) fn text(&self, text: &Text, scopes: &[Scope<'_>]) -> Option<Result<String, Invalid>> {
        if let Some(refers) = &text.refers {
            let target = self.pack.mappings.iter().find(|mapping| mapping.name == refers.mapping).unwrap();
            let mut key = Vec::new();
            for (name, arg) in target.header.key.iter().zip(&refers.args) {
                key.push((name.text.clone(), Some(self.arg(arg, scopes)?)));
            }
            let id = self.text(&target.id, &[Scope::Key(key)])?;
            return Some(id.map(|id| format!("{}/{id}", target.resource_type)));
        }
        for part in &text.parts {
            let needed: Vec<&ColumnRef> = match part {
                Part::Column(column) | Part::Apply(_, column) => vec![column],
                Part::Uuid { args, .. } | Part::Sha256(args) => args
                    .iter()
                    .filter_map(|arg| match arg {
                        Arg::Column(column) => Some(column),
                        Arg::Literal(_) => None,
                    })
                    .collect(),
                Part::Render { required, .. } => required.iter().collect(),
                Part::Literal(_) | Part::When { .. } => Vec::new(),
            };
            if needed.into_iter().any(|column| self.cell(column, scopes).is_none()) {
                return None;
            }
        }
        Some(self.parts(&text.parts, text.html, scopes))
    }

    fn arg(&self, arg: &Arg, scopes: &[Scope<'_>]) -> Option<Cell> {
        match arg {
            Arg::Column(column) => self.cell(column, scopes),
            Arg::Literal(text) => Some(Cell { kind: PgKind::Text, text: text.clone(), from_json: false }),
        }
    }

    fn parts(&self, parts: &[Part], html: bool, scopes: &[Scope<'_>]) -> Result<String, Invalid> {
        let branches = parts.iter().any(|part| matches!(part, Part::When { .. } | Part::Apply(..)));
        if branches || html {
            return self.rendered(parts, html, scopes);
        }
        parts.iter().map(|part| self.piece(part, html, scopes)).collect()
    }

    /// A piece that does not branch.
    fn piece(&self, part: &Part, html: bool, scopes: &[Scope<'_>]) -> Result<String, Invalid> {
        match part {
            Part::Literal(text) => Ok(text.clone()),
            Part::Column(column) => self.shown(column, scopes).map(Option::unwrap_or_default),
            Part::Uuid { namespace, args } => {
                let hash = Sha1::new().chain_update(namespace).chain_update(self.joined(args, scopes)).finalize();
                let mut bytes: [u8; 16] = hash[..16].try_into().unwrap();
                bytes[6] = bytes[6] & 0x0f | 0x50;
                bytes[8] = bytes[8] & 0x3f | 0x80;
                Ok(uuid::Uuid::from_bytes(bytes).to_string())
            }
            Part::Sha256(args) => {
                let hash = Sha256::digest(self.joined(args, scopes));
                Ok(hash.iter().map(|byte| format!("{byte:02x}")).collect())
            }
            Part::Render { template, columns, .. } => {
                let mut context = Map::new();
                for column in columns {
                    let name = format!("{}{}", "../".repeat(column.up.into()), column.name);
                    if let Some(value) = self.context(column, scopes)? {
                        context.insert(name, value);
                    }
                }
                let mut templates = self.templates.borrow_mut();
                let registry = if html { &mut templates.html } else { &mut templates.plain };
                if !registry.has_template(template) {
                    registry.register_template_string(template, template).unwrap();
                }
                registry.render(template, &context).map_err(|_| Invalid)
            }
            Part::Apply(..) | Part::When { .. } => unreachable!("rendered"),
        }
    }

    /// A column as FHIR text.
    fn shown(&self, column: &ColumnRef, scopes: &[Scope<'_>]) -> Result<Option<String>, Invalid> {
        self.cell(column, scopes).map(|cell| self.fhir_text(&cell)).transpose()
    }

    /// A column in a template's context: booleans, integers, lists and documents as themselves, all else as text.
    fn context(&self, column: &ColumnRef, scopes: &[Scope<'_>]) -> Result<Option<Context>, Invalid> {
        let Some(cell) = self.document(column, scopes) else { return Ok(None) };
        Ok(Some(match &cell.kind {
            PgKind::Bool => Context::Bool(super::leaf::boolean(&cell.text)),
            PgKind::Int2 | PgKind::Int4 | PgKind::Int8 => Context::from(cell.text.parse::<i64>().unwrap()),
            PgKind::Json | PgKind::Jsonb => serde_json::from_str(&cell.text).unwrap(),
            PgKind::Array(of) => {
                let cells = super::value::array_elements(&cell.text)
                    .into_iter()
                    .flatten()
                    .filter_map(|text| Cell { kind: (**of).clone(), text, from_json: false }.unless_blank());
                let texts: Result<Vec<_>, _> = cells.map(|cell| self.fhir_text(&cell)).collect();
                Context::from(texts?)
            }
            _ => Context::from(self.fhir_text(&cell)?),
        }))
    }

    /// Arguments as the database prints them.
    fn joined(&self, args: &[Arg], scopes: &[Scope<'_>]) -> String {
        let texts: Vec<String> =
            args.iter().map(|arg| self.arg(arg, scopes).as_ref().map(database).unwrap_or_default()).collect();
        texts.join("-")
    }

    fn rendered(&self, parts: &[Part], html: bool, scopes: &[Scope<'_>]) -> Result<String, Invalid> {
        let key = parts.as_ptr() as usize;
        let known = self.templates.borrow().written.get(&key).cloned();
        let written = known.unwrap_or_else(|| {
            let mut written = Written::default();
            written.parts(parts);
            let templates = &mut *self.templates.borrow_mut();
            let registry = if html { &mut templates.html } else { &mut templates.plain };
            registry.register_template_string(&key.to_string(), &written.source).unwrap();
            templates.written.insert(key, written.clone());
            written
        });
        let mut context = Map::new();
        for (nth, variable) in written.variables.iter().enumerate() {
            let value = match variable {
                Variable::Is(text) => Some(Context::from(text.as_str())),
                Variable::Piece(part) => Some(Context::from(self.piece(part, html, scopes)?)),
                Variable::Text(column) => self.shown(column, scopes)?.map(Context::from),
                Variable::Decides(column) => match self.cell(column, scopes) {
                    Some(cell) if cell.from_json && ["false", "0"].contains(&cell.text.as_str()) => None,
                    Some(cell) if cell.from_json => Some(Context::from(cell.text)),
                    _ => self.context(column, scopes).unwrap_or(Some(Context::from("invalid"))),
                },
            };
            context.insert(format!("v{nth}"), value.unwrap_or(Context::Null));
        }
        let templates = self.templates.borrow();
        let registry = if html { &templates.html } else { &templates.plain };
        Ok(registry.render(&key.to_string(), &context).unwrap())
    }
}

impl Written {
    fn variable(&mut self, variable: Variable) -> String {
        self.variables.push(variable);
        format!("v{}", self.variables.len() - 1)
    }

    fn parts(&mut self, parts: &[Part]) {
        for part in parts {
            let piece = match part {
                // Literals are never escaped.
                Part::Literal(text) => format!("{{{{{{{}}}}}}}", self.variable(Variable::Is(text.clone()))),
                Part::Column(column) => format!("{{{{{}}}}}", self.variable(Variable::Text(column.clone()))),
                Part::Apply(function, column) => {
                    let helper = match function {
                        Function::Upper => "upper",
                        Function::Lower => "lower",
                        Function::Trim => "trim",
                        Function::UrlEncode => "urlencode",
                        Function::Len => "characters",
                    };
                    let name = self.variable(Variable::Text(column.clone()));
                    format!("{{{{#if {name}}}}}{{{{{helper} {name}}}}}{{{{/if}}}}")
                }
                Part::When { test, then, otherwise } => {
                    let test = self.test(test);
                    write!(self.source, "{{{{#if {test}}}}}").unwrap();
                    self.parts(then);
                    self.source.push_str("{{else}}");
                    self.parts(otherwise);
                    "{{/if}}".to_owned()
                }
                Part::Uuid { .. } | Part::Sha256(_) | Part::Render { .. } => {
                    format!("{{{{{{{}}}}}}}", self.variable(Variable::Piece(part.clone())))
                }
            };
            self.source.push_str(&piece);
        }
    }

    /// A test as a Handlebars expression.
    fn test(&mut self, test: &Test) -> String {
        let join = |this: &mut Self, name: &str, tests: &[Test]| {
            let tests: Vec<String> = tests.iter().map(|test| this.test(test)).collect();
            format!("({name} {})", tests.join(" "))
        };
        match test {
            Test::Truthy(column) => self.variable(Variable::Decides(column.clone())),
            Test::Not(test) => format!("(not {})", self.test(test)),
            Test::And(tests) => join(self, "and", tests),
            Test::Or(tests) => join(self, "or", tests),
            Test::Eq(left, right) => {
                let mut side = |arg: &Arg| {
                    self.variable(match arg {
                        Arg::Column(column) => Variable::Text(column.clone()),
                        Arg::Literal(text) => Variable::Is(text.clone()),
                    })
                };
                let (left, right) = (side(left), side(right));
                // What is empty equals nothing.
                format!("(and {left} {right} (eq {left} {right}))")
            }
        }
    }
}

/// A value as the database prints it. The rows of these tests are written so already.
pub(super) fn database(cell: &Cell) -> String {
    match cell.kind {
        PgKind::Bool => super::leaf::boolean(&cell.text).to_string(),
        PgKind::Uuid => cell.text.to_lowercase(),
        PgKind::Jsonb | PgKind::Json => Json::parse(&cell.text).unwrap().to_string(),
        _ => cell.text.clone(),
    }
}
