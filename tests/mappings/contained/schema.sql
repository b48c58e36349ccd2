create table t (id int primary key, drug text, code text);
insert into t values (1, 'Aspirin', '1191'), (2, null, null), (3, 'Local "mix"', null);
