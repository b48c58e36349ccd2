-- One row per clinician: what they do, where, and the phone of that place.
select p.id, p.name, p.organization, p.speciality, o.name as organization_name, o.phone,
       p.updated_at, o.updated_at as organization_updated_at
from providers p
join organizations o on o.id = p.organization
