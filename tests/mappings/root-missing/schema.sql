create table t (id int primary key, status text);
insert into t values (1, 'final'), (2, null), (3, 'wrong'), (4, ' ');
