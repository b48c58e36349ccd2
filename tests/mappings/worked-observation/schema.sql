create schema synthea;
create table synthea.patients (id varchar(1000) primary key);
create table synthea.encounters (id varchar(1000) primary key, patient varchar(1000));
create table synthea.observations (
    date timestamp, patient varchar(1000), encounter varchar(1000), category varchar(1000), code varchar(100),
    description varchar(255), value varchar(1000), units varchar(100), type varchar(100),
    recorded_at timestamptz, updated_at timestamptz
);
insert into synthea.observations
    (date, patient, encounter, category, code, description, value, units, type, recorded_at, updated_at)
values
    ('2026-03-08 09:30:00', 'a3f1c2d4-0001-4c5e-9b7a-1f2e3d4c5b6a', 'e-100', 'vital-signs', '29463-7', 'Body Weight',
     '81.50', 'kg', 'numeric', '2026-03-08 14:31:02Z', '2026-03-08 14:31:02Z'),
    ('2026-03-08 09:31:00', 'a3f1c2d4-0001-4c5e-9b7a-1f2e3d4c5b6a', 'e-100', 'vital-signs', '8480-6', 'Systolic Blood Pressure',
     '127', 'mm[Hg]', 'numeric', '2026-03-08 14:31:02Z', '2026-03-08 14:31:02Z'),
    ('2026-03-08 09:31:00', 'a3f1c2d4-0001-4c5e-9b7a-1f2e3d4c5b6a', 'e-100', 'vital-signs', '8462-4', 'Diastolic Blood Pressure',
     '80', 'mm[Hg]', 'numeric', '2026-03-08 14:31:02Z', '2026-03-08 14:31:02Z'),
    ('2026-03-08 09:35:00', 'a3f1c2d4-0001-4c5e-9b7a-1f2e3d4c5b6a', 'e-100', 'social-history', '72166-2', 'Tobacco smoking status',
     'Never smoker', null, 'text', '2026-03-08 14:36:00Z', '2026-03-08 14:36:00Z'),
    ('2026-03-08 09:36:00', 'a3f1c2d4-0001-4c5e-9b7a-1f2e3d4c5b6a', null, 'social-history', '72166-2', 'Tobacco smoking status',
     'chews "tobacco"', null, 'text', '2026-03-08 14:37:00Z', '2026-03-08 14:37:00Z'),
    ('2026-03-08 09:40:00', 'b7e0d9c8-0002-4f1a-8d3b-6a5b4c3d2e1f', 'e-101', 'survey', '93025-5', 'PRAPARE',
     '', null, 'text', null, '2026-03-08 14:41:00Z');
