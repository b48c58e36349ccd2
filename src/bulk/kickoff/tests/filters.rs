//! `_typeFilter` as clients write it.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::bulk::type_filter::{Token, TokenParameter};

fn filter(resource_type: &str, parameters: &[(&str, &[Token])]) -> TypeFilter {
    let parameter = |(code, any): &(&str, &[Token])| TokenParameter { code: (*code).to_owned(), any: any.to_vec() };
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
        ("Observation?date=ge2024", "Search parameter `date` is not supported for Observation in `_typeFilter`"),
        (
            "Patient?_lastUpdated=gt2024",
            "Search parameter `_lastUpdated` is not supported for Patient in `_typeFilter`",
        ),
        ("Observation?method=1", "Search parameter `method` is not supported for Observation in `_typeFilter`"),
        (
            "Observation?code:not=a",
            "Search parameter `code:not` of Observation is supported in `_typeFilter` without a modifier only",
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
        ("Observation?code=", "Search parameter `code` of Observation has a value that is no token in `_typeFilter`"),
        ("Observation?code", "Search parameter `code` of Observation has a value that is no token in `_typeFilter`"),
        ("Observation?code=,", "Search parameter `code` of Observation has a value that is no token in `_typeFilter`"),
        ("Observation?code=|", "Search parameter `code` of Observation has a value that is no token in `_typeFilter`"),
        (
            "Observation?code=a|b|c",
            "Search parameter `code` of Observation has a value that is no token in `_typeFilter`",
        ),
        (
            "Observation?code=a%2500b",
            "Search parameter `code` of Observation has a value that is no token in `_typeFilter`",
        ),
        (
            "Observation?code=%25FF",
            "Search parameter `code` of Observation has a value that is no token in `_typeFilter`",
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
    assert!(refusal.outcome.to_json().contains("Supported: _id, category, code, status."));
    let refusal = get("_typeFilter=Organization?name=1").read().expect_err("refused");
    assert!(refusal.outcome.to_json().contains("Supported: _id."));
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
        let parameters = vec![TokenParameter { code: code.to_owned(), any }];
        assert_eq!(rule(&text), Ok(TypeFilter { resource_type: resource_type.to_owned(), parameters }), "{text}");
    }
    for (text, want) in [
        ("", "must be `Type?parameter=value`"),
        ("_security=R", "must be `Type?parameter=value`"),
        ("Observation?", "must be `Type?parameter=value`"),
        ("Nope?status=x", "must use a token parameter"),
        ("observation?status=x", "must use a token parameter"),
        ("Observation?date=2024", "must use a token parameter"),
        ("Observation?_lastUpdated=2024", "must use a token parameter"),
        ("*?status=final", "must use a token parameter"),
        ("*?code=x", "must use `_security`, `_tag` or `_id` with `*`"),
        ("Observation?status:not=final", "must use plain token parameters"),
        ("Observation?subject.gender=male", "must use plain token parameters"),
        ("Observation?status=", "must compare with"),
        ("*?_security=a|b|c", "must compare with"),
    ] {
        assert!(rule(text).is_err_and(|said| said.starts_with(want)), "{text}: {:?}", rule(text));
    }
}
