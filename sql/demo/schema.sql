-- The demo database: a store in the shape of Synthea's CSV export (April 2024 generation of the format), typed and
-- keyed as a hospital's reporting database would have it, plus two cohort tables of our own.
-- Column names are the CSV headers in lower case. Not Synthea's:
--   row_id      surrogate key of the event tables, which the export leaves without one
--   updated_at  when the reporting copy of the row last changed; what `_since` looks at
-- Foreign keys and indexes are in constraints.sql, so that the load stays fast. Provenance: README.md.
CREATE SCHEMA synthea;
SET search_path = synthea;

CREATE TABLE organizations (
  id uuid PRIMARY KEY, name text NOT NULL, address text, city text, state text, zip text,
  lat double precision, lon double precision, phone text, revenue numeric, utilization int,
  updated_at timestamptz NOT NULL DEFAULT '2026-01-01T00:00:00Z');

CREATE TABLE providers (
  id uuid PRIMARY KEY, organization uuid NOT NULL, name text NOT NULL, gender text, speciality text,
  address text, city text, state text, zip text, lat double precision, lon double precision,
  encounters int, procedures int,
  updated_at timestamptz NOT NULL DEFAULT '2026-01-01T00:00:00Z');

CREATE TABLE payers (
  id uuid PRIMARY KEY, name text NOT NULL, ownership text, address text, city text,
  state_headquartered text, zip text, phone text, amount_covered numeric, amount_uncovered numeric,
  revenue numeric, covered_encounters int, uncovered_encounters int, covered_medications int,
  uncovered_medications int, covered_procedures int, uncovered_procedures int,
  covered_immunizations int, uncovered_immunizations int, unique_customers int,
  qols_avg double precision, member_months int,
  updated_at timestamptz NOT NULL DEFAULT '2026-01-01T00:00:00Z');

CREATE TABLE patients (
  id uuid PRIMARY KEY, birthdate date NOT NULL, deathdate date, ssn text, drivers text, passport text,
  prefix text, first text, last text, suffix text, maiden text, marital text, race text,
  ethnicity text, gender text, birthplace text, address text, city text, state text, county text,
  fips text, zip text, lat double precision, lon double precision,
  healthcare_expenses numeric, healthcare_coverage numeric, income int,
  updated_at timestamptz NOT NULL DEFAULT '2026-01-01T00:00:00Z');

CREATE TABLE encounters (
  id uuid PRIMARY KEY, start timestamptz NOT NULL, stop timestamptz, patient uuid NOT NULL,
  organization uuid, provider uuid, payer uuid, encounterclass text, code text, description text,
  base_encounter_cost numeric, total_claim_cost numeric, payer_coverage numeric,
  reasoncode text, reasondescription text, updated_at timestamptz NOT NULL);

CREATE TABLE conditions (
  row_id bigint PRIMARY KEY, start date NOT NULL, stop date, patient uuid NOT NULL, encounter uuid,
  code text NOT NULL, description text, updated_at timestamptz NOT NULL);

CREATE TABLE allergies (
  row_id bigint PRIMARY KEY, start date NOT NULL, stop date, patient uuid NOT NULL, encounter uuid,
  code text NOT NULL, system text, description text, type text, category text,
  reaction1 text, description1 text, severity1 text, reaction2 text, description2 text, severity2 text,
  updated_at timestamptz NOT NULL);

CREATE TABLE careplans (
  id uuid PRIMARY KEY, start date NOT NULL, stop date, patient uuid NOT NULL, encounter uuid,
  code text, description text, reasoncode text, reasondescription text, updated_at timestamptz NOT NULL);

CREATE TABLE medications (
  row_id bigint PRIMARY KEY, start timestamptz NOT NULL, stop timestamptz, patient uuid NOT NULL,
  payer uuid, encounter uuid, code text NOT NULL, description text, base_cost numeric,
  payer_coverage numeric, dispenses int, totalcost numeric, reasoncode text, reasondescription text,
  updated_at timestamptz NOT NULL);

CREATE TABLE observations (
  row_id bigint PRIMARY KEY, date timestamptz NOT NULL, patient uuid NOT NULL, encounter uuid,
  category text, code text NOT NULL, description text, value text, units text, type text,
  updated_at timestamptz NOT NULL);

CREATE TABLE procedures (
  row_id bigint PRIMARY KEY, start timestamptz NOT NULL, stop timestamptz, patient uuid NOT NULL,
  encounter uuid, code text NOT NULL, description text, base_cost numeric,
  reasoncode text, reasondescription text, updated_at timestamptz NOT NULL);

CREATE TABLE immunizations (
  row_id bigint PRIMARY KEY, date timestamptz NOT NULL, patient uuid NOT NULL, encounter uuid,
  code text NOT NULL, description text, base_cost numeric, updated_at timestamptz NOT NULL);

