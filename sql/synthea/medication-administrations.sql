-- One row per drug given in a visit (see medication-requests.sql).
select m.row_id, m.start, m.patient, m.encounter, m.code, m.description, m.reasoncode, m.reasondescription, e.provider,
       m.updated_at, e.updated_at as encounter_updated_at
from medications m
left join encounters e on e.id = m.encounter
where m.description ~ '(Injection|Drug Implant|Intrauterine System)( \[|$)'
