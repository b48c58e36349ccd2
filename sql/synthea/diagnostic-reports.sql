-- One row per report. `laboratory` says which panels are laboratory work; the others are questionnaires,
-- scales and certificates.
select d.id, d.date, d.patient, d.encounter, d.code, d.description, e.provider, e.organization,
       d.code in ('24321-2', '24323-8', '24336-0', '24339-4', '24356-8', '24357-6', '24360-0', '34528-0', '50190-8',
                  '51990-0', '57023-4', '57698-3', '58410-2', '600-7', '69742-5', '75622-1', '75689-0', '80381-7',
                  '89577-1', '92143-7', '94531-1') as laboratory,
       d.updated_at, e.updated_at as encounter_updated_at
from diagnostic_reports d
left join encounters e on e.id = d.encounter
