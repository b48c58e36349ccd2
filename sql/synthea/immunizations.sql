-- One row per vaccination, with the place of its visit.
select i.row_id, i.date, i.patient, i.encounter, i.code, i.description, e.organization,
       i.updated_at, e.updated_at as encounter_updated_at
from immunizations i
left join encounters e on e.id = i.encounter
