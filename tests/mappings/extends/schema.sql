create table people (id int primary key, last text, sex text, marital text);
insert into people values (1, 'A', 'M', 'x'), (2, 'B', 'w', 'x');
