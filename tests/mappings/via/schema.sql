create table t (id int primary key, c text);
insert into t values (1, 'M'), (2, 'zz'), (3, null), (4, '  '), (5, 'two'), (6, 'M ');
