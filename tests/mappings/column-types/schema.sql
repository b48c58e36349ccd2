create type colour as enum ('red', 'dark "blue"');
create domain mrn as varchar(20) check (value <> '');
create domain small as numeric(5, 1);
create table t (id mrn primary key, c char(8), e colour, u uuid, d small, b bytea, vc varchar(10), nm name, bo boolean);
insert into t values
    ('a1', 'ab  ', 'red', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', 1.55, '\x00ff10', ' lead', 'nm', true),
    ('a2', '    ', 'dark "blue"', null, null, '\x', 'trail  ', null, false),
    ('a3', null, null, null, 10, convert_to('Grüße', 'UTF8'), '   ', null, null);
