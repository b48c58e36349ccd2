create table patients (id int primary key);
create table contacts (patient text, value text);
