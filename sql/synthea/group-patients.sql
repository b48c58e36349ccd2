-- Who a cohort's export covers: its current members and, through the cohorts in it, theirs, at any depth (UNION ends
-- a circle). Who has left is out; a cohort that is not active covers nobody, by itself or inside another.
with recursive reach as (
  select c.id as cohort, c.id as part from cohorts c where c.active
  union
  select r.cohort, m.member_cohort
  from reach r
  join cohort_members m on m.cohort = r.part and m.stop is null
  join cohorts c on c.id = m.member_cohort and c.active
)
select r.cohort, m.patient, min(m.start) as joined
from reach r
join cohort_members m on m.cohort = r.part and m.stop is null and m.patient is not null
group by r.cohort, m.patient
