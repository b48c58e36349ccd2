create table labs (id int primary key, charttime timestamp);
