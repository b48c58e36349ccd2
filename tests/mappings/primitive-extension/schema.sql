create table t (id int primary key, born date, born_at timestamptz, reason text);
insert into t values (1, '2026-01-01', '2026-01-01 03:04:05Z', null), (2, null, null, 'unknown'), (3, null, null, null);
