//! Patients asked for by ids that do not show their key.

use smelt::bulk::Parameters;
use smelt::export::ExportError;

use crate::support::database::Database;
use crate::support::pack::{Refused, pack, run, runtime};

/// The ids of many rows are made, whatever place the patient's row has among them, and the session goes on with the
/// export afterwards.
#[test]
fn a_patient_is_found_among_many() {
    let files = pack(&[
        ("mappings/patient.yaml", "table: p\nkey: mrn\nresource: {resourceType: Patient, id: \"{{sha256 mrn}}\"}\n"),
        (
            "mappings/observation.yaml",
            "table: o\nkey: id\nresource: {resourceType: Observation, id: \"o-{{id}}\", status: final, code: {text: x}, \
             subject: patient(patient)}\n",
        ),
    ]);
    let runtime = runtime();
    let database = runtime.block_on(async {
        let database = Database::with_options("").await;
        let script = "create table p (mrn text primary key); \
                      insert into p select 'MRN ' || i from generate_series(1, 100000) i; \
                      create table o (id int primary key, patient text); \
                      insert into o select i, 'MRN ' || i % 500 from generate_series(1, 1000) i";
        database.client().await.batch_execute(script).await.unwrap();
        database
    });
    // sha256 of `MRN 3`, `MRN 99999` and `MRN 100001`.
    let first = "9d5bc0c2b9aa37cb2fe99da34395b9fca260764620692bf6b3710e7a61a22bdf";
    let last = "801e7616319885919b3a9bf91e5696b85362622f28ba581a97c84b68f5e9ade3";
    let nobody = "d63ca00f8074b93d129aafd26e76cddae53caea32f0dca71849846d8f4d0bacd";
    let asked = |ids: &[&str]| Parameters {
        patients: ids.iter().map(|id| (*id).to_owned()).collect(),
        ..Parameters::default()
    };
    let ran = run(&runtime, database.dsn(), &files, &asked(&[first, last])).unwrap();
    assert_eq!((ran.resources("Patient").len(), ran.resources("Observation").len()), (2, 2));
    let refused = run(&runtime, database.dsn(), &files, &asked(&[first, nobody])).err().unwrap();
    let Refused::Failed(ExportError::UnknownPatients(unknown)) = refused else { panic!("{refused:?}") };
    assert_eq!(unknown, [nobody]);
}
