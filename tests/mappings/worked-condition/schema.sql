-- The columns of OMOP CDM 5.4 that are read here.
create schema omop;
create table omop.person (person_id integer primary key);
create table omop.visit_occurrence (visit_occurrence_id integer primary key);
create table omop.concept (concept_id integer primary key, concept_name varchar(255), vocabulary_id varchar(20),
    concept_code varchar(50));
create table omop.condition_occurrence (
    condition_occurrence_id integer primary key, person_id integer, condition_concept_id integer,
    condition_start_date date, condition_start_datetime timestamp, condition_end_date date,
    condition_end_datetime timestamp, condition_type_concept_id integer, condition_status_concept_id integer,
    stop_reason varchar(20), visit_occurrence_id integer, condition_source_value varchar(50),
    condition_source_concept_id integer
);
insert into omop.concept (concept_id, concept_name, vocabulary_id, concept_code) values
    (201826, 'Type 2 diabetes mellitus', 'SNOMED', '44054006'),
    (35206882, 'Type 2 diabetes mellitus without complications', 'ICD10CM', 'E11.9'),
    (32840, 'EHR problem list', 'Type Concept', 'OMOP4976926'),
    (32817, 'EHR', 'Type Concept', 'OMOP4976890'),
    (32893, 'Confirmed diagnosis', 'Condition Status', 'OMOP4976961');
insert into omop.condition_occurrence values
    (5001, 17, 201826, '2019-05-02', '2019-05-02 10:15:00', null, null, 32840, 32893, null, 88, 'E11.9', 35206882),
    (5002, 17, 0, '2020-11-01', null, '2020-11-20', null, 32817, null, 'Resolved', null, 'LOCAL^RASH-7', 0);
