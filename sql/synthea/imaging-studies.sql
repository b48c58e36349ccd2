-- One row per study; the source has one per instance. The name of the study's procedure is looked up in its visit: there
-- are few studies, and procedures have an index by visit.
select s.id, s.patient, s.encounter, s.started, s.procedure_code, s.series, s.instances,
       e.organization, p.description as procedure,
       s.updated_at, e.updated_at as encounter_updated_at, p.updated_at as procedure_updated_at
from (
  select i.id, i.patient, i.encounter, min(i.date) as started, min(i.procedure_code) as procedure_code,
         count(distinct i.series_uid)::int as series, count(*)::int as instances, max(i.updated_at) as updated_at
  from imaging_studies i
  group by i.id, i.patient, i.encounter
) s
left join encounters e on e.id = s.encounter
left join lateral (
  select r.description, r.updated_at from procedures r
  where r.encounter = s.encounter and r.code = s.procedure_code
  order by r.row_id limit 1
) p on true
