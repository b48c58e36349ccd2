//! Whatever arrives at `$export` is a request or a refusal, and a refusal does not repeat who a patient is.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use smelt::bulk::{Dialect, Intake, Known, Level, kickoff};
use smelt::fhir::compartment::patient_compartment;

#[derive(Debug, Arbitrary)]
struct Request<'a> {
    query: Option<&'a str>,
    body: Option<&'a [u8]>,
    group: bool,
    v4: bool,
    post: bool,
}

fuzz_target!(|request: Request<'_>| {
    let known = Known {
        mapped: &["Condition", "Observation", "Patient", "Practitioner"],
        base_url: "https://bulk.example.org/r4",
        compartment: &|name| patient_compartment(name).is_some(),
        searchable: &|_, code| matches!(code, "_id" | "category" | "code" | "gender"),
        strict_filters: false,
    };
    let intake = |lenient| Intake {
        dialect: if request.v4 { Dialect::V4 } else { Dialect::Compatible },
        level: if request.group { Level::Group("g".to_owned()) } else { Level::System },
        post: request.post,
        query: request.query,
        body: request.body,
        lenient,
    };
    match (kickoff::read(&intake(false), &known), kickoff::read(&intake(true), &known)) {
        // Leniency forgives; it asks for nothing else.
        (Ok(strict), lenient) => assert_eq!(Ok(strict), lenient),
        (Err(refusal), Ok(lenient)) => {
            assert!((400..500).contains(&refusal.status));
            assert!(!lenient.ignored.is_empty());
            assert!(!lenient.request.types.is_empty());
        }
        (Err(_), Err(refusal)) => assert!((400..500).contains(&refusal.status)),
    }
});
