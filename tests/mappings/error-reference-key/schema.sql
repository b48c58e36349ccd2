create table patients (id int primary key);
create table devices (id int primary key, owner text, big bigint);
