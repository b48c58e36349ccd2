create table t (id int primary key, c text);
insert into t values (1, 'M'), (2, 'F'), (3, 'zz');
