-- One row per study; the source has one per instance.
select i.id, i.patient, i.encounter, min(i.date) as started, min(i.procedure_code) as procedure_code,
       count(distinct i.series_uid)::int as series, count(*)::int as instances,
       e.organization, p.description as procedure,
       greatest(max(i.updated_at), max(e.updated_at), max(p.updated_at)) as updated_at
from imaging_studies i
left join encounters e on e.id = i.encounter
left join (select patient, encounter, code, min(description) as description, max(updated_at) as updated_at
           from procedures group by patient, encounter, code) p
  on p.patient = i.patient and p.encounter = i.encounter and p.code = i.procedure_code
group by i.id, i.patient, i.encounter, e.organization, p.description
