create table p (id int primary key);
create table o (id int primary key, patient int);
create table l (id int primary key);
insert into p values (1), (2), (3);
insert into o values (1, 1), (2, 2), (3, null), (4, 2);
insert into l values (1);
