-- One row per prescription, with the clinician and class of its visit. `administered` marks the dose forms a clinician
-- gives: injections, implants, intrauterine systems (not auto-injectors, pens and the insulins people inject at home).
select m.row_id, m.start, m.stop, m.patient, m.encounter, m.code, m.description, m.reasoncode, m.reasondescription,
       e.provider, e.encounterclass,
       m.description ~ '(Injection|Drug Implant|Intrauterine System)( \[|$)' as administered,
       m.updated_at, e.updated_at as encounter_updated_at
from medications m
left join encounters e on e.id = m.encounter
