-- One row per result of a report. The source names an observation by patient, code and instant. Both halves of a blood
-- pressure, and its panel code, mean the one Observation of blood-pressures.sql, whose key is the lower row_id.
select r.report, r.seq, min(o.row_id) as observation, min(o.description) as description
from diagnostic_report_results r
join diagnostic_reports d on d.id = r.report
join observations o
  on o.patient = d.patient and o.date = r.observation_date
 and case when o.code in ('8480-6', '8462-4') then '85354-9' else o.code end
   = case when r.observation_code in ('8480-6', '8462-4') then '85354-9' else r.observation_code end
group by r.report, r.seq
