#!/usr/bin/env bash
# Cuts the demo seed out of the 1,148-patient Synthea set: whole patients whose id starts with 0 to 3, every row of theirs
# in every table, and the organizations, providers and payers those rows name. The same input gives the same rows in the
# same order, and with the same zstd the same bytes.
#
#   createdb scratch && PGDATABASE=scratch ./cut.sh DIR
#
# DIR holds load.sh and csv-1k/ (README.md says how that set was generated). Needs psql, zstd, and a database that may be
# overwritten: DIR/load.sh fills its schema `synthea` and computes row_id and updated_at. Writes seed.sql.zst.
set -euo pipefail
dir=$(cd "${1:?usage: cut.sh DIR}" && pwd)
cd "$(dirname "$0")"
export PGTZ=UTC PGDATESTYLE=ISO PGCLIENTENCODING=UTF8 PGOPTIONS='-c search_path=synthea -c extra_float_digits=1'
run() { psql -X -q -v ON_ERROR_STOP=1 "$@"; }

bash "$dir/load.sh" 1k >/dev/null
# The two tables that are ours are created by our own schema.sql, after the load.
sed -n '/^CREATE TABLE cohorts/,$p' schema.sql | run
run <<'SQL'
CREATE TEMP VIEW kept AS SELECT id FROM patients WHERE id::text ~ '^[0-3]';
INSERT INTO cohorts VALUES
  ('diabetes', 'Type 2 diabetes registry', 'Patients with a diagnosis of type 2 diabetes mellitus.', true, '2026-02-01T08:00:00Z'),
  ('hypertension', 'Hypertension registry', 'Patients with a diagnosis of essential hypertension.', true, '2026-02-02T08:00:00Z'),
  ('cardiometabolic', 'Cardiometabolic programme', 'Everybody in the two registries, and patients followed for prediabetes.', true, '2026-02-03T08:00:00Z'),
  ('asthma-2019', 'Asthma study 2019', 'A closed study; kept for the record.', false, '2020-01-01T00:00:00Z'),
  ('stroke-recruiting', 'Stroke study', 'Nobody enrolled yet.', true, '2026-03-01T08:00:00Z');
INSERT INTO cohort_members
SELECT row_number() OVER (ORDER BY ord, patient), cohort, patient, NULL, start, stop,
       coalesce(stop, start)::timestamp AT TIME ZONE 'UTC' + interval '12 hours'
FROM (
  SELECT x.ord, x.cohort, c.patient, min(c.start) AS start, p.deathdate AS stop
  FROM (VALUES (1, 'diabetes', '44054006'), (2, 'hypertension', '59621000'), (3, 'cardiometabolic', '15777000'),
               (4, 'asthma-2019', '195967001'), (4, 'asthma-2019', '233678006')) x (ord, cohort, code)
  JOIN conditions c ON c.code = x.code JOIN kept k ON k.id = c.patient JOIN patients p ON p.id = c.patient
  GROUP BY 1, 2, 3, 5) m;
INSERT INTO cohort_members
SELECT (SELECT max(row_id) FROM cohort_members) + n, 'cardiometabolic', NULL, member, DATE '2025-06-01', NULL, '2026-02-03T08:00:00Z'
FROM (VALUES (1, 'diabetes'), (2, 'hypertension')) x (n, member);
SQL

# A psql script that prints the seed: COPY, rows, `\.`, table by table. Lines are: table | the rows to keep | their order.
blocks() {
  local table where order columns
  while IFS='|' read -r table where order; do
    columns=$(sed -n "s/^$table //p" <<< "$columns_of")
    printf '\\echo COPY synthea.%s (%s) FROM STDIN (FORMAT csv);\n' "$table" "$columns"
    printf 'COPY (SELECT %s FROM %s %s ORDER BY %s) TO STDOUT (FORMAT csv);\n' "$columns" "$table" "$where" "$order"
    printf '%s\n' "\\echo '\\\\.'"
  done
}
columns_of=$(run -At -F ' ' -c "SELECT table_name, string_agg(column_name, ',' ORDER BY ordinal_position)
  FROM information_schema.columns WHERE table_schema = 'synthea' GROUP BY 1")
script() {
  local kept="(SELECT id FROM patients WHERE id::text ~ '^[0-3]')" some
  blocks <<< "\
organizations|WHERE id IN (SELECT organization FROM encounters WHERE patient IN $kept UNION SELECT placeofservice FROM claims_transactions WHERE patientid IN $kept UNION SELECT p.organization FROM providers p WHERE p.id IN (SELECT provider FROM encounters WHERE patient IN $kept UNION SELECT providerid FROM claims WHERE patientid IN $kept UNION SELECT providerid FROM claims_transactions WHERE patientid IN $kept))|id
providers|WHERE id IN (SELECT provider FROM encounters WHERE patient IN $kept UNION SELECT providerid FROM claims WHERE patientid IN $kept UNION SELECT supervisingproviderid FROM claims WHERE patientid IN $kept UNION SELECT providerid FROM claims_transactions WHERE patientid IN $kept)|id
payers||id"
  # Some patients after others, with all their tables: an id is repeated near the place where it stood before, which is
  # what lets the compressor find it again. Table by table the seed would be a fifth larger.
  for some in {0..3}{{0..9},{a..f}}; do
    kept="(SELECT id FROM patients WHERE id::text LIKE '$some%')"
    blocks <<< "\
patients|WHERE id IN $kept|id
patient_contacts|WHERE patient IN $kept|patient
encounters|WHERE patient IN $kept|patient, start, id
conditions|WHERE patient IN $kept|row_id
allergies|WHERE patient IN $kept|row_id
careplans|WHERE patient IN $kept|patient, start, id
medications|WHERE patient IN $kept|row_id
observations|WHERE patient IN $kept|row_id
procedures|WHERE patient IN $kept|row_id
immunizations|WHERE patient IN $kept|row_id
devices|WHERE patient IN $kept|row_id
imaging_studies|WHERE patient IN $kept|row_id
supplies|WHERE patient IN $kept|row_id
payer_transitions|WHERE patient IN $kept|row_id
claims|WHERE patientid IN $kept|patientid, servicedate, id
claims_transactions|WHERE patientid IN $kept|patientid, fromdate, claimid, chargeid, id
diagnostic_reports|WHERE patient IN $kept|patient, date, id
diagnostic_report_results|WHERE report IN (SELECT id FROM diagnostic_reports WHERE patient IN $kept)|report, seq
clinical_notes|WHERE patient IN $kept|patient, date, id"
  done
  blocks <<< "\
cohorts||id
cohort_members||row_id"
}
# The window of 32 MiB bounds the memory of whoever unpacks it.
script | run -At | zstd -q -f --ultra -22 --zstd=wlog=25 -o seed.sql.zst
# Nothing but the end of a block may look like one.
zstd -dc seed.sql.zst | awk '/^COPY synthea\./ { begun++ } $0 == "\\." { ended++ } END { exit begun != ended || begun == 0 }'
stat -c '%s bytes' seed.sql.zst
