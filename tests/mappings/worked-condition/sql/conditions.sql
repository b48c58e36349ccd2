-- One row per diagnosis, with its standard concept (SNOMED CT) and its source concept (ICD-10-CM).
select co.condition_occurrence_id, co.person_id, co.visit_occurrence_id,
       co.condition_start_date, co.condition_start_datetime,
       co.condition_end_date,   co.condition_end_datetime,
       co.condition_source_value, co.stop_reason,
       t.concept_name                as recorded_as,
       s.concept_name                as certainty,
       std.vocabulary_id as std_vocabulary, std.concept_code as std_code, std.concept_name as std_name,
       src.vocabulary_id as src_vocabulary, src.concept_code as src_code, src.concept_name as src_name
from omop.condition_occurrence co
left join omop.concept t   on t.concept_id   = co.condition_type_concept_id
left join omop.concept s   on s.concept_id   = co.condition_status_concept_id
left join omop.concept std on std.concept_id = nullif(co.condition_concept_id, 0)
left join omop.concept src on src.concept_id = nullif(co.condition_source_concept_id, 0)
