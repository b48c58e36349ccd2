-- Three-valued logic: unknown is false, and so is its opposite.
create table t (id int primary key, a text, n numeric, b boolean, d date);
insert into t values
    (1, 'x', 2.50, true, '2026-01-01'), (2, null, null, null, null), (3, '  ', 3, false, '2025-12-31'),
    (4, 'it''s', 2.5, true, null), (5, 'X', -1, false, '2026-01-02');
