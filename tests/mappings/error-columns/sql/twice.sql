select id, last as id, first from patients
