//! `_typeFilter` as clients write it.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::bulk::type_filter::{Ask as Asks, Compared, Parameter, Prefix, QuantityAsk, Target, TextMatch, Token};

fn filter(resource_type: &str, parameters: &[(&str, &[Token])]) -> TypeFilter {
    let parameter =
        |(code, any): &(&str, &[Token])| Parameter { code: (*code).to_owned(), ask: Asks::Token(any.to_vec()) };
    TypeFilter { resource_type: resource_type.to_owned(), parameters: parameters.iter().map(parameter).collect() }
}

fn token(system: Option<&str>, code: Option<&str>) -> Token {
    Token { system: system.map(str::to_owned), code: code.map(str::to_owned) }
}

fn code(text: &str) -> Token {
    token(None, Some(text))
}

// K-56 K-57 K-61 K-62 T-09 T-25
#[test]
fn filters_in_every_form_clients_send() {
    let ab = filter("Condition", &[("code", &[code("a"), code("b")])]);
    let lab = filter("Observation", &[("category", &[code("laboratory")])]);
    for (query, want) in [
        ("_typeFilter=Condition%3Fcode%3Da%252Cb%2CObservation%3Fcategory%3Dlaboratory", vec![ab.clone(), lab.clone()]),
        (
            "_typeFilter=Condition%3Fcode%3Da%2Cb&_typeFilter=Observation%3Fcategory%3Dlaboratory",
            vec![ab.clone(), lab.clone()],
        ),
        ("_typeFilter=Condition?code=a,b,Observation?category=laboratory", vec![ab.clone(), lab.clone()]),
        ("_typeFilter=Condition?code=a,b,%20Observation?category=laboratory", vec![ab.clone(), lab.clone()]),
        ("_typeFilter=Observation%3Fcategory%3Dlaboratory&_typeFilter=Observation?category=laboratory", vec![lab]),
        (
            "_typeFilter=Condition?code=a%5C,Observation?x",
            vec![filter("Condition", &[("code", &[code("a,Observation?x")])])],
        ),
        (
            "_typeFilter=Condition?code=http://loinc.org|1-8,|local,http://snomed.info/sct|,x",
            vec![filter(
                "Condition",
                &[(
                    "code",
                    &[
                        token(Some("http://loinc.org"), Some("1-8")),
                        token(Some(""), Some("local")),
                        token(Some("http://snomed.info/sct"), None),
                        code("x"),
                    ],
                )],
            )],
        ),
        (
            "_typeFilter=Condition?code=a%5C%5C%5C|b%5C$%5Cn,,",
            vec![filter("Condition", &[("code", &[code("a\\|b$\\n")])])],
        ),
        (
            "_typeFilter=MedicationRequest%3Fstatus%3Dactive%26intent%3Dorder,MedicationRequest?status=completed",
            vec![
                filter("MedicationRequest", &[("status", &[code("active")]), ("intent", &[code("order")])]),
                filter("MedicationRequest", &[("status", &[code("completed")])]),
            ],
        ),
        (
            "_typeFilter=Condition%3Fcode%3Da%26code%3Db",
            vec![filter("Condition", &[("code", &[code("a")]), ("code", &[code("b")])])],
        ),
        // A plus stays a plus, a bad escape stays itself, names are decoded too.
        (
            "_typeFilter=Condition%3F%2563ode%3Da%2Bb%252Bc%25zz%2520d",
            vec![filter("Condition", &[("code", &[code("a+b+c%zz d")])])],
        ),
        (
            "_typeFilter=Observation?category=social-history,vital-signs,imaging,laboratory,survey,exam,procedure,therapy,activity",
            vec![filter(
                "Observation",
                &[(
                    "category",
                    &[
                        code("social-history"),
                        code("vital-signs"),
                        code("imaging"),
                        code("laboratory"),
                        code("survey"),
                        code("exam"),
                        code("procedure"),
                        code("therapy"),
                        code("activity"),
                    ],
                )],
            )],
        ),
    ] {
        assert_eq!(get(query).fine().filters, want, "{query}");
    }
    // One decode less in a body; the strict service never splits.
    let joined =
        post(json!([{"name": "_typeFilter", "valueString": "Condition?code=a%2Cb,Observation?category=laboratory"}]));
    assert_eq!(joined.fine().filters.len(), 2);
    let whole = [code("a"), code("b"), code("Observation?category=laboratory")];
    assert_eq!(joined.v4().fine().filters, [filter("Condition", &[("code", &whole)])]);
}

