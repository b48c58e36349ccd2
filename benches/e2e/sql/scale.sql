-- Multiplies the demo store (schema synthea) into a large one. Same input and settings, same rows.
--
--   psql -v target=big -v copies=339 -v every=17 -f scale.sql
--
--   target  schema to create; it must not exist
--   copies  clones of every patient
--   every   keep one in so many observations
--
-- Clone k keeps the last 24 digits of a uuid and has k in the first 8; row_id grows by k * 10^8; times move back by
-- 37 k mod 1461 days. Organizations, providers and payers are shared. Patients, encounters, conditions and observations
-- are cloned, the other tables stay empty. Four lists of the patient, about six rows each in all, are made up.
--
-- For requests of a part: one row in a thousand was changed on 2100-01-01, all others before; one patient in a hundred is
-- in panel `hundredth`; change and patient have an index, as `smelt grants` proposes.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET synchronous_commit = off;
SET maintenance_work_mem = '512MB';

CREATE SCHEMA :"target";
SELECT format('CREATE UNLOGGED TABLE %I.%I (LIKE synthea.%I) WITH (autovacuum_enabled = false)', :'target', tablename, tablename)
  FROM pg_tables WHERE schemaname = 'synthea' ORDER BY 1 \gexec
SET search_path = :"target";
INSERT INTO organizations SELECT * FROM synthea.organizations;
INSERT INTO providers SELECT * FROM synthea.providers;
INSERT INTO payers SELECT * FROM synthea.payers;

CREATE FUNCTION clone(k int, id uuid) RETURNS uuid LANGUAGE sql IMMUTABLE
  RETURN (lpad(to_hex(k), 8, '0') || substr(id::text, 9))::uuid;
CREATE FUNCTION changed(key text, usual timestamptz) RETURNS timestamptz LANGUAGE sql STABLE
  RETURN CASE WHEN hashtext(key) % 1000 = 0 THEN timestamptz '2100-01-01 00:00:00+00' ELSE usual END;

INSERT INTO patients
SELECT clone(k, id), birthdate - (37 * k) % 1461, deathdate - (37 * k) % 1461, ssn, drivers, passport, prefix, first, last,
       suffix, maiden, marital, race, ethnicity, gender, birthplace,
       (1 + (income + 97 * k) % 1999)::text || regexp_replace(address, '^[0-9]+', ''), city, state, county, fips, zip, lat, lon,
       healthcare_expenses, healthcare_coverage, income, changed(clone(k, id)::text, updated_at)
  FROM generate_series(1, :copies) k, synthea.patients;

INSERT INTO encounters
SELECT clone(k, id), start - make_interval(days => (37 * k) % 1461), stop - make_interval(days => (37 * k) % 1461),
       clone(k, patient), organization, provider, payer, encounterclass, code, description, base_encounter_cost,
       total_claim_cost, payer_coverage, reasoncode, reasondescription, changed(clone(k, id)::text, updated_at)
  FROM generate_series(1, :copies) k, synthea.encounters;

INSERT INTO conditions
SELECT row_id + k * 100000000::bigint, start - (37 * k) % 1461, stop - (37 * k) % 1461, clone(k, patient),
       clone(k, encounter), code, description, changed((row_id + k * 100000000::bigint)::text, updated_at)
  FROM generate_series(1, :copies) k, synthea.conditions;

INSERT INTO observations
SELECT row_id + k * 100000000::bigint, date - make_interval(days => (37 * k) % 1461), clone(k, patient), clone(k, encounter),
       category, code, description, value, units, type, changed((row_id + k * 100000000::bigint)::text, updated_at)
  FROM generate_series(1, :copies) k, synthea.observations WHERE row_id % :every = 0;

CREATE UNLOGGED TABLE patient_names AS
SELECT id AS patient, n AS seq, CASE n WHEN 1 THEN 'official' ELSE 'maiden' END AS use,
       CASE n WHEN 1 THEN last ELSE coalesce(maiden, last) END AS family, first AS given, prefix
  FROM patients, generate_series(1, 1 + (maiden IS NOT NULL)::int) n;
CREATE UNLOGGED TABLE patient_addresses AS
SELECT id AS patient, n AS seq, CASE n WHEN 1 THEN 'home' ELSE 'old' END AS use, address AS line, city, state,
       zip AS postal_code
  FROM patients, generate_series(1, 1 + income % 2) n;
CREATE UNLOGGED TABLE patient_telecoms AS
SELECT id AS patient, n AS seq, CASE n WHEN 2 THEN 'email' ELSE 'phone' END AS system,
       CASE n WHEN 2 THEN lower(first) || '@example.org' ELSE '555-' || lpad((income % 10000)::text, 4, '0') END AS value,
       CASE n WHEN 1 THEN 'home' WHEN 2 THEN 'work' ELSE 'mobile' END AS use
  FROM patients, generate_series(1, 2 + income % 2) n;
CREATE UNLOGGED TABLE patient_identifiers AS
SELECT id AS patient, n AS seq, CASE n WHEN 1 THEN 'http://hl7.org/fhir/sid/us-ssn' ELSE 'urn:oid:2.16.840.1.113883.4.3.25' END AS system,
       CASE n WHEN 1 THEN ssn ELSE drivers END AS value
  FROM patients, generate_series(1, 1 + (drivers IS NOT NULL)::int) n;

CREATE UNLOGGED TABLE panels AS SELECT 'hundredth' AS id, 'One patient in a hundred' AS name;
CREATE UNLOGGED TABLE panel_patients AS
SELECT 'hundredth' AS panel, id AS patient FROM patients WHERE hashtext(id::text) % 100 = 0;

ALTER TABLE panels ADD PRIMARY KEY (id);
ALTER TABLE panel_patients ADD PRIMARY KEY (panel, patient);
ALTER TABLE patients ADD PRIMARY KEY (id);
ALTER TABLE encounters ADD PRIMARY KEY (id);
ALTER TABLE conditions ADD PRIMARY KEY (row_id);
ALTER TABLE observations ADD PRIMARY KEY (row_id);
ALTER TABLE patient_names ADD PRIMARY KEY (patient, seq);
ALTER TABLE patient_addresses ADD PRIMARY KEY (patient, seq);
ALTER TABLE patient_telecoms ADD PRIMARY KEY (patient, seq);
ALTER TABLE patient_identifiers ADD PRIMARY KEY (patient, seq);
CREATE INDEX ON patients (updated_at);
CREATE INDEX ON encounters (updated_at);
CREATE INDEX ON encounters (patient);
CREATE INDEX ON conditions (updated_at);
CREATE INDEX ON conditions (patient);
CREATE INDEX ON observations (updated_at);
CREATE INDEX ON observations (patient);
DROP FUNCTION clone;
DROP FUNCTION changed;
VACUUM ANALYZE;
