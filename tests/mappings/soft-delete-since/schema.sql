create table t (id int primary key, updated timestamptz, deleted timestamptz);
insert into t values
    (1, '2026-01-01', null), (2, '2026-02-01', null), (3, '2026-02-01', '2026-02-02'), (4, '2025-01-01', '2025-02-01'),
    (5, '2026-02-01', null);
create table f (id int primary key, updated timestamptz, gone boolean);
insert into f values (1, '2026-01-01', false), (2, '2026-02-01', true), (3, '2025-01-01', true), (4, '2026-02-01', null);
