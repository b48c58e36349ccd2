-- Clocks are put back from 3:00 to 2:00 on 25 October, at 1:00 UTC: 2:30 comes at 0:30 and at 1:30 UTC.
create table t (id int primary key, at timestamp);
insert into t values (1, '2026-10-25 01:40'), (2, '2026-10-25 02:30'), (3, '2026-10-25 02:50'), (4, null),
    (5, '2026-10-24 12:00');
create table d (id int primary key, at date);
insert into d values (1, '2026-10-24'), (2, '2026-10-25'), (3, null);
