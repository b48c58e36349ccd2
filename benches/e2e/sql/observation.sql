select json_strip_nulls(json_build_object(
  'resourceType', 'Observation',
  'id', row_id::text,
  'meta', json_build_object('lastUpdated', updated_at, 'source', 'https://example.org/ehr', 'profile',
    json_build_array('http://hl7.org/fhir/us/core/StructureDefinition/us-core-observation-lab')),
  'status', 'final',
  'category', json_build_array(json_build_object('coding', json_build_array(json_build_object(
    'system', 'http://terminology.hl7.org/CodeSystem/observation-category', 'code', 'laboratory',
    'display', 'Laboratory')))),
  'code', json_build_object('coding', json_build_array(json_build_object('system', 'http://loinc.org', 'code', code,
    'display', description)), 'text', description),
  'subject', json_build_object('reference', 'Patient/' || patient),
  'encounter', case when encounter is not null then json_build_object('reference', 'Encounter/' || encounter) end,
  'effectiveDateTime', date,
  'issued', date,
  'valueQuantity', case when type = 'numeric' then json_build_object('value', value::numeric, 'unit', units,
    'system', 'http://unitsofmeasure.org', 'code', units) end,
  'valueString', case when type <> 'numeric' then value end))
from observations
