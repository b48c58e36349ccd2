//! Judges FHIR resources by the R4 table: structure, cardinality, required elements, primitive formats, codes of closed
//! value sets, and what references may point to. (Invariants and profiles are for HL7's own validator.)

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};
use smelt::fhir::elements::{Element, ElementType, TypeKind, child_type_path, codes, elements, json_name, type_kind};
use smelt::fhir::id::{is_id, reference};
use smelt::fhir::instant::{is_date, is_date_time, is_instant, is_time};

type Members = HashMap<String, (&'static Element, &'static ElementType)>;

/// Looks at resources, and keeps what is wrong: a sentence, and how often.
#[derive(Default)]
pub(crate) struct Judge {
    members: HashMap<String, Members>,
    pub(crate) wrong: BTreeMap<String, usize>,
}

impl Judge {
    fn wrong(&mut self, path: &str, what: &str) {
        *self.wrong.entry(format!("{path}: {what}")).or_default() += 1;
    }

    /// A member of a type by its JSON name.
    fn member(&mut self, type_path: &str, name: &str) -> Option<(&'static Element, &'static ElementType)> {
        if !self.members.contains_key(type_path) {
            let forms =
                |element: &'static Element| element.types.iter().map(move |ty| (json_name(element, ty), (element, ty)));
            self.members.insert(type_path.to_owned(), elements(type_path).iter().flat_map(forms).collect());
        }
        self.members[type_path].get(name).copied()
    }

    /// Looks at one resource; `path` is what it is called.
    pub(crate) fn resource(&mut self, path: &str, value: &Value) {
        let Some(object) = value.as_object() else { return self.wrong(path, "is no object") };
        let name = object.get("resourceType").and_then(Value::as_str).unwrap_or_default();
        if type_kind(name) != Some(TypeKind::Resource) {
            return self.wrong(path, "is of no type");
        }
        self.object(path, name, object);
    }

    fn object(&mut self, path: &str, type_path: &str, object: &Map<String, Value>) {
        if object.is_empty() {
            self.wrong(path, "is empty");
        }
        let mut seen: HashMap<&str, String> = HashMap::new();
        for (name, value) in object {
            if name == "resourceType" && type_kind(type_path) == Some(TypeKind::Resource) {
                continue;
            }
            let bare = name.strip_prefix('_').unwrap_or(name);
            let Some((element, ty)) = self.member(type_path, bare) else {
                self.wrong(path, &format!("has {name}, which is no element"));
                continue;
            };
            if seen.insert(element.name, bare.to_owned()).is_some_and(|other| other != bare) {
                self.wrong(path, &format!("has {} in two forms", element.name));
            }
            let at = format!("{path}.{name}");
            let items: Vec<&Value> = match (element.is_list(), value) {
                (true, Value::Array(items)) if !items.is_empty() => items.iter().collect(),
                (false, one) if !one.is_array() => vec![one],
                _ => {
                    self.wrong(&at, "is a list or not, as it should not be");
                    continue;
                }
            };
            if element.max.is_some_and(|most| items.len() > most as usize) {
                self.wrong(&at, "has too many");
            }
            for item in items {
                if bare == name {
                    self.value(&at, element, ty, item, object.contains_key(&format!("_{name}")));
                } else if !item.is_null() {
                    match item.as_object() {
                        Some(extensions) => self.object(&at, "Element", extensions),
                        None => self.wrong(&at, "is no object"),
                    }
                }
            }
        }
        for element in elements(type_path).iter().filter(|element| element.min > 0) {
            if !seen.contains_key(element.name) {
                self.wrong(path, &format!("lacks {}", element.name));
            }
        }
        if type_path == "Reference" {
            self.target_is_sound(path, object);
        }
    }

    fn value(&mut self, path: &str, element: &Element, ty: &ElementType, value: &Value, extended: bool) {
        if type_kind(ty.code) == Some(TypeKind::Primitive) {
            let gap = value.is_null() && extended;
            if !gap && !is_primitive(ty.code, value) {
                self.wrong(path, &format!("is no {}", ty.code));
            }
            if let (Some(list), Some(code)) = (element.required_value_set.and_then(codes), value.as_str())
                && ty.code == "code"
                && !list.contains(code)
            {
                self.wrong(path, "has a code that is not allowed");
            }
            return;
        }
        if ty.code == "Resource" {
            return self.resource(path, value);
        }
        let Some(object) = value.as_object() else { return self.wrong(path, "is no object") };
        if ty.code == "Reference" && !ty.targets.is_empty() {
            let text = object.get("reference").and_then(Value::as_str).unwrap_or_default();
            let target = text.split_once('/').map(|(name, _)| name).filter(|name| type_kind(name).is_some());
            if target.is_some_and(|name| !ty.targets.contains(&name) && !ty.targets.contains(&"Resource")) {
                self.wrong(path, "points to a type that it may not");
            }
        }
        self.object(path, &child_type_path(element, ty), object);
    }

