//! The worked examples of the reference.

use super::*;

macro_rules! example {
    ($pack:literal, $($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../examples/", $pack, "/", $path)))),*]
    };
}

pub(super) const SYNTHEA: &[(&str, &str)] = example![
    "synthea",
    "mappings/project.yaml",
    "mappings/patient.yaml",
    "mappings/observation.yaml",
    "mappings/encounter.yaml",
    "mappings/fragments/mmhg.yaml",
    "mappings/fragments/us-core-birthsex.yaml",
    "mappings/codes/gender.csv",
    "mappings/codes/birthsex.csv",
    "mappings/codes/marital-status.csv",
    "mappings/codes/omb-race.csv",
    "mappings/codes/omb-ethnicity.csv",
    "mappings/codes/contact-system.csv",
    "mappings/codes/observation-category.csv",
    "mappings/codes/smoking-status.csv",
    "sql/patients.sql",
    "sql/observations.sql",
];

pub(super) const OMOP: &[(&str, &str)] = example![
    "omop",
    "mappings/project.yaml",
    "mappings/condition.yaml",
    "mappings/person.yaml",
    "mappings/visit.yaml",
    "mappings/codes/omop-vocabulary.csv",
    "mappings/codes/condition-certainty.csv",
    "mappings/codes/condition-category.csv",
    "sql/conditions.sql",
];

#[test]
fn the_worked_examples_have_no_mistake() {
    for files in [SYNTHEA, OMOP] {
        assert_eq!(messages(&check_files(files)), "none");
    }
}
