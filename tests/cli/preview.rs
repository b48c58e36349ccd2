//! `smelt preview --why` on rows that lack something in every way.

use std::process::Command;

use crate::support::database::Database;
use crate::support::pack::{runtime, write};

const SCHEMA: &str = "
    create table o (id int primary key, status text, name text, taken_at timestamptz, taken_on date, method text,
        kind text, num numeric, unit text, text text, low numeric, part text, part_value text, batch text,
        tags text[], doc jsonb);
    create table n (o int, seq int, body text);
    insert into o values
        (1, 'F', 'Pulse', null, '2026-03-08', 'Z', 'text', 5, null, '  ', null, null, 'x', null, '{a,null}',
         '[{\"a\": \"1\"}, {}]'),
        (2, 'F', 'Weight', '2026-03-08 10:00+00', null, null, 'numeric', null, 'kg', 'heavy', 1, 'leg', null, 'b', '{}',
         '[]'),
        (3, 'Q', 'Height', null, null, null, null, null, null, null, null, null, null, null, null, null);
    insert into n values (1, 1, 'first'), (1, 2, null);";

const MAPPING: &str = "
table: o
key: id
patient: none
lists: {notes: {table: n, parent: o, order: seq}}
resource:
  resourceType: Observation
  id: \"o-{{id}}\"
  status: $status via status
  code: {text: $name}
  effectiveDateTime: $taken_at or $taken_on
  method: $method via method
  $if kind = 'numeric':
    valueQuantity: {value: $num, unit: $unit, system: ucum}
  valueString: $text
  note:
    - $each notes: {text: $body}
  referenceRange:
    - {low: {value: $low, unit: $unit}}
  component:
    - {code: {text: $part}, valueString: $part_value}
  identifier:
    - {system: 'https://example.org/batch', value: \"{{name}}-{{batch}}\"}
  extension:
    - $each tags: {url: 'https://example.org/tag', valueString: $value}
    - $each doc: {url: 'https://example.org/doc', valueString: $a}
";

const WHY: [&str; 2] = [
    "
= Observation.resourceType                  constant
= Observation.id                            template over id
= Observation.status                        column status via code map status
= Observation.code.text                     column name
= Observation.effectiveDateTime             column taken_at, or column taken_on (column taken_at is NULL)
- Observation.method                        left out: code map method has nothing for the value of column method
- Observation.valueQuantity                 left out: `$if kind = 'numeric'` is not true
- Observation.valueString                   left out: column text is blank
= Observation.note[notes].text              column body (column body is NULL in 1 of 2 rows)
- Observation.referenceRange                left out: its head `value` is empty: column low is NULL
- Observation.component                     left out: FHIR requires `code`: column part is NULL
- Observation.identifier                    left out: its head `value` is empty: column batch is NULL
= Observation.extension[$tags].url          constant
= Observation.extension[$tags].valueString  column value (column value is NULL in 1 of 2 rows)
= Observation.extension[$doc].url           constant
= Observation.extension[$doc].valueString   column a (column a is NULL in 1 of 2 rows)",
    "
= Observation.resourceType                constant
= Observation.id                          template over id
= Observation.status                      column status via code map status
= Observation.code.text                   column name
= Observation.effectiveDateTime           column taken_at, or column taken_on (column taken_on is NULL)
- Observation.method                      left out: column method is NULL
- Observation.valueQuantity               left out: its head `value` is empty: column num is NULL
= Observation.valueString                 column text
- Observation.note                        left out: list notes has no row for it
= Observation.referenceRange[].low.value  column low
= Observation.referenceRange[].low.unit   column unit
= Observation.component[].code.text       column part
- Observation.component[].valueString     left out: column part_value is NULL
= Observation.identifier[].system         constant
= Observation.identifier[].value          template over name, batch
- Observation.extension                   left out: list $tags has no row for it and list $doc has no row for it

a row was rejected: R206 Observation.status
- Observation.status  left out: code map status has nothing for the value of column status",
];

#[test]
fn every_line_names_what_is_missing_in_its_row() {
    let runtime = runtime();
    let database = runtime.block_on(async {
        let database = Database::with_options("template template0").await;
        database.client().await.batch_execute(SCHEMA).await.unwrap();
        database
    });
    let home = tempfile::tempdir().unwrap();
    write(
        home.path(),
        &[
            ("mappings/observation.yaml", MAPPING.trim_start()),
            ("mappings/codes/status.csv", "source,code\nF,final\n"),
            ("mappings/codes/method.csv", "source,system,code,display\nM,snomed,1,One\n"),
        ],
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_smelt"));
    command.current_dir(home.path()).env_clear().args(["preview", "observation", "--why", "--database"]);
    let output = command.arg(database.dsn()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    // Resources are shown indented; the lines below each say why.
    let why: Vec<String> = text
        .split("\n}\n")
        .map(|part| part.lines().filter(|line| !line.starts_with([' ', '{'])).flat_map(|line| [line, "\n"]).collect())
        .collect();
    assert_eq!(why[0], "");
    for (found, wanted) in why[1..].iter().zip(WHY) {
        assert_eq!(found.trim_end(), wanted.trim(), "\n{text}");
    }
    assert_eq!(output.status.code(), Some(5), "{}", String::from_utf8_lossy(&output.stderr));
}
