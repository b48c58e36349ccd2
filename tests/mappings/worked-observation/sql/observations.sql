-- One row per observation. The two rows of a blood-pressure reading become one row.
select o.patient, o.encounter, o.category, o.date, o.recorded_at, o.updated_at, o.units,
       case when o.code = '8480-6' then '85354-9' else o.code end                     as code,
       case when o.code = '8480-6' then 'Blood pressure panel' else o.description end as description,
       case when o.type = 'numeric' and o.code <> '8480-6' then o.value::numeric end  as value_num,
       case when o.type = 'text' then o.value end                                     as value_text,
       case when o.code = '8480-6' then o.value::numeric end                          as systolic,
       d.value::numeric                                                               as diastolic
from synthea.observations o
left join synthea.observations d
  on o.code = '8480-6' and d.code = '8462-4'
 and (d.patient, d.encounter, d.date) = (o.patient, o.encounter, o.date)
where o.code <> '8462-4'
