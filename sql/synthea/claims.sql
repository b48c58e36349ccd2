-- One row per claim, for Claim and ExplanationOfBenefit, with its visit and the sums of its transactions.
--   insurer       who is billed; without insurance the source keeps a payer of that name
--   prescription  the medication, when the claim is a pharmacy's: it then charges what was prescribed in the visit
--   kind          Synthea bills the stays of these classes by institution
--   benefit       paid by the insurer (electronic cheques); copay: paid by the patient as such
-- No transactions (a store may keep them for some patients only): no sums, and the kind of the visit.
select c.id, c.patientid as patient, c.providerid as provider, c.appointmentid as encounter,
       c.servicedate, coalesce(c.lastbilleddatep, c.servicedate) as billed, c.statusp as status,
       c.diagnosis1, c.diagnosis2, c.diagnosis3, c.diagnosis4, c.diagnosis5, c.diagnosis6, c.diagnosis7, c.diagnosis8,
       e.organization, e.stop,
       p.id as insurer, p.name as insurer_name,
       t.prescription, t.charged, t.benefit, t.copay,
       case when t.prescription is not null then 'pharmacy'
            when e.encounterclass in ('inpatient', 'emergency', 'snf', 'hospice') then 'institutional'
            else 'professional' end as kind,
       c.updated_at, e.updated_at as encounter_updated_at, p.updated_at as payer_updated_at, t.updated_at as transactions_updated_at
from claims c
left join encounters e on e.id = c.appointmentid
left join payers p on p.id = coalesce(c.primarypatientinsuranceid, (select min(id::text)::uuid from payers where name = 'NO_INSURANCE'))
left join (
  select x.claimid, x.patientid, min(m.row_id) as prescription,
         sum(x.amount) filter (where x.type = 'CHARGE') as charged,
         sum(x.payments) filter (where x.method = 'ECHECK') as benefit,
         sum(x.payments) filter (where x.method = 'COPAY') as copay,
         max(x.updated_at) as updated_at
  from claims_transactions x
  left join (select patient, encounter, code, min(row_id) as row_id from medications group by patient, encounter, code) m
    on m.patient = x.patientid and m.encounter = x.appointmentid and m.code = x.procedurecode
  group by x.claimid, x.patientid
) t on t.claimid = c.id and t.patientid = c.patientid
