-- Synthea's CSV layout as OHDSI/ETL-Synthea creates it, plus updated_at and contacts.
create schema synthea;
create table synthea.patients (
    id varchar(1000) primary key, birthdate date, deathdate date, ssn varchar(100), drivers varchar(100),
    passport varchar(100), prefix varchar(100), first varchar(100), middle varchar(100), last varchar(100),
    suffix varchar(100), maiden varchar(100), marital varchar(100), race varchar(100), ethnicity varchar(100),
    gender varchar(100), birthplace varchar(100), address varchar(100), city varchar(100), state varchar(100),
    county varchar(100), zip varchar(100), lat numeric, lon numeric, healthcare_expenses numeric,
    healthcare_coverage numeric, updated_at timestamptz
);
create table synthea.patient_contacts (patient varchar(1000), rank int, kind text, use text, value text);
insert into synthea.patients (id, birthdate, deathdate, ssn, drivers, prefix, first, middle, last, maiden, marital,
    gender, race, ethnicity, address, city, state, zip, lat, lon, updated_at)
values
    ('a3f1c2d4-0001-4c5e-9b7a-1f2e3d4c5b6a', '1958-11-03', null, '999-72-1183', 'S99921043', 'Mrs.', 'Ana María', 'Luz', 'O''Neil', 'Delgado', 'M', 'F',
     'white', 'hispanic', '412 "The Mews" Park St', 'Boston', 'Massachusetts', '02139', 42.3601, -71.0942,
     '2026-03-08 14:05:09.125+00'),
    ('b7e0d9c8-0002-4f1a-8d3b-6a5b4c3d2e1f', '1990-07-21', '2024-02-29', null, null, null, 'Kenji', null, 'Sato', null, 'X', 'M',
     'asian', null, '9 Canal Walk', 'Lowell', 'Massachusetts', null, null, null, '2026-03-09 00:00:00+00'),
    ('c1d2e3f4-0003-4a6b-a9c8-0f1e2d3c4b5a', '2025-12-31', null, null, null, null, 'Baby', '  ', 'Sato', null, null, 'I',
     null, null, null, null, null, null, null, null, '2026-03-09 00:00:00+00');
insert into synthea.patient_contacts (patient, rank, kind, use, value) values
    ('a3f1c2d4-0001-4c5e-9b7a-1f2e3d4c5b6a', 2, 'EM', 'home', 'ana@example.org'),
    ('a3f1c2d4-0001-4c5e-9b7a-1f2e3d4c5b6a', 1, 'PH', 'mobile', '555-801-2284'),
    ('a3f1c2d4-0001-4c5e-9b7a-1f2e3d4c5b6a', 3, 'PH', 'work', null),
    ('b7e0d9c8-0002-4f1a-8d3b-6a5b4c3d2e1f', 1, 'PH', 'home', '555-644-0190');
