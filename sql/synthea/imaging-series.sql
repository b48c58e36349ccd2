-- One row per series of a study.
select i.id, i.series_uid, row_number() over (partition by i.id order by i.series_uid) as number,
       min(i.date) as started, count(*)::int as instances,
       min(i.modality_code) as modality_code, min(i.modality_description) as modality_description,
       min(i.bodysite_code) as bodysite_code, min(i.bodysite_description) as bodysite_description
from imaging_studies i
group by i.id, i.series_uid
