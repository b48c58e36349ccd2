-- One row per patient.
select p.id, p.birthdate, p.deathdate, p.ssn, p.drivers,
       p.prefix, p.first, p.middle, p.last, p.suffix, p.maiden,
       p.marital, p.race, p.ethnicity, p.gender,
       p.address, p.city, p.state, p.zip, p.lat, p.lon,
       p.updated_at
from synthea.patients p