    fn target_is_sound(&mut self, path: &str, object: &Map<String, Value>) {
        if let Some(text) = object.get("reference").and_then(Value::as_str)
            && reference(text).is_none()
        {
            self.wrong(path, "is a reference of no form");
        }
    }
}

fn is_primitive(code: &str, value: &Value) -> bool {
    let whole = |from: i64| value.as_i64().is_some_and(|number| (from..=i64::from(i32::MAX)).contains(&number));
    let text = |fits: &dyn Fn(&str) -> bool| value.as_str().is_some_and(|text| !text.is_empty() && fits(text));
    match code {
        "boolean" => value.is_boolean(),
        "integer" => whole(i64::from(i32::MIN)),
        "unsignedInt" => whole(0),
        "positiveInt" => whole(1),
        "decimal" => value.is_number(),
        "date" => text(&is_date),
        "dateTime" => text(&is_date_time),
        "instant" => text(&is_instant),
        "time" => text(&is_time),
        "id" => text(&is_id),
        "code" => text(&|text| text.split(' ').all(|word| !word.is_empty() && !word.contains(char::is_whitespace))),
        "oid" => text(&|text| text.starts_with("urn:oid:")),
        "uuid" => text(&|text| text.starts_with("urn:uuid:")),
        "uri" | "url" | "canonical" => text(&|text| !text.contains(char::is_whitespace)),
        "base64Binary" => text(&|text| text.len() % 4 == 0 && !text.contains(char::is_whitespace)),
        "xhtml" => text(&|text| text.starts_with("<div ") && text.ends_with("</div>")),
        // string, markdown
        _ => text(&|text| {
            !text.trim().is_empty() && !text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\r' | '\n'))
        }),
    }
}

/// The judge tells sound resources from others.
#[test]
fn what_is_wrong_is_found() {
    let judged = |text: &str| {
        let mut judge = Judge::default();
        judge.resource("x", &serde_json::from_str(text).unwrap());
        judge.wrong.into_keys().collect::<Vec<_>>().join("; ")
    };
    let sound = r#"{"resourceType":"Observation","id":"a","status":"final","code":{"text":"x"},
        "subject":{"reference":"Patient/p"},"_issued":{"extension":[{"url":"http://x","valueCode":"unknown"}]},
        "valueQuantity":{"value":1.50,"unit":"mg"},"contained":[{"resourceType":"Patient","birthDate":"2000"}]}"#;
    assert_eq!(judged(sound), "");
    for (from, to, told) in [
        ("\"final\"", "\"done\"", "x.status: has a code that is not allowed"),
        ("\"status\":\"final\",", "", "x: lacks status"),
        ("\"id\":\"a\"", "\"id\":\"a_b\"", "x.id: is no id"),
        ("{\"text\":\"x\"}", "{\"text\":\" \"}", "x.code.text: is no string"),
        ("{\"text\":\"x\"}", "{}", "x.code: is empty"),
        ("{\"text\":\"x\"}", "[{\"text\":\"x\"}]", "x.code: is a list or not, as it should not be"),
        ("{\"text\":\"x\"}", "{\"txt\":\"x\"}", "x.code: has txt, which is no element"),
        ("Patient/p", "Practitioner/p", "x.subject: points to a type that it may not"),
        ("Patient/p", "Patient/p/q", "x.subject: is a reference of no form"),
        ("1.50", "\"1.50\"", "x.valueQuantity.value: is no decimal"),
        ("\"subject\"", "\"valueString\":\"y\",\"subject\"", "x: has value[x] in two forms"),
        ("\"2000\"", "\"2000-13\"", "x.contained.birthDate: is no date"),
        ("\"valueCode\":\"unknown\"", "\"valueCode\":1", "x._issued.extension.valueCode: is no code"),
    ] {
        assert_eq!(judged(&sound.replace(from, to)), told, "{to}");
    }
}
