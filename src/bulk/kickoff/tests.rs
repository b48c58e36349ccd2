//! Kick-offs as clients send them, and as they should not.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

mod associated;
mod files;
mod filters;
mod patients;
mod unsupported;

const MAPPED: &[&str] = &[
    "Condition",
    "Device",
    "Encounter",
    "MedicationRequest",
    "Observation",
    "Organization",
    "Patient",
    "Practitioner",
    "Provenance",
];

const BASE: &str = "https://bulk.example.org/r4";

/// Parameters of the types that are not supported are left out on purpose.
fn searchable(resource_type: &str, code: &str) -> bool {
    matches!(
        (resource_type, code),
        (_, "_id" | "_lastUpdated")
            | ("Observation", "category" | "code" | "status" | "date")
            | ("Condition", "category" | "code")
            | ("MedicationRequest", "status" | "intent")
            | ("Patient", "gender")
    )
}

/// A request under test: system level, strict, GET.
#[derive(Clone)]
struct Ask {
    dialect: Dialect,
    level: Level,
    query: Option<String>,
    body: Option<Vec<u8>>,
    lenient: bool,
    strict_filters: bool,
}

fn get(query: &str) -> Ask {
    Ask {
        dialect: Dialect::Compatible,
        level: Level::System,
        query: Some(query.to_owned()),
        body: None,
        lenient: false,
        strict_filters: false,
    }
}

fn raw(body: &[u8]) -> Ask {
    Ask { query: None, body: Some(body.to_vec()), ..get("") }
}

fn post(parameter: Value) -> Ask {
    let mut body = json!({"resourceType": "Parameters"});
    body["parameter"] = parameter;
    raw(body.to_string().as_bytes())
}

/// The texts of so many numbers, joined.
fn numbered(count: u32, text: impl Fn(u32) -> String) -> String {
    (0..count).map(text).collect()
}

impl Ask {
    fn lenient(self) -> Self {
        Self { lenient: true, ..self }
    }

    fn v4(self) -> Self {
        Self { dialect: Dialect::V4, ..self }
    }

    fn at(self, level: Level) -> Self {
        Self { level, ..self }
    }

    fn read(&self) -> Result<KickOff, Refusal> {
        let intake = Intake {
            dialect: self.dialect,
            level: self.level.clone(),
            post: self.body.is_some(),
            query: self.query.as_deref(),
            body: self.body.as_deref(),
            lenient: self.lenient,
        };
        let compartment = |name: &str| !matches!(name, "Organization" | "Practitioner");
        let known = Known {
            mapped: MAPPED,
            base_url: BASE,
            compartment: &compartment,
            searchable: &searchable,
            strict_filters: self.strict_filters,
        };
        super::read(&intake, &known)
    }

    /// The request, nothing left out of it.
    fn fine(&self) -> ExportRequest {
        let kick_off = self.read().unwrap_or_else(|refusal| panic!("{:?}: {}", self.query, refusal.outcome.to_json()));
        assert_eq!(kick_off.ignored, [], "{:?}", self.query);
        kick_off.request
    }

    /// The first words of every issue, each with the parameter it is about.
    fn refused(&self) -> Vec<String> {
        let refusal = self.read().expect_err("refused");
        assert_eq!(refusal.status, 400);
        told(&refusal.outcome, "error")
    }
}

fn told(outcome: &OperationOutcome, severity: &str) -> Vec<String> {
    let json: Value = serde_json::from_str(&outcome.to_json()).expect("JSON");
    let issue = |issue: &Value| {
        assert_eq!(issue["severity"], severity);
        let text = issue["details"]["text"].as_str().expect("details.text").to_owned();
        // T-14: what clients show alone.
        assert!(issue["diagnostics"].as_str().expect("diagnostics").starts_with(&text));
        match issue["expression"][0].as_str() {
            Some(name) => format!("{name}: {text}"),
            None => text,
        }
    };
    json["issue"].as_array().expect("issues").iter().map(issue).collect()
}

