-- One row per drug that a clinician gives (see medication-requests.sql): what MedicationRequest and
-- MedicationAdministration refer to. Spellings of a name differ; the first in alphabetical order is kept.
select m.code, min(m.description) as description, max(m.updated_at) as updated_at
from medications m
where m.description ~ '(Injection|Drug Implant|Intrauterine System)( \[|$)'
group by m.code
