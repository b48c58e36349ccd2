create schema synthea;
create table synthea.observations (patient text, encounter text, date timestamp, code text, value text);
