//! `_typeFilter` against an oracle: whatever is asked, what comes is what is right, read by SQL that leaves out as much
//! as it can.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use serde_json::Value;
use smelt::bulk::kickoff::add_filter;
use smelt::bulk::{ExportRequest, Known, Level, Parameters};
use smelt::fhir::search::{SearchParam, search_params};
use smelt::plan::search::searchable;

use super::engine::{Engine, with_engine};
use super::search_oracle::{Asked, finds, values};
use crate::support::generate::Random;

/// Of patients, each type with a filter of its own; and of nobody.
const TYPES: [&str; 13] = [
    "AllergyIntolerance",
    "CarePlan",
    "Condition",
    "Device",
    "DiagnosticReport",
    "DocumentReference",
    "Encounter",
    "Immunization",
    "MedicationRequest",
    "Observation",
    "Patient",
    "Procedure",
    "Organization",
];

/// A search in words, and what the oracle needs of it.
struct Search {
    parameters: Vec<(&'static SearchParam, Option<&'static str>, Vec<String>)>,
}

impl Search {
    fn text(&self, resource_type: &str) -> String {
        let one = |(param, modifier, values): &(&SearchParam, Option<&str>, Vec<String>)| {
            let modifier = modifier.map(|name| format!(":{name}")).unwrap_or_default();
            let escaped: Vec<String> =
                values.iter().map(|value| value.replace('%', "%25").replace('&', "%26").replace('+', "%2B")).collect();
            format!("{}{modifier}={}", param.code, escaped.join(","))
        };
        format!("{resource_type}?{}", self.parameters.iter().map(one).collect::<Vec<_>>().join("&"))
    }

    fn finds(&self, resource: &Value, zone: &TimeZone) -> bool {
        self.parameters.iter().all(|(param, modifier, values)| {
            let values = values.iter().map(String::as_str).collect();
            let asked = Asked { expression: param.expression, kind: param.kind.name(), modifier: *modifier, values };
            finds(resource, &asked, zone)
        })
    }
}

/// Parameters that the pack can be asked for, and that the oracle knows.
fn parameters(engine: &Engine, resource_type: &str) -> Vec<&'static SearchParam> {
    // The oracle leaves out extensions, and what is asked of two elements at once.
    let plain =
        |param: &&SearchParam| !param.expression.contains("extension(") && !param.expression.contains("exists()");
    let pack = &engine.prepared.pack;
    search_params(resource_type).filter(|param| searchable(pack, resource_type, param.code)).filter(plain).collect()
}

/// A value that some resource has, or one near it.
fn value(random: &mut Random, param: &SearchParam, found: &Value) -> Option<String> {
    let safe = |text: &str| !text.contains([',', '|', '$', '\\']) && !text.is_empty() && text.trim() == text;
    let text = match param.kind.name() {
        "token" => {
            let coding = match found.get("coding").and_then(|codings| codings.get(0)) {
                Some(coding) => coding,
                None => found,
            };
            let Some(code) = coding.get("code").or_else(|| coding.get("value")).and_then(Value::as_str) else {
                return match found {
                    Value::String(text) => Some(text.clone()).filter(|text| safe(text)),
                    Value::Bool(flag) => Some(flag.to_string()),
                    _ => None,
                };
            };
            let system = coding.get("system").and_then(Value::as_str);
            if !safe(code) || system.is_some_and(|system| !safe(system)) {
                return None;
            }
            match (random.below(4), system) {
                (0, Some(system)) => format!("{system}|{code}"),
                (1, Some(system)) => format!("{system}|"),
                (2, _) => format!("|{code}"),
                _ => code.to_owned(),
            }
        }
        "string" => {
            let all: Vec<&str> = match found {
                Value::String(text) => vec![text],
                Value::Object(object) => object.values().filter_map(Value::as_str).collect(),
                _ => return None,
            };
            let text = all.get(random.below(all.len().max(1)))?;
            let cut: String = text.chars().take(1 + random.below(6)).collect();
            let cut = cut.trim().to_owned();
            if !safe(&cut) {
                return None;
            }
            if random.one_in(2) { cut.to_uppercase() } else { cut }
        }
        "reference" => {
            let to = found["reference"].as_str()?;
            let (_, id) = to.split_once('/')?;
            if random.one_in(2) { id.to_owned() } else { to.to_owned() }
        }
        "uri" => found.as_str().filter(|text| safe(text))?.to_owned(),
        "date" => {
            let text = match found {
                Value::String(text) => text.as_str(),
                period => period[if random.one_in(2) { "start" } else { "end" }].as_str()?,
            };
            // A fraction of a second is finer than the oracle.
            if text.contains('.') {
                return None;
            }
            let length = [4, 7, 10, text.len()][random.below(4)].min(text.len());
            let prefix = ["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"][random.below(9)];
            format!("{prefix}{}", &text[..length])
        }
        "quantity" => {
            let number = found["value"].as_f64()?;
            let prefix = ["", "ne", "gt", "lt", "ge", "le"][random.below(6)];
            let unit = found["code"].as_str().filter(|unit| safe(unit));
            let number = if random.one_in(2) { format!("{number:.1}") } else { format!("{number:.0}") };
            match unit.filter(|_| random.one_in(2)) {
                Some(unit) => format!("{prefix}{number}||{unit}"),
                None => format!("{prefix}{number}"),
            }
        }
        other => panic!("{other} cannot be asked"),
    };
    Some(text)
}

