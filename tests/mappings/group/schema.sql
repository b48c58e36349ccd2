create table p (id int primary key);
create table programs (id int primary key, name text);
create table enrolments (program int, patient int, start date);
insert into p values (1), (2);
insert into programs values (1, 'Diabetes'), (2, 'Empty');
insert into enrolments values (1, 2, null), (1, 1, '2026-01-01'), (9, 1, null);
