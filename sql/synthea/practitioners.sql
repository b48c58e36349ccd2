-- One row per clinician. The source has one name column: the last word is the family name.
select p.id, p.name, p.gender, p.address, p.city, p.state, p.zip, p.updated_at,
       substring(p.name from '[^ ]+$')                 as family,
       substring(p.name from '^(.*[^ ]) +[^ ]+$')      as given
from providers p
