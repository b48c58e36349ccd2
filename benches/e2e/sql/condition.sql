select json_strip_nulls(json_build_object(
  'resourceType', 'Condition',
  'id', row_id::text,
  'meta', json_build_object('lastUpdated', updated_at, 'source', 'https://example.org/ehr', 'profile',
    json_build_array('http://hl7.org/fhir/us/core/StructureDefinition/us-core-condition-encounter-diagnosis')),
  'clinicalStatus', json_build_object('coding', json_build_array(json_build_object(
    'system', 'http://terminology.hl7.org/CodeSystem/condition-clinical',
    'code', case when stop is null then 'active' else 'resolved' end))),
  'verificationStatus', json_build_object('coding', json_build_array(json_build_object(
    'system', 'http://terminology.hl7.org/CodeSystem/condition-ver-status', 'code', 'confirmed'))),
  'category', json_build_array(json_build_object('coding', json_build_array(json_build_object(
    'system', 'http://terminology.hl7.org/CodeSystem/condition-category', 'code', 'encounter-diagnosis',
    'display', 'Encounter Diagnosis')))),
  'code', json_build_object('coding', json_build_array(json_build_object('system', 'http://snomed.info/sct',
    'code', code, 'display', description)), 'text', description),
  'subject', json_build_object('reference', 'Patient/' || patient),
  'encounter', case when encounter is not null then json_build_object('reference', 'Encounter/' || encounter) end,
  'onsetDateTime', start,
  'abatementDateTime', stop,
  'recordedDate', start))
from conditions
