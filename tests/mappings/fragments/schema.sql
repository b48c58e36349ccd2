create table t (id int primary key, sys numeric, race text);
insert into t values (1, 120.0, 'white'), (2, null, 'zz'), (3, 90, null);
