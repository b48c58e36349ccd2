-- One row per patient. Phone and language stand in a table of their own, at most one row per patient.
-- A birth place reads `Lynn  Massachusetts  US`: the CSV export writes two spaces for a comma.
select p.id, p.birthdate, p.deathdate, p.ssn, p.drivers, p.passport,
       p.prefix, p.first, p.last, p.suffix, p.maiden,
       p.marital, p.race, p.ethnicity, p.gender,
       split_part(p.birthplace, '  ', 1) as birth_city,
       split_part(p.birthplace, '  ', 2) as birth_state,
       split_part(p.birthplace, '  ', 3) as birth_country,
       p.address, p.city, p.county, p.state, p.zip, p.lat, p.lon,
       c.phone, c.language, c.contact_given, c.contact_family, c.contact_email,
       p.updated_at, c.updated_at as contact_updated_at
from patients p
left join patient_contacts c on c.patient = p.id
