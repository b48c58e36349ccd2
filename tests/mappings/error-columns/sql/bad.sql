-- One row per patient.
select p.id,
       'é' as accent, p.lastt
from patients p
