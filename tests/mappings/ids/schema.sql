create table t (a int, b text, u uuid, at timestamptz, n numeric(10, 2), primary key (a, b, u));
insert into t values
    (22595853, 'x-1', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '2026-07-01 12:00+02', 1.50),
    (-1, 'ü', '00000000-0000-0000-0000-000000000000', '2026-01-01 12:00:00.5+00', 100);
create table r (code text unique);
insert into r values ('ok-1.2'), ('not ok'), ('under_score'), (repeat('x', 64)), (repeat('x', 65)), ('  ');
