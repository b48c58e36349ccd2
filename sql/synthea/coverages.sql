-- One row per insurance period, its first payer. Time without insurance is a period too, paid by the patient.
select t.row_id, t.patient, t.memberid, t.start_date, t.end_date, t.payer, t.plan_ownership, t.owner_name,
       p.name as payer_name, p.ownership, p.ownership = 'NO_INSURANCE' as uninsured,
       t.updated_at, p.updated_at as payer_updated_at
from payer_transitions t
join payers p on p.id = t.payer
