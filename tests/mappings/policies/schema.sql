create table t (id int primary key, code text, txt text, n double precision, day text);
insert into t values
    (1, 'c', 'x', 1.5, '2026-01-01'), (2, 'c', 'x', 1, '2026-02-30'), (3, 'c', null, null, ' '),
    (4, null, 'x', 1, '2026'), (5, 'c', 'x', 'NaN', '2026-12'), (6, null, 'x', '-Infinity', 'today');
