-- One row per observation. The two rows of a blood-pressure reading become one row.
select o.patient, o.date, o.code
from synthea.observations o
left join synthea.observations d
  on o.code = '8480-6' and d.code = '8462-4'
 and (d.patient, d.encountr, d.date) = (o.patient, o.encounter, o.date)
