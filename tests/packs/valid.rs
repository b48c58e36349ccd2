//! Every line of an export against the R4 table.

use std::io::{BufRead as _, BufReader};

use serde_json::Value;
use smelt::fhir::id::is_id;

use super::store::{decoded, demo, export};
use crate::support::judge::Judge;

// F-02 F-03 M-07: every line of every file.
#[tokio::test]
async fn every_line_is_a_resource_of_its_type() {
    let exported = export(demo().await, &[]);
    let mut judge = Judge::default();
    let mut lines = 0;
    for (name, path) in exported.output() {
        for line in BufReader::new(decoded(&path)).lines() {
            let line = line.expect("UTF-8");
            let value: Value = serde_json::from_str(&line).expect("JSON");
            assert_eq!(value["resourceType"], name.as_str());
            assert!(value["id"].as_str().is_some_and(is_id));
            judge.resource(&name, &value);
            lines += 1;
        }
    }
    let counted: u64 = exported.report.mappings.iter().map(|line| line.emitted).sum();
    assert!(lines == counted && lines > 100_000, "{lines} of {counted}");
    assert!(judge.wrong.is_empty(), "{:#?}", judge.wrong);
}
