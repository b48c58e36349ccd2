-- One row per care plan: its team are the patient, the clinician of the visit it was made in, and their organization.
select c.id, c.start, c.stop, c.patient, c.encounter, c.reasoncode, c.reasondescription, e.provider, e.organization,
       c.updated_at, e.updated_at as encounter_updated_at
from careplans c
left join encounters e on e.id = c.encounter
