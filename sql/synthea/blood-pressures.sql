-- One row per reading: the systolic and the diastolic row of one instant in one visit. Of two readings in the same
-- instant the first systolic goes with the first diastolic; a reading may lack either half.
select min(b.row_id) as row_id, b.patient, b.encounter, b.date,
       max(b.number) filter (where b.code = '8480-6') as systolic,
       max(b.number) filter (where b.code = '8462-4') as diastolic,
       max(b.updated_at) as updated_at
from (
  select o.row_id, o.patient, o.encounter, o.date, o.code, o.updated_at,
         case when o.value ~ '^-?[0-9]+(\.[0-9]+)?$' then o.value::numeric end as number,
         row_number() over (partition by o.patient, o.encounter, o.date, o.code order by o.row_id) as reading
  from observations o
  where o.code in ('8480-6', '8462-4')
) b
group by b.patient, b.encounter, b.date, b.reading
