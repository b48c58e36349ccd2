//! Leaves: terms, code maps and types (§2.4, §2.8, §2.11).

use base64::Engine as _;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset};
use smelt::fhir::elements::codes;
use smelt::fixture::Json;
use smelt::mapping::tree::{CodeMap, Expr, Fallback, Leaf, Target, Term, Unmapped};
use smelt::row::PgKind;

use super::value::array_elements;
use super::{Cell, Reference, Scope, Value, syntax};

/// What a leaf gives.
pub(super) enum Made {
    Value(Value),
    /// A data-absent-reason stands in for it.
    Absent,
}

/// The value cannot be written.
pub(super) struct Invalid;

pub(super) fn absent() -> Value {
    Value::object([(
        "extension",
        Value::List(vec![Value::object([
            ("url", Value::text("http://hl7.org/fhir/StructureDefinition/data-absent-reason")),
            ("valueCode", Value::text("unknown")),
        ])]),
    )])
}

pub(super) fn is_primitive(fhir_type: &str) -> bool {
    fhir_type.starts_with(|c: char| c.is_ascii_lowercase())
}

pub(super) fn boolean(text: &str) -> bool {
    match text {
        "true" | "t" => true,
        "false" | "f" => false,
        other => panic!("{other} is no boolean"),
    }
}