fn search(random: &mut Random, params: &[&'static SearchParam], resources: &[Value]) -> Search {
    let mut parameters = Vec::new();
    while parameters.is_empty() || random.one_in(3) {
        let param = *random.pick(params);
        let modifier = match (param.kind.name(), random.below(8)) {
            (_, 0) => Some("missing"),
            ("token", 1) => Some("not"),
            ("string", 1) => Some("contains"),
            _ => None,
        };
        if modifier == Some("missing") {
            parameters.push((param, modifier, vec![["true", "false"][random.below(2)].to_owned()]));
            continue;
        }
        let mut wanted = Vec::new();
        for _ in 0..=random.below(2) {
            let resource = random.pick(resources);
            let found = values(resource, param.expression);
            if !found.is_empty() {
                let nth = random.below(found.len());
                wanted.extend(value(random, param, found[nth]));
            }
        }
        if !wanted.is_empty() {
            parameters.push((param, modifier, wanted));
        }
    }
    Search { parameters }
}

fn request(resource_type: &str, patients: &[String]) -> ExportRequest {
    let of_nobody = resource_type == "Organization";
    let given = Parameters {
        types: vec![resource_type.to_owned()],
        patients: if of_nobody { Vec::new() } else { patients.to_vec() },
        ..Parameters::default()
    };
    let level = if of_nobody { Level::System } else { Level::Patient };
    ExportRequest { level, ..ExportRequest::new(&given, &[resource_type]).expect("a request") }
}

fn by_id(resources: Option<&Vec<Value>>) -> BTreeMap<&str, &Value> {
    resources.into_iter().flatten().map(|one| (one["id"].as_str().expect("an id"), one)).collect()
}

fn agree(engine: &Engine, searches: usize, seed: u64) {
    let zone = TimeZone::get("America/New_York").expect("a zone");
    let patients = engine.texts("select id::text from patients order by id limit 4");
    let mut random = Random::new(seed);
    let (mut read, mut whole, mut asked) = (0, 0, BTreeSet::new());
    for resource_type in TYPES {
        let all = engine.export(&request(resource_type, &patients)).expect("an export");
        let resources = &all.resources[resource_type];
        let params = parameters(engine, resource_type);
        for _ in 0..searches {
            let searches = [(); 2].map(|()| search(&mut random, &params, resources));
            let searches = &searches[..=random.below(2)];
            let mut request = request(resource_type, &patients);
            let known = Known {
                mapped: &[resource_type],
                base_url: "https://localhost",
                compartment: &|_| true,
                searchable: &|resource_type, code| searchable(&engine.prepared.pack, resource_type, code),
                strict_filters: true,
            };
            let texts: Vec<String> = searches.iter().map(|search| search.text(resource_type)).collect();
            for text in &texts {
                add_filter(&mut request, text, &known).unwrap_or_else(|error| panic!("{text}: {error}"));
            }
            let made = engine.export(&request).unwrap_or_else(|error| panic!("{texts:?}: {error}"));
            let right: Vec<Value> = resources
                .iter()
                .filter(|resource| searches.iter().any(|search| search.finds(resource, &zone)))
                .cloned()
                .collect();
            let (found, right) = (by_id(made.resources.get(resource_type)), by_id(Some(&right)));
            let differs: Vec<_> = right.keys().filter(|id| !found.contains_key(*id)).collect();
            let beyond: Vec<_> = found.keys().filter(|id| !right.contains_key(*id)).collect();
            assert!(
                found == right,
                "seed {seed}, {texts:?}: {} right, not found {:?}, found beyond {:?}",
                right.len(),
                differs.first().map(|id| right[**id]),
                beyond.first().map(|id| found[**id])
            );
            for line in made.report.mappings.iter().filter(|line| line.resource_type == resource_type) {
                assert_eq!(line.rows, line.emitted + line.rejected + line.filtered, "{texts:?}");
                read += line.rows;
            }
            whole += resources.len() as u64;
            let codes = searches.iter().flat_map(|search| &search.parameters).map(|(param, ..)| param.code);
            asked.extend(codes.map(|code| format!("{resource_type}?{code}")));
        }
    }
    assert!(asked.len() > 80, "only {} parameters were asked", asked.len());
    assert!(read * 10 < whole * 9, "SQL leaves rows out: {read} of {whole} were read");
}

// K-56 K-57 K-63 K-64
#[tokio::test]
async fn filters_find_what_the_book_says() {
    with_engine(|engine| agree(engine, 6, 1)).await;
}

#[tokio::test]
#[ignore = "long"]
async fn soak_filters_find_what_the_book_says() {
    with_engine(|engine| agree(engine, 100, 2)).await;
}
