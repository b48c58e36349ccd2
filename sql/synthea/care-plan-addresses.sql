-- The condition that a care plan is for: of the patient's conditions with the plan's reason code, the latest that had
-- begun when the plan did. One row or none per plan.
select distinct on (c.id) c.id as careplan, k.row_id as condition
from careplans c
join conditions k on k.patient = c.patient and k.code = c.reasoncode and k.start <= c.start
order by c.id, k.start desc, k.row_id desc
