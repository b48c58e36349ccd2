-- One row per note, with the visit it was written in.
select n.id, n.date, n.patient, n.encounter, n.provider, n.code, n.description,
       convert_to(n.text, 'UTF8') as content,
       e.organization, e.start, e.stop,
       n.updated_at, e.updated_at as encounter_updated_at
from clinical_notes n
left join encounters e on e.id = n.encounter
