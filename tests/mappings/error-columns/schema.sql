create schema synthea;
create table synthea.patients (id int primary key, birthdate date, deathdate date, ssn text, drivers text, prefix text,
    first text, middle text, last text, suffix text, maiden text, marital text, race text, local timestamp, big numeric);
create table synthea.patient_contacts (patient int, rank int, kind text, use text, value text);