// K-01 K-02 K-03 K-05 K-30 K-32 K-41 T-37
#[test]
fn query_and_body_ask_for_the_same() {
    let types = json!([{"name": "_type", "valueString": "Patient"}, {"name": "_type", "valueCode": "Observation"}]);
    let merged = Ask { query: Some("_type=Patient".to_owned()), ..post(json!([types[1]])) };
    for ask in [
        get("_type=Patient,Observation"),
        get("_type=Patient&_type=Observation"),
        get("_type=Observation%2C%20Patient,&_type=Patient&&"),
        Ask { query: Some("_type=Patient,Observation".to_owned()), ..raw(b" \n") },
        merged.clone(),
        merged.v4(),
        post(types.clone()),
        post(types).v4(),
        post(json!([{"name": "_type", "valueString": "Patient, Observation"}])),
    ] {
        let request = ask.fine();
        assert_eq!(request.types, ["Observation", "Patient"], "{:?}", ask.query);
        assert!(request.types_given);
    }
    for ask in [get(""), Ask { query: None, ..get("") }, raw(b""), raw(br#"{"resourceType":"Parameters"}"#)] {
        let request = ask.fine();
        assert_eq!(
            (request.types, request.types_given),
            (MAPPED.iter().map(|name| (*name).to_owned()).collect(), false)
        );
    }
    let group = Level::Group("g1".to_owned());
    assert_eq!(get("").at(group.clone()).fine().level, group);
    // The body of a GET is not read: Ask::read makes a POST of every body.
    assert_eq!(get("").v4().read().expect_err("GET").status, 405);
}

// K-05 K-13 T-41
#[test]
fn bodies_that_are_no_parameters() {
    let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    let nested =
        format!("{{\"resourceType\":\"Parameters\",\"parameter\":[{{\"name\":\"x\",\"valueX\":{}", "[".repeat(9999));
    for (body, want) in [
        (&b"{"[..], "The body is not JSON"),
        (b"_type=Patient", "The body is not JSON"),
        (b"{\"resourceType\":\"Parameters\"} x", "The body is not JSON"),
        (b"\"\xff\"", "The body is not JSON"),
        (nested.as_bytes(), "The body is not JSON"),
        (b"{}", "The body is not a FHIR Parameters resource"),
        (b"[]", "The body is not a FHIR Parameters resource"),
        (&deep, "The body is not a FHIR Parameters resource"),
        (b"null", "The body is not a FHIR Parameters resource"),
        (b"\"Parameters\"", "The body is not a FHIR Parameters resource"),
        (b"[\"Parameters\",[]]", "The body is not a FHIR Parameters resource"),
        (b"{\"resourceType\":\"Patient\"}", "The body is not a FHIR Parameters resource"),
        (b"{\"resourceType\":\"Parameters\",\"parameter\":{}}", "The body is not a FHIR Parameters resource"),
        (b"{\"resourceType\":\"Parameters\",\"parameter\":[1]}", "The body is not a FHIR Parameters resource"),
        (b"{\"resourceType\":\"Parameters\",\"parameter\":[{}]}", "The body is not a FHIR Parameters resource"),
        (
            b"{\"resourceType\":\"Parameters\",\"resourceType\":\"Patient\"}",
            "The body is not a FHIR Parameters resource",
        ),
    ] {
        // A lenient client is not forgiven a body that says nothing.
        for ask in [raw(body), raw(body).lenient()] {
            // Where JSON ends is told, never what stands there.
            let told: Vec<String> = ask.refused().iter().map(|text| text.replace(" (line 1, column ", "|")).collect();
            let told: Vec<&str> = told.iter().map(|text| text.split('|').next().unwrap_or_default()).collect();
            assert_eq!(told, [want], "{}", String::from_utf8_lossy(&body[..body.len().min(60)]));
        }
    }
    assert_eq!(get("_type=%FF").refused(), ["The query of the URL is not UTF-8"]);
}

// T-08 T-37
#[test]
fn values_come_under_any_primitive() {
    for value in [
        json!({"valueInstant": "2024-01-01T00:00:00Z"}),
        json!({"valueDateTime": "2024-01-01"}),
        json!({"valueString": " 2024 "}),
        json!({"valueInteger": 2024}),
        json!({"valueDecimal": 2024.0}),
    ] {
        let mut parameter = value.clone();
        parameter["name"] = json!("_since");
        assert_eq!(post(json!([parameter])).fine().since, Some(1_704_067_200_000_000), "{value}");
    }
    for value in [
        json!({}),
        json!({"valueString": null}),
        json!({"valueString": ["2024"]}),
        json!({"valueString": {"x": "2024"}}),
        json!({"valueString": "2024", "valueInstant": "2024-01-01T00:00:00Z"}),
        json!({"valueString": "2024", "part": []}),
        json!({"resource": {"resourceType": "Patient"}}),
        json!({"valueReference": {"reference": "Patient/1"}}),
    ] {
        let mut parameter = value.clone();
        parameter["name"] = json!("_since");
        let want = "_since: `_since` has no value of a kind it can be read from";
        assert_eq!(post(json!([parameter])).refused(), [want], "{value}");
    }
}

// K-38 T-12
#[test]
fn instants_survive_a_query_string() {
    for (query, since) in [
        ("_since=2024-01-01T00:00:00%2B00:00", 1_704_067_200_000_000),
        ("_since=2024-01-01T00:00:00+00:00", 1_704_067_200_000_000),
        ("_since=2024-01-01T00:00:00.000001Z", 1_704_067_200_000_001),
        ("_since=2024-01&_since=2024-01", 1_704_067_200_000_000),
        ("_since=2999-01-01", 32_472_144_000_000_000),
    ] {
        assert_eq!(get(query).fine().since, Some(since), "{query}");
    }
}

// K-34 T-12
#[test]
fn names_of_ndjson() {
    for name in [
        "application%2Ffhir%2Bndjson",
        "application/fhir+ndjson",
        "application/ndjson",
        "ndjson",
        "NDJSON&_outputFormat=NDJSON",
    ] {
        get(&format!("_outputFormat={name}")).fine();
    }
    post(json!([{"name": "_outputFormat", "valueCode": "application/fhir+ndjson"}])).v4().fine();
}

// K-31 K-42 K-43
#[test]
fn types_that_bring_nothing_are_refused_even_leniently() {
    let group = Level::Group("g1".to_owned());
    for (ask, want) in [
        (get("_type="), "_type: `_type` is given but empty"),
        (get("_type=,"), "_type: `_type` is given but empty"),
        (get("_type=Nope"), "_type: `_type` names `Nope`, which no mapping makes"),
        (get("_type=Practitioner").at(Level::Patient), "_type: No type in `_type` belongs to patients"),
        (get("_type=Practitioner,Organization").at(group.clone()), "_type: No type in `_type` belongs to patients"),
        (post(json!([{"name": "_type", "valueString": "Patient,Observation"}])).v4(), "_type: `_type` has a comma"),
    ] {
        assert_eq!(ask.refused(), [want]);
        assert_eq!(ask.lenient().refused(), [want]);
    }
    for fine in ["_type=Patient,Practitioner", "_type=Device", ""] {
        get(fine).at(group.clone()).fine();
    }
    get("_type=Practitioner").fine();
}

// K-21 R-02
#[test]
fn huge_requests_are_answered_briefly() {
    let many = numbered(5000, |number| format!("_x{number}=1&"));
    let kick_off = get(&many).lenient().read().expect("lenient");
    assert_eq!(kick_off.ignored.len(), TOLD + 1);
    assert_eq!(get(&many).refused().len(), TOLD + 1);
    let types = format!("_type=Patient,{}", numbered(50_000, |number| format!("T{number},")));
    let refusal = get(&types).read().expect_err("unknown types");
    assert!(refusal.outcome.to_json().len() < 2000);
    assert!(refusal.outcome.to_json().contains("and 49980 more"));
    let long = get(&format!("{}=1", "é".repeat(5000))).read().expect_err("long name");
    assert!(long.outcome.to_json().len() < 1000);
    let filters = numbered(2000, |number| format!("_typeFilter=Condition?code={number}&"));
    for ask in [get(&filters), get(&filters).lenient()] {
        assert_eq!(ask.refused(), ["_typeFilter: `_typeFilter` has more than 1000 searches"]);
    }
    let codes: Vec<String> = (0..100_000).map(|number| number.to_string()).collect();
    let filter = post(json!([{"name": "_typeFilter", "valueString": format!("Condition?code={}", codes.join(","))}]));
    let asked = &filter.fine().filters[0].parameters[0].ask;
    assert!(matches!(asked, crate::bulk::type_filter::Ask::Token(any) if any.len() == 100_000));
}

proptest! {
    // T-41: nothing a client sends is answered by anything but a request or a refusal.
    #[test]
    fn any_request_is_answered(query in "\\PC{0,80}", body in prop::collection::vec(any::<u8>(), 0..80), lenient: bool, v4: bool) {
        let mut ask = get(&query);
        (ask.lenient, ask.dialect) = (lenient, if v4 { Dialect::V4 } else { Dialect::Compatible });
        let _ = ask.read();
        let _ = Ask { body: Some(body), ..ask }.read();
    }

    // K-09: leniency forgives, it never asks for other things than a strict request that is fine.
    #[test]
    fn parameters_are_honoured_or_told(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "_type=Patient", "_type=Observation,Condition", "_type=Nope", "_type=", "_since=2024", "_since=x",
            "_until=2025", "_until=2023", "_foo=1", "_elements=id", "_outputFormat=ndjson", "_outputFormat=x",
            "_typeFilter=Observation?code=a", "_typeFilter=Patient?gender=male,Condition?code=b",
            "_typeFilter=Observation?foo=1", "_typeFilter=x", "patient=p-1", "_pretty=1",
        ]), 0..6),
    ) {
        let ask = get(&pieces.join("&"));
        match (ask.read(), ask.clone().lenient().read()) {
            (Ok(strict), Ok(lenient)) => prop_assert_eq!(strict, lenient),
            (Ok(_), Err(_)) => prop_assert!(false, "leniency refuses"),
            (Err(refusal), Ok(lenient)) => {
                prop_assert!(!lenient.ignored.is_empty());
                prop_assert_eq!(told(&refusal.outcome, "error").len(), lenient.ignored.len());
            }
            (Err(_), Err(_)) => {}
        }
        if let Ok(kick_off) = ask.lenient().read() {
            prop_assert!(kick_off.request.filters.iter().all(|one| kick_off.request.types.contains(&one.resource_type)));
            prop_assert!(!kick_off.request.types.is_empty());
        }
    }
}
