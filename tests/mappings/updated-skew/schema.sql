create table t (id int primary key, at timestamptz, dead timestamptz);
insert into t values (1, '2026-01-14 23:54:59Z', null), (2, '2026-01-14 23:56Z', null), (3, null, '2026-01-14 23:56Z'),
    (4, null, '2026-01-14 23:54Z');
