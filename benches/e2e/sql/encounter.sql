select json_strip_nulls(json_build_object(
  'resourceType', 'Encounter',
  'id', id,
  'meta', json_build_object('lastUpdated', updated_at, 'source', 'https://example.org/ehr', 'profile',
    json_build_array('http://hl7.org/fhir/us/core/StructureDefinition/us-core-encounter')),
  'status', case when stop is null then 'in-progress' else 'finished' end,
  'class', json_build_object('system', 'http://terminology.hl7.org/CodeSystem/v3-ActCode', 'code', 'AMB', 'display',
    'ambulatory'),
  'type', json_build_array(json_build_object('coding', json_build_array(json_build_object(
    'system', 'http://snomed.info/sct', 'code', code, 'display', description)), 'text', description)),
  'subject', json_build_object('reference', 'Patient/' || patient),
  'participant', case when provider is not null then json_build_array(json_build_object('individual',
    json_build_object('reference', 'Practitioner/' || provider))) end,
  'period', json_build_object('start', start, 'end', stop),
  'reasonCode', case when reasoncode is not null then json_build_array(json_build_object('coding', json_build_array(
    json_build_object('system', 'http://snomed.info/sct', 'code', reasoncode, 'display', reasondescription)),
    'text', reasondescription)) end,
  'serviceProvider', case when organization is not null then json_build_object('reference',
    'Organization/' || organization) end))
from encounters
