-- One row per visit: who recorded it, for which organization.
select e.id, e.patient, e.provider, e.organization, coalesce(e.stop, e.start) as recorded,
       p.name as provider_name, o.name as organization_name,
       e.updated_at, p.updated_at as provider_updated_at, o.updated_at as organization_updated_at
from encounters e
join providers p on p.id = e.provider
join organizations o on o.id = e.organization
