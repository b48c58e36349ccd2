create table t (id int primary key, changed timestamp);
insert into t values (1, '2026-03-01 10:00:00.120'), (2, null);
