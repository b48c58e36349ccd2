create table head (id int, part int, at timestamptz, primary key (id, part));
create table tail (id int primary key, at timestamptz);
insert into head values (1, 1, '2026-01-01'), (2, 1, '2026-02-01'), (3, 1, '2026-01-01'), (4, 1, null), (5, 1, null),
    (6, 1, '2026-02-01'), (6, 2, '2026-04-01');
insert into tail values (1, '2026-01-02'), (2, '2025-01-01'), (3, '2026-02-03'), (5, '2026-01-01'), (6, '2026-03-02');
