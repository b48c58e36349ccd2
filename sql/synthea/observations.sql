-- One row per observation with a single value. The two halves of a blood pressure are in blood-pressures.sql.
--   profile_code  the code, where it decides the profile: vital signs and smoking status
--   number        the value, where it is one (an income comes as type text with the unit /a)
--   answer        a phrase that codes/observation-answer.csv may know
select o.row_id, o.date, o.patient, o.encounter, o.category, o.code, o.description, o.units, o.value, o.updated_at,
       case when o.category = 'vital-signs' or o.code = '72166-2' then o.code end as profile_code,
       case when (o.type = 'numeric' or o.units = '/a') and o.value ~ '^-?[0-9]+(\.[0-9]+)?$'
            then o.value::numeric end                 as number,
       case when o.type <> 'numeric' then o.value end as answer
from observations o
where o.code not in ('8480-6', '8462-4')
