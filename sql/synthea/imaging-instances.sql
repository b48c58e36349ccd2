-- One row per instance of a series.
select i.id, i.series_uid, i.instance_uid, i.sop_code, i.sop_description, i.row_id,
       row_number() over (partition by i.id, i.series_uid order by i.row_id) as number
from imaging_studies i
