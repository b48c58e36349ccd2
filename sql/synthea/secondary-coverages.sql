-- One row per insurance period that has a second payer.
select t.row_id, t.patient, t.memberid, t.start_date, t.end_date, t.secondary_payer, t.plan_ownership, t.owner_name,
       p.name as payer_name, p.ownership,
       t.updated_at, p.updated_at as payer_updated_at
from payer_transitions t
join payers p on p.id = t.secondary_payer
