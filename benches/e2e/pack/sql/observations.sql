select row_id, date, patient, encounter, code, description, units, updated_at,
       case when type = 'numeric' then value::numeric end as number,
       case when type <> 'numeric' then value end as phrase
from observations
