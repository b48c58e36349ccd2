create table p (mrn int primary key);
create table e (site text, seq int, patient int, doc text, primary key (site, seq));
insert into p values (1);
insert into e values ('a', 1, 1, 'Dr. "X"'), ('b', 2, null, 'Y'), ('c', 3, 99, null);
