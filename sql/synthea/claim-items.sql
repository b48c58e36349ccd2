-- One row per charge of a claim. The source does not say whose code a charge bears: LOINC's have a dash, CVX's at most
-- three digits, RxNorm's are those that are prescribed, the rest are SNOMED CT.
-- Some charges end before they begin; FHIR does not allow that, so those have no end.
select x.claimid, row_number() over (partition by x.claimid order by x.chargeid, x.id) as sequence,
       x.procedurecode as code, x.notes as description, x.amount, x.units, x.unitamount,
       x.fromdate, case when x.todate >= x.fromdate then x.todate end as todate, x.placeofservice, x.appointmentid as encounter,
       x.diagnosisref1, x.diagnosisref2, x.diagnosisref3, x.diagnosisref4,
       case when x.procedurecode like '%-%' then 'loinc'
            when length(x.procedurecode) <= 3 then 'cvx'
            when m.code is not null then 'rxnorm'
            else 'snomed' end as vocabulary
from claims_transactions x
left join (select distinct code from medications) m on m.code = x.procedurecode
where x.type = 'CHARGE'