CREATE TABLE devices (
  row_id bigint PRIMARY KEY, start timestamptz NOT NULL, stop timestamptz, patient uuid NOT NULL,
  encounter uuid, code text NOT NULL, description text, udi text, updated_at timestamptz NOT NULL);

CREATE TABLE imaging_studies (
  row_id bigint PRIMARY KEY, id uuid NOT NULL, date timestamptz NOT NULL, patient uuid NOT NULL,
  encounter uuid, series_uid text, bodysite_code text, bodysite_description text, modality_code text,
  modality_description text, instance_uid text, sop_code text, sop_description text,
  procedure_code text, updated_at timestamptz NOT NULL);

CREATE TABLE supplies (
  row_id bigint PRIMARY KEY, date date NOT NULL, patient uuid NOT NULL, encounter uuid,
  code text NOT NULL, description text, quantity int, updated_at timestamptz NOT NULL);

CREATE TABLE payer_transitions (
  row_id bigint PRIMARY KEY, patient uuid NOT NULL, memberid uuid, start_date timestamptz NOT NULL,
  end_date timestamptz, payer uuid NOT NULL, secondary_payer uuid, plan_ownership text, owner_name text,
  updated_at timestamptz NOT NULL);

CREATE TABLE claims (
  id uuid PRIMARY KEY, patientid uuid NOT NULL, providerid uuid, primarypatientinsuranceid uuid,
  secondarypatientinsuranceid uuid, departmentid int, patientdepartmentid int,
  diagnosis1 text, diagnosis2 text, diagnosis3 text, diagnosis4 text, diagnosis5 text, diagnosis6 text,
  diagnosis7 text, diagnosis8 text, referringproviderid uuid, appointmentid uuid,
  currentillnessdate timestamptz, servicedate timestamptz, supervisingproviderid uuid,
  status1 text, status2 text, statusp text, outstanding1 numeric, outstanding2 numeric,
  outstandingp numeric, lastbilleddate1 timestamptz, lastbilleddate2 timestamptz,
  lastbilleddatep timestamptz, healthcareclaimtypeid1 int, healthcareclaimtypeid2 int,
  updated_at timestamptz NOT NULL);

CREATE TABLE claims_transactions (
  id uuid PRIMARY KEY, claimid uuid NOT NULL, chargeid int, patientid uuid NOT NULL, type text,
  amount numeric, method text, fromdate timestamptz, todate timestamptz, placeofservice uuid,
  procedurecode text, modifier1 text, modifier2 text, diagnosisref1 int, diagnosisref2 int,
  diagnosisref3 int, diagnosisref4 int, units int, departmentid int, notes text, unitamount numeric,
  transferoutid int, transfertype text, payments numeric, adjustments numeric, transfers numeric,
  outstanding numeric, appointmentid uuid, linenote text, patientinsuranceid uuid, feescheduleid int,
  providerid uuid, supervisingproviderid uuid, updated_at timestamptz NOT NULL);

-- The four below are not part of Synthea's CSV export. They were written beside it in the same run, because FHIR
-- needs them: telecom and language, the grouping of observations into reports, visit notes.
CREATE TABLE patient_contacts (
  patient uuid PRIMARY KEY, phone text, language text, contact_given text, contact_family text,
  contact_email text, updated_at timestamptz NOT NULL);

CREATE TABLE diagnostic_reports (
  id uuid PRIMARY KEY, date timestamptz NOT NULL, patient uuid NOT NULL, encounter uuid,
  system text, code text NOT NULL, description text, updated_at timestamptz NOT NULL);

CREATE TABLE diagnostic_report_results (
  report uuid NOT NULL, seq int NOT NULL, observation_code text NOT NULL,
  observation_date timestamptz NOT NULL, PRIMARY KEY (report, seq));

CREATE TABLE clinical_notes (
  id uuid PRIMARY KEY, date timestamptz NOT NULL, patient uuid NOT NULL, encounter uuid, provider uuid,
  code text, description text, text text, updated_at timestamptz NOT NULL);

-- Ours: who is in which cohort, as a registry or a research roster keeps it.
CREATE TABLE cohorts (
  id text PRIMARY KEY, name text NOT NULL, description text, active boolean NOT NULL,
  updated_at timestamptz NOT NULL);

-- A member is a patient or a whole other cohort, never both. `stop` is the last day of a membership that ended.
CREATE TABLE cohort_members (
  row_id bigint PRIMARY KEY, cohort text NOT NULL, patient uuid, member_cohort text,
  start date NOT NULL, stop date, updated_at timestamptz NOT NULL,
  CHECK (num_nonnulls(patient, member_cohort) = 1));