// K-56 K-58 K-59 K-60 K-63 K-65
#[test]
fn filters_that_cannot_filter() {
    for (query, want) in [
        ("", "A `_typeFilter` does not have the form `Type?parameter=value`"),
        ("Condition", "A `_typeFilter` does not have the form `Type?parameter=value`"),
        ("?code=a", "A `_typeFilter` does not have the form `Type?parameter=value`"),
        ("Patient/1/Observation?code=a", "A `_typeFilter` does not have the form `Type?parameter=value`"),
        ("Condition?", "The `_typeFilter` for Condition has no search parameter"),
        ("Immunization?status=completed", "A `_typeFilter` is for `Immunization`, which is not exported"),
        ("condition?code=a", "A `_typeFilter` is for `condition`, which is not exported"),
        (
            "Condition?_sort=code",
            "The `_typeFilter` for Condition has `_sort`, which shapes results and filters nothing",
        ),
        (
            "Condition?code=a%26_count=1",
            "The `_typeFilter` for Condition has `_count`, which shapes results and filters nothing",
        ),
        (
            "Condition?_include:iterate=x",
            "The `_typeFilter` for Condition has `_include:iterate`, which shapes results and filters nothing",
        ),
        ("Observation?foo=1", "Search parameter `foo` is not supported for Observation in `_typeFilter`"),
        ("Observation?=1", "Search parameter `` is not supported for Observation in `_typeFilter`"),
        ("Observation?encounter=e", "Search parameter `encounter` is not supported for Observation in `_typeFilter`"),
        ("Observation?method=1", "Search parameter `method` is not supported for Observation in `_typeFilter`"),
        (
            "Observation?code:in=a",
            "Search parameter `code:in` of Observation has a modifier that is not supported in `_typeFilter`",
        ),
        (
            "Observation?patient.gender=female",
            "Chained search parameter `patient.gender` of Observation is not supported in `_typeFilter`",
        ),
        (
            "Observation?subject:Patient.gender=female",
            "Chained search parameter `subject:Patient.gender` of Observation is not supported in `_typeFilter`",
        ),
        (
            "Patient?_has:Observation:patient:code=a",
            "Chained search parameter `_has:Observation:patient:code` of Patient is not supported in `_typeFilter`",
        ),
        (
            "Observation?code=",
            "Search parameter `code` of Observation has a value that cannot be compared in `_typeFilter`",
        ),
        (
            "Observation?code",
            "Search parameter `code` of Observation has a value that cannot be compared in `_typeFilter`",
        ),
        (
            "Observation?code=,",
            "Search parameter `code` of Observation has a value that cannot be compared in `_typeFilter`",
        ),
        (
            "Observation?code=|",
            "Search parameter `code` of Observation has a value that cannot be compared in `_typeFilter`",
        ),
        (
            "Observation?code=a|b|c",
            "Search parameter `code` of Observation has a value that cannot be compared in `_typeFilter`",
        ),
        (
            "Observation?code=a%2500b",
            "Search parameter `code` of Observation has a value that cannot be compared in `_typeFilter`",
        ),
        (
            "Observation?code=%25FF",
            "Search parameter `code` of Observation has a value that cannot be compared in `_typeFilter`",
        ),
    ] {
        let ask = get(&format!("_typeFilter={query}"));
        assert_eq!(ask.refused(), [format!("_typeFilter: {want}")], "{query}");
        // A lenient client keeps its other filters, and is told which one is gone.
        let ask = get(&format!("_typeFilter=Condition?code=a&_typeFilter={query}")).lenient();
        let kick_off = ask.read().expect(query);
        assert_eq!(kick_off.request.filters, [filter("Condition", &[("code", &[code("a")])])], "{query}");
        assert_eq!(kick_off.ignored.len(), 1, "{query}");
    }
    let outside = get("_type=Patient&_typeFilter=Observation?code=a");
    assert_eq!(outside.refused(), ["_typeFilter: A `_typeFilter` is for `Observation`, which is not exported"]);
    assert_eq!(outside.lenient().read().expect("lenient").request.filters, []);
    // O-02: what would be supported is told.
    let refusal = get("_typeFilter=Observation?foo=1").read().expect_err("refused");
    assert!(refusal.outcome.to_json().contains("Supported: _id, _lastUpdated, category, code, date, status."));
    let refusal = get("_typeFilter=Organization?name=1").read().expect_err("refused");
    assert!(refusal.outcome.to_json().contains("Supported: _id, _lastUpdated."));
}

