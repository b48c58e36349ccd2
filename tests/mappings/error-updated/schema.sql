create table t (id int primary key, a timestamptz, b date, c text, x xid);
