-- One row per visit, with the names that its references show.
select e.id, e.start, e.stop, e.patient, e.organization, e.provider, e.encounterclass,
       e.code, e.description, e.reasoncode, e.reasondescription,
       p.name as provider_name, o.name as organization_name,
       e.updated_at, p.updated_at as provider_updated_at, o.updated_at as organization_updated_at
from encounters e
left join providers p on p.id = e.provider
left join organizations o on o.id = e.organization
