select json_strip_nulls(json_build_object(
  'resourceType', 'Patient',
  'id', p.id,
  'meta', json_build_object('lastUpdated', p.updated_at, 'source', 'https://example.org/ehr', 'profile',
    json_build_array('http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient')),
  'identifier', i.items,
  'name', n.items,
  'telecom', t.items,
  'gender', case p.gender when 'F' then 'female' when 'M' then 'male' end,
  'birthDate', p.birthdate,
  'deceasedDateTime', p.deathdate,
  'address', a.items))
from patients p
left join (select patient, json_agg(json_build_object('system', system, 'value', value) order by seq) as items
             from patient_identifiers group by patient) i on i.patient = p.id
left join (select patient, json_agg(json_build_object('use', use, 'family', family, 'given', json_build_array(given),
                    'prefix', case when prefix is not null then json_build_array(prefix) end) order by seq) as items
             from patient_names group by patient) n on n.patient = p.id
left join (select patient, json_agg(json_build_object('system', system, 'value', value, 'use', use) order by seq) as items
             from patient_telecoms group by patient) t on t.patient = p.id
left join (select patient, json_agg(json_build_object('use', use, 'line', json_build_array(line), 'city', city,
                    'state', state, 'postalCode', postal_code, 'country', 'US') order by seq) as items
             from patient_addresses group by patient) a on a.patient = p.id
