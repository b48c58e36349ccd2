create table t (id int primary key, a text, b text, at timestamptz, day date, month text);
insert into t values
    (1, 'a', 'b', '2026-05-01 10:00Z', '2026-05-01', '2026-05'), (2, ' ', 'b', null, '2026-05-01', '2026-05'),
    (3, null, '', null, null, '2026-05'), (4, 'zz', 'm', null, null, null), (5, 'm', null, null, null, null);
