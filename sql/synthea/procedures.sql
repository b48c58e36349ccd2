-- One row per procedure, with the place of its visit.
select p.row_id, p.start, p.stop, p.patient, p.encounter, p.code, p.description, p.reasoncode, p.reasondescription,
       e.organization,
       p.updated_at, e.updated_at as encounter_updated_at
from procedures p
left join encounters e on e.id = p.encounter
