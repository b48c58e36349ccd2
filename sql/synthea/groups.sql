-- One row per cohort. Joining and leaving counts as a change of the cohort.
select c.id, c.name, c.description, c.active, m.members,
       c.updated_at, m.updated_at as members_updated_at
from cohorts c
left join (select cohort, count(*)::int as members, max(updated_at) as updated_at
           from cohort_members group by cohort) m on m.cohort = c.id
