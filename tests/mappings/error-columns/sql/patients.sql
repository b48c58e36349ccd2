select * from patients
