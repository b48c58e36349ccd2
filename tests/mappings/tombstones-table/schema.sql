create schema audit;
create table t (site text, seq int, updated timestamptz, primary key (site, seq));
create table audit.gone (place text, number int, at timestamp);
insert into t values ('a', 1, '2026-01-01'), ('a', 2, '2026-02-01'), ('a', 3, '2026-03-01');
insert into audit.gone values ('a', 7, '2026-02-01'), ('b', 8, '2026-01-15'), ('b', 9, '2026-01-15 01:00:00.000001'),
    ('c', null, '2026-02-01'), ('d', 10, '2026-04-01');
create table u (id int primary key);
insert into u values (1);