// K-57 K-63
#[test]
fn values_by_kind_of_parameter() {
    let open = |_: &str, _: &str| true;
    let known =
        Known { mapped: MAPPED, base_url: BASE, compartment: &|_| true, searchable: &open, strict_filters: true };
    let asked = |search: &str| {
        let mut request = ExportRequest::new(&Parameters::default(), MAPPED).expect("a request");
        add_filter(&mut request, search, &known).map(|()| request.filters[0].parameters[0].ask.clone())
    };
    let compared = |prefix, value: &str| Compared { prefix, value: value.to_owned() };
    let local = |resource_type: Option<&str>, id: &str| Target::Local {
        resource_type: resource_type.map(str::to_owned),
        id: id.to_owned(),
    };
    let quantity = |prefix, value: &str, system: Option<&str>, unit: Option<&str>| QuantityAsk {
        prefix,
        value: value.to_owned(),
        system: system.map(str::to_owned),
        unit: unit.map(str::to_owned),
    };
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    for (search, want) in [
        ("Observation?code:not=a", Asks::NotToken(vec![code("a")])),
        ("Observation?code:text=a b", Asks::Text(texts(&["a b"]))),
        ("Observation?code:missing=true", Asks::Missing(true)),
        ("Observation?date:missing=false", Asks::Missing(false)),
        ("Observation?date=ge2024", Asks::Date(vec![compared(Prefix::Ge, "2024")])),
        (
            "Observation?date=2024-05-01T00:00:00+01:00,sa2025-01",
            Asks::Date(vec![compared(Prefix::Eq, "2024-05-01T00:00:00+01:00"), compared(Prefix::Sa, "2025-01")]),
        ),
        ("Observation?value-quantity=5.40", Asks::Quantity(vec![quantity(Prefix::Eq, "5.40", None, None)])),
        ("Observation?value-quantity=lt-5||mg", Asks::Quantity(vec![quantity(Prefix::Lt, "-5", None, Some("mg"))])),
        ("Observation?value-quantity=eb5|u|mg", Asks::Quantity(vec![quantity(Prefix::Lt, "5", Some("u"), Some("mg"))])),
        ("Patient?name=a,b", Asks::String(TextMatch::Starts, texts(&["a", "b"]))),
        ("Patient?name:exact=a\\,b", Asks::String(TextMatch::Exact, texts(&["a,b"]))),
        ("Patient?name:contains=a", Asks::String(TextMatch::Contains, texts(&["a"]))),
        ("Observation?subject=p1,Patient/p2", Asks::Reference(vec![local(None, "p1"), local(Some("Patient"), "p2")])),
        (
            "Observation?subject=https://bulk.example.org/r4/Patient/p1",
            Asks::Reference(vec![local(Some("Patient"), "p1")]),
        ),
        ("Observation?subject:Group=g", Asks::Reference(vec![local(Some("Group"), "g")])),
        (
            "Observation?subject=https://x.org/Patient/1",
            Asks::Reference(vec![Target::Url("https://x.org/Patient/1".into())]),
        ),
        ("Observation?subject:identifier=s|1", Asks::Identifier(vec![token(Some("s"), Some("1"))])),
        ("Patient?_profile=http://a,http://b", Asks::Uri(texts(&["http://a", "http://b"]))),
        ("Patient?race=2106-3", Asks::Token(vec![code("2106-3")])),
        (
            "Observation?code-value-quantity=http://loinc.org|8480-6$gt140||mm[Hg],a\\$b$5",
            Asks::Composite(vec![
                vec![
                    Asks::Token(vec![token(Some("http://loinc.org"), Some("8480-6"))]),
                    Asks::Quantity(vec![quantity(Prefix::Gt, "140", None, Some("mm[Hg]"))]),
                ],
                vec![Asks::Token(vec![code("a$b")]), Asks::Quantity(vec![quantity(Prefix::Eq, "5", None, None)])],
            ]),
        ),
    ] {
        assert_eq!(asked(search), Ok(want), "{search}");
    }
    for search in [
        "Observation?code:missing=maybe",
        "Observation?date=ap2024",
        "Observation?date=24",
        "Observation?date=",
        "Observation?date:exact=2024",
        "Observation?value-quantity=five",
        "Observation?value-quantity=5|mg",
        "Observation?value-quantity=5||",
        "Observation?value-quantity=ap5",
        "Observation?subject=Nothing/1",
        "Observation?subject=Patient/1/_history/2",
        "Observation?subject=a b",
        "Observation?subject:Nothing=1",
        "Observation?subject:Patient=Group/1",
        "Observation?code-value-quantity=a$5:x",
        "Observation?code-value-quantity=a",
        "Observation?code-value-quantity=a$5$6",
        "Observation?code-value-quantity=a$",
        "Observation?code-value-quantity=$5",
        "Observation?code-value-quantity=,",
        "Observation?code-value-quantity=a$%00",
        "Observation?code-value-quantity:missing=true",
        "Patient?name:text=a",
        "Patient?_profile:below=http://a",
    ] {
        assert!(asked(search).is_err(), "{search}");
    }
}

