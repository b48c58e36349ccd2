create table patients (id int primary key, changed timestamptz, born date, why text, name text, dead boolean,
    died timestamptz, label text);
insert into patients values
    (1, '2026-03-01 10:00:00Z', '1990-07-21', null, 'Ana', true, '2026-01-01 00:00:00Z', 'a'),
    (2, null, null, 'masked', 'Bo', false, null, null),
    (3, '2026-03-02 10:00:00Z', '1991-07-21', null, 'Cy', null, null, 'b');
create table contacts (patient int, n int, name text);
insert into contacts values (1, 1, 'Dee'), (3, 1, 'Eve');
create table labs (id int primary key, patient int, status text, words text);
insert into labs values (1, 1, 'final', 'left out'), (2, 3, null, 'no status');
create table parts (lab int, n int, code text);
insert into parts values (1, 1, 'first'), (1, 2, 'second');
