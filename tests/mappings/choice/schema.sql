create table obs (id int primary key, num numeric, code text, txt text, flag boolean, at timestamptz);
insert into obs values
    (1, 5.10, 'a', 'x', true, '2026-01-01 00:00Z'), (2, null, 'a', 'x', true, null), (3, null, 'zz', 'x', true, null),
    (4, null, null, '  ', false, null), (5, null, null, null, null, '2026-01-01 00:00Z'), (6, null, null, '', null, null);