proptest! {
    // K-62: a code comes out as it went in, however it was protected.
    #[test]
    fn codes_come_through(codes in prop::collection::vec("[ -~]{0,3}[!-~][ -~]{0,3}[!-~]", 1..4)) {
        let codes: Vec<&str> = codes.iter().map(|code| code.trim()).collect();
        let escape = |code: &&str| code.chars().flat_map(|c| {
            let mark = matches!(c, ',' | '|' | '$' | '\\').then_some('\\');
            mark.into_iter().chain([c])
        }).collect::<String>();
        let encode = |text: &str| text.bytes().fold(String::new(), |text, byte| text + &format!("%{byte:02X}"));
        let value = codes.iter().map(escape).collect::<Vec<_>>().join(",");
        let query = format!("Condition?code={}", encode(&value));
        let want = filter("Condition", &[("code", &codes.iter().map(|text| code(text)).collect::<Vec<_>>())]);
        let by_get = get(&format!("_typeFilter={}", encode(&query))).fine();
        prop_assert_eq!(&by_get.filters, std::slice::from_ref(&want));
        let by_post = post(json!([{"name": "_typeFilter", "valueString": query}])).v4().fine();
        prop_assert_eq!(by_post.filters, [want]);
    }
}

// K-59
#[test]
fn leniency_may_end_at_filters() {
    let query = "_typeFilter=Patient?birthdate=2000&_foo=1&_typeFilter=Patient?gender:in=male";
    let ask = Ask { strict_filters: true, ..get(query).lenient() };
    let refused = ask.refused();
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused.iter().all(|text| text.starts_with("_typeFilter: ")), "{refused:?}");
    let other = Ask { strict_filters: true, ..get("_foo=1&_typeFilter=Patient?gender=male").lenient() };
    assert_eq!(other.read().unwrap().ignored.len(), 1, "another mistake is forgiven");
}

// rules that withhold are written as filters are, or for every type.
#[test]
fn rules_that_withhold() {
    let token = |system: Option<&str>, code: &str| Token {
        system: system.map(str::to_owned),
        code: Some(code.to_owned()).filter(|code| !code.is_empty()),
    };
    let security = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
    for (text, resource_type, code, any) in [
        (format!("*?_security={security}|R"), "*", "_security", vec![token(Some(security), "R")]),
        ("*?_tag=a,b".to_owned(), "*", "_tag", vec![token(None, "a"), token(None, "b")]),
        ("Observation?category=s|".to_owned(), "Observation", "category", vec![token(Some("s"), "")]),
        (" Condition?_security=V ".to_owned(), "Condition", "_security", vec![token(None, "V")]),
    ] {
        let parameters = vec![Parameter { code: code.to_owned(), ask: Asks::Token(any) }];
        assert_eq!(rule(&text), Ok(TypeFilter { resource_type: resource_type.to_owned(), parameters }), "{text}");
    }
    for (text, want) in [
        ("", "must be `Type?parameter=value`"),
        ("_security=R", "must be `Type?parameter=value`"),
        ("Observation?", "must be `Type?parameter=value`"),
        ("Nope?status=x", "must use a search parameter"),
        ("observation?status=x", "must use a search parameter"),
        ("Observation?date=24", "must compare with"),
        ("*?status=final", "must use a search parameter"),
        ("*?code=x", "must use `_security`, `_tag` or another"),
        ("Observation?status:not=final", "must use parameters without `:not`"),
        ("*?_security:missing=true", "must use parameters without `:not`"),
        ("Observation?status:in=final", "must use parameters and modifiers that"),
        ("Observation?subject.gender=male", "must use parameters and modifiers that"),
        ("Observation?status=", "must compare with"),
        ("*?_security=a|b|c", "must compare with"),
    ] {
        assert!(rule(text).is_err_and(|said| said.starts_with(want)), "{text}: {:?}", rule(text));
    }
}
