create table patient (id int primary key, name text);
create table contact (id int primary key, patient int, name text);
create table phone (contact int, rank int, number text);
insert into patient values (1, 'A'), (2, 'B'), (3, 'C');
insert into contact values (11, 1, 'one'), (10, 1, 'zero'), (12, 2, null), (13, 99, 'orphan');
insert into phone values (10, 2, '10-2'), (10, 1, '10-1'), (11, 1, '11-1'), (11, 2, '  '), (12, 1, '12-1'), (98, 1, 'lost');