impl Reference<'_> {
    pub(super) fn leaf(&self, leaf: &Leaf, scopes: &[Scope<'_>]) -> Option<Made> {
        let wrapped = |value: Value| Made::Value(if leaf.list { Value::List(vec![value]) } else { value });
        match &leaf.expr {
            Expr::Constant(json) => Some(wrapped(self.constant(json))),
            Expr::Text(text) => match self.text(text, scopes)? {
                // Blank text is NULL, everywhere.
                Ok(text) if syntax::is_blank(&text) => None,
                Ok(text) if leaf.fhir_type == "id" && !syntax::is_id(&text) => Some(Made::Value(Value::Poison)),
                Ok(text) => Some(wrapped(Value::Text(text))),
                Err(Invalid) => self.invalid(),
            },
            Expr::Column(expr) => {
                for term in &expr.terms {
                    let made = match term.via {
                        Some(map) => self.mapped(leaf, term, &self.pack.code_maps[map.0], scopes),
                        None => self.direct(leaf, term, scopes),
                    };
                    if made.is_some() {
                        return made;
                    }
                }
                expr.fallback.as_ref().map(|json| wrapped(self.constant(json)))
            }
        }
    }

    fn constant(&self, json: &str) -> Value {
        let key = json.as_ptr() as usize;
        let mut known = self.constants.borrow_mut();
        known.entry(key).or_insert_with(|| Value::of_json(Json::parse(json).unwrap())).clone()
    }

    /// `policy.invalid`: reject the resource, or omit the value.
    fn invalid(&self) -> Option<Made> {
        self.pack.project.policy.reject_invalid.then_some(Made::Value(Value::Poison))
    }

    fn direct(&self, leaf: &Leaf, term: &Term, scopes: &[Scope<'_>]) -> Option<Made> {
        let document = !is_primitive(&leaf.fhir_type) || leaf.list;
        let cell = if document { self.document(&term.column, scopes)? } else { self.cell(&term.column, scopes)? };
        let value = match &cell.kind {
            PgKind::Json | PgKind::Jsonb => match Json::parse(&cell.text).unwrap() {
                list @ Json::List(_) if leaf.list => Ok(Value::Raw(list)),
                object @ Json::Object(_) if !leaf.list => Ok(Value::Raw(object)),
                _ => Err(Invalid),
            },
            PgKind::Array(of) => {
                let cells = array_elements(&cell.text)
                    .into_iter()
                    .flatten()
                    .filter_map(|text| Cell { kind: (**of).clone(), text, from_json: false }.unless_blank());
                cells.map(|cell| self.typed(leaf, &cell)).collect::<Result<_, _>>().map(Value::List)
            }
            _ => self.typed(leaf, &cell),
        };
        match value {
            Ok(value) => Some(Made::Value(value)),
            Err(Invalid) => self.invalid(),
        }
    }

    /// A scalar as its FHIR type wants it.
    fn typed(&self, leaf: &Leaf, cell: &Cell) -> Result<Value, Invalid> {
        let fhir_type = leaf.fhir_type.as_str();
        let text = matches!(cell.kind, PgKind::Text | PgKind::Char);
        let written = self.fhir_text(cell)?;
        let in_range = |least: i64| {
            let value: i64 = written.parse().unwrap();
            (least..=i64::from(i32::MAX)).contains(&value).then(|| Value::Number(written.clone())).ok_or(Invalid)
        };
        match fhir_type {
            "string" | "markdown" | "xhtml" => Ok(Value::Text(written)),
            "boolean" if !text => Ok(Value::Bool(boolean(&cell.text))),
            "integer" if !text => in_range(i32::MIN.into()),
            "unsignedInt" if !text => in_range(0),
            "positiveInt" if !text => in_range(1),
            "decimal" if cell.kind == PgKind::Float8 => Ok(Value::Float(cell.text.parse().unwrap())),
            "decimal" if cell.kind == PgKind::Float4 => Ok(Value::Single(cell.text.parse().unwrap())),
            "decimal" if !text => Ok(Value::Number(written)),
            "base64Binary" => Ok(Value::Text(written)),
            _ if !text => Ok(Value::Text(written)),
            _ => {
                let trimmed = syntax::trim(&written);
                if !syntax::matches(fhir_type, trimmed) {
                    return Err(Invalid);
                }
                if let Some(list) = leaf.required_binding.as_deref().and_then(codes)
                    && !list.contains(trimmed)
                {
                    return Err(Invalid);
                }
                Ok(match fhir_type {
                    "boolean" => Value::Bool(boolean(trimmed)),
                    "decimal" | "integer" | "unsignedInt" | "positiveInt" => Value::text_number(trimmed),
                    _ => Value::text(trimmed),
                })
            }
        }
    }

    /// A value as FHIR text: dates ISO, times with an offset, decimals with their scale.
    pub(super) fn fhir_text(&self, cell: &Cell) -> Result<String, Invalid> {
        let text = cell.text.as_str();
        Ok(match cell.kind {
            PgKind::Float4 | PgKind::Float8 | PgKind::Numeric if matches!(text, "NaN" | "Infinity" | "-Infinity") => {
                return Err(Invalid);
            }
            PgKind::Float8 => float_text(text.parse::<f64>().unwrap()),
            PgKind::Float4 => float_text(text.parse::<f32>().unwrap()),
            PgKind::Date => {
                let fits = text.len() == 10 && text != "-infinity";
                return if fits { Ok(text.to_owned()) } else { Err(Invalid) };
            }
            PgKind::Time if text.starts_with("24") => return Err(Invalid),
            PgKind::Time => Moment::parse(text).time(),
            PgKind::Timestamp | PgKind::TimestampTz => return self.moment(cell),
            PgKind::Bytea => {
                let digits = text.strip_prefix("\\x").unwrap();
                let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
                let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
                base64::engine::general_purpose::STANDARD.encode(bytes)
            }
            PgKind::Uuid => text.to_lowercase(),
            PgKind::Bool => boolean(text).to_string(),
            _ => text.to_owned(),
        })
    }

    /// A time of day with its offset in the project's zone.
    fn moment(&self, cell: &Cell) -> Result<String, Invalid> {
        if cell.text.ends_with("infinity") || cell.text.find('-') != Some(4) {
            return Err(Invalid);
        }
        let parsed = Moment::parse(&cell.text);
        let (local, offset) = if cell.kind == PgKind::TimestampTz {
            let instant = Offset::UTC.to_timestamp(parsed.local).map_err(|_beyond| Invalid)?;
            let offset = self.zone.to_offset(instant);
            (offset.to_datetime(instant), offset)
        } else {
            // In a gap the later offset, in an overlap the first.
            let offset = match self.zone.to_ambiguous_timestamp(parsed.local).offset() {
                AmbiguousOffset::Unambiguous { offset } => offset,
                AmbiguousOffset::Gap { after, .. } => after,
                AmbiguousOffset::Fold { before, .. } => before,
            };
            (parsed.local, offset)
        };
        // FHIR's offsets are whole minutes; before there were time zones, local ones were not.
        let minutes = offset.seconds() / 60;
        let instant = offset.to_timestamp(local).map_err(|_beyond| Invalid)?;
        let local = Offset::from_seconds(minutes * 60).unwrap().to_datetime(instant);
        if !(1..=9999).contains(&local.year()) {
            return Err(Invalid);
        }
        let (sign, minutes) = (if minutes < 0 { '-' } else { '+' }, minutes.abs());
        let zone = match self.pack.project.timezone.as_deref() {
            None | Some("UTC") => "Z".to_owned(),
            Some(_) => format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60),
        };
        Ok(format!("{}T{}{zone}", local.date(), Moment { local }.time()))
    }

    // ---- §2.8 -----------------------------------------------------------------------------------------------

    fn mapped(&self, leaf: &Leaf, term: &Term, map: &CodeMap, scopes: &[Scope<'_>]) -> Option<Made> {
        let wrapped = |value: Value| Some(Made::Value(if leaf.list { Value::List(vec![value]) } else { value }));
        let cell = self.cell(&term.column, scopes);
        let source = cell.as_ref().map(super::text::database);
        let fallback = match &source {
            None => map.empty.clone()?,
            Some(source) => {
                if let Some(row) = map.rows.iter().find(|row| row.source == *source) {
                    return self.targets(leaf, &row.targets).and_then(wrapped);
                }
                map.other.clone().unwrap_or(Fallback::Special(self.pack.project.policy.unmapped, None))
            }
        };
        // A code that is taken over as it is has no blanks around it.
        let source = syntax::trim(&source.unwrap_or_default()).to_owned();
        let coding = |system: Option<String>, code: Value| {
            let system = system.map(|system| ("system".to_owned(), Value::Text(system)));
            Value::Object(system.into_iter().chain([("code".to_owned(), code)]).collect())
        };
        match fallback {
            Fallback::Targets(targets) => self.targets(leaf, &targets).and_then(wrapped),
            Fallback::Special(Unmapped::Omit, _) => None,
            Fallback::Special(Unmapped::Absent, _) => Some(Made::Absent),
            Fallback::Special(Unmapped::Error, _) => Some(Made::Value(Value::Poison)),
            Fallback::Special(Unmapped::Text, _) => match leaf.fhir_type.as_str() {
                "CodeableConcept" => wrapped(Value::object([("text", Value::Text(source))])),
                _ => None,
            },
            Fallback::Special(Unmapped::Same, system) => {
                let code = Value::Text(source);
                match leaf.fhir_type.as_str() {
                    "CodeableConcept" => wrapped(Value::object([("coding", Value::List(vec![coding(system, code)]))])),
                    "Coding" => wrapped(coding(system, code)),
                    "boolean" | "integer" | "unsignedInt" | "positiveInt" | "decimal" => None,
                    _ => wrapped(code),
                }
            }
        }
    }

    fn targets(&self, leaf: &Leaf, targets: &[Target]) -> Option<Value> {
        let coding = |target: &Target| {
            let members = [
                ("system", target.system.clone()),
                ("code", Some(target.code.clone())),
                ("display", target.display.clone()),
            ];
            let written = members.into_iter().filter_map(|(name, text)| Some((name.to_owned(), Value::Text(text?))));
            Value::Object(written.collect())
        };
        let first = targets.first()?;
        Some(match leaf.fhir_type.as_str() {
            "CodeableConcept" => Value::object([("coding", Value::List(targets.iter().map(coding).collect()))]),
            "Coding" => coding(first),
            "boolean" => Value::Bool(boolean(&first.code)),
            "integer" | "unsignedInt" | "positiveInt" | "decimal" => Value::text_number(&first.code),
            "uri" | "url" | "canonical" => {
                Value::text(self.pack.project.alias.get(&first.code).unwrap_or(&first.code).as_str())
            }
            _ => Value::text(first.code.as_str()),
        })
    }
}

impl Value {
    fn text_number(digits: &str) -> Self {
        Self::Number(digits.to_owned())
    }
}

/// Shortest digits that read back the same.
fn float_text(value: impl std::fmt::Display) -> String {
    value.to_string()
}

/// A date, a time or both, as PostgreSQL prints them (`timestamptz` in UTC).
pub(super) struct Moment {
    pub(super) local: DateTime,
}

impl Moment {
    pub(super) fn parse(text: &str) -> Self {
        let text = text.strip_suffix("+00").or_else(|| text.strip_suffix('Z')).unwrap_or(text);
        let (date, time) = match text.split_once([' ', 'T']) {
            Some(pair) => pair,
            None if text.contains(':') => ("2000-01-01", text),
            None => (text, "00:00:00"),
        };
        let time = if time.len() == 5 { format!("{time}:00") } else { time.to_owned() };
        let local = format!("{date}T{time}").parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        Self { local }
    }

    /// `hh:mm:ss`, with milli- or microseconds when there are any.
    fn time(&self) -> String {
        let (hour, minute, second) = (self.local.hour(), self.local.minute(), self.local.second());
        let micros = self.local.subsec_nanosecond() / 1_000;
        let fraction = match (micros, micros % 1_000) {
            (0, _) => String::new(),
            (_, 0) => format!(".{:03}", micros / 1_000),
            _ => format!(".{micros:06}"),
        };
        format!("{hour:02}:{minute:02}:{second:02}{fraction}")
    }

    pub(super) fn micros(&self) -> i128 {
        self.local.duration_since(jiff::civil::datetime(2000, 1, 1, 0, 0, 0, 0)).as_micros()
    }
}
