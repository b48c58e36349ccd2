//! Built-in names for URIs: code systems, identifier systems, and every profile and extension of US Core.

use super::last_segment;
use super::profiles::{Package, packages};

/// A code system of HL7's terminology server; its alias is the last segment.
macro_rules! hl7 {
    ($name:literal) => {
        ($name, concat!("http://terminology.hl7.org/CodeSystem/", $name))
    };
}

const US_CORE_DEFINITION: &str = "http://hl7.org/fhir/us/core/StructureDefinition/";

/// The URI a built-in alias stands for.
pub fn builtin(alias: &str) -> Option<&'static str> {
    let listed = LISTED.binary_search_by_key(&alias, |(name, _)| name).ok().and_then(|at| LISTED.get(at));
    listed.map(|(_, uri)| *uri).or_else(|| {
        let canonical = format!("{US_CORE_DEFINITION}{alias}");
        packages().iter().find_map(|package| package.profile(&canonical)).map(|profile| profile.canonical)
    })
}

/// All built-in aliases with their URIs, sorted by alias.
pub fn builtins() -> impl Iterator<Item = (&'static str, &'static str)> {
    let us_core = packages().iter().flat_map(Package::canonicals).map(|uri| (last_segment(uri), uri));
    let mut all: Vec<_> = LISTED.iter().copied().chain(us_core).collect();
    all.sort_unstable();
    all.dedup();
    all.into_iter()
}

/// Sorted by alias.
const LISTED: &[(&str, &str)] = &[
    ("act-code", "http://terminology.hl7.org/CodeSystem/v3-ActCode"),
    hl7!("adjudication"),
    hl7!("admit-source"),
    hl7!("adverse-event-category"),
    hl7!("adverse-event-seriousness"),
    hl7!("adverse-event-severity"),
    hl7!("allergyintolerance-clinical"),
    hl7!("allergyintolerance-verification"),
    hl7!("appointment-cancellation-reason"),
    ("atc", "http://www.whocc.no/atc"),
    ("bcp13", "urn:ietf:bcp:13"),
    ("bcp47", "urn:ietf:bcp:47"),
    hl7!("benefit-network"),
    hl7!("benefit-term"),
    hl7!("benefit-type"),
    hl7!("benefit-unit"),
    ("cdc-race", "urn:oid:2.16.840.1.113883.6.238"),
    ("cdt", "http://www.ada.org/cdt"),
    hl7!("chargeitem-billingcodes"),
    hl7!("claim-type"),
    hl7!("claimcareteamrole"),
    hl7!("claiminformationcategory"),
    hl7!("communication-category"),
    hl7!("condition-category"),
    hl7!("condition-clinical"),
    hl7!("condition-ver-status"),
    hl7!("consentaction"),
    hl7!("consentcategorycodes"),
    hl7!("consentscope"),
    hl7!("contactentity-type"),
    hl7!("coverage-class"),
    hl7!("coverage-copay-type"),
    ("cpt", "http://www.ama-assn.org/go/cpt"),
    ("cvx", "http://hl7.org/fhir/sid/cvx"),
    hl7!("data-absent-reason"),
    ("dcm", "http://dicom.nema.org/resources/ontology/DCM"),
    hl7!("diagnosis-role"),
    hl7!("diet"),
    hl7!("discharge-disposition"),
    hl7!("dose-rate-type"),
    hl7!("encounter-special-arrangements"),
    hl7!("encounter-type"),
    hl7!("endpoint-connection-type"),
    hl7!("ex-USCLS"),
    hl7!("ex-benefitcategory"),
    hl7!("ex-claimsubtype"),
    hl7!("ex-diagnosis-on-admission"),
    hl7!("ex-diagnosisrelatedgroup"),
    hl7!("ex-diagnosistype"),
    hl7!("ex-paymenttype"),
    hl7!("ex-procedure-type"),
    hl7!("ex-revenue-center"),
    hl7!("ex-serviceplace"),
    hl7!("flag-category"),
    ("geolocation", "http://hl7.org/fhir/StructureDefinition/geolocation"),
    hl7!("goal-achievement"),
    hl7!("goal-category"),
    hl7!("goal-priority"),
    ("hcpcs", "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"),
    ("hsloc", "https://www.cdc.gov/nhsn/cdaportal/terminology/codesystem/hsloc.html"),
    ("icd10", "http://hl7.org/fhir/sid/icd-10"),
    ("icd10cm", "http://hl7.org/fhir/sid/icd-10-cm"),
    ("icd10pcs", "http://www.cms.gov/Medicare/Coding/ICD10"),
    ("icd9cm", "http://hl7.org/fhir/sid/icd-9-cm"),
    ("ihe-format", "http://ihe.net/fhir/ihe.formatcode.fhir/CodeSystem/formatcode"),
    hl7!("immunization-funding-source"),
    hl7!("immunization-origin"),
    hl7!("immunization-program-eligibility"),
    hl7!("insurance-plan-type"),
    ("iso3166", "urn:iso:std:iso:3166"),
    ("iso4217", "urn:iso:std:iso:4217"),
    hl7!("library-type"),
    hl7!("list-order"),
    hl7!("location-physical-type"),
    ("loinc", "http://loinc.org"),
    ("mdc", "urn:iso:std:iso:11073:10101"),
    hl7!("media-type"),
    hl7!("medication-admin-category"),
    hl7!("medication-admin-status"),
    hl7!("medication-statement-category"),
    hl7!("medicationrequest-category"),
    hl7!("medicationrequest-course-of-therapy"),
    ("ndc", "http://hl7.org/fhir/sid/ndc"),
    ("npi", "http://hl7.org/fhir/sid/us-npi"),
    ("nubc-discharge", "http://www.nubc.org/patient-discharge"),
    ("nucc", "http://nucc.org/provider-taxonomy"),
    hl7!("observation-category"),
    hl7!("observation-statistics"),
    ("odh", "http://terminology.hl7.org/CodeSystem/PHOccupationalDataForHealthODH"),
    hl7!("organization-type"),
    ("patient-birthPlace", "http://hl7.org/fhir/StructureDefinition/patient-birthPlace"),
    ("patient-mothersMaidenName", "http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName"),
    hl7!("payeetype"),
    hl7!("practitioner-role"),
    hl7!("processpriority"),
    hl7!("provenance-participant-type"),
    ("questionnaire-item-control", "http://hl7.org/fhir/questionnaire-item-control"),
    hl7!("reaction-event-certainty"),
    hl7!("reason-medication-given"),
    hl7!("referencerange-meaning"),
    ("rxnorm", "http://www.nlm.nih.gov/research/umls/rxnorm"),
    hl7!("service-category"),
    hl7!("service-type"),
    ("snomed", "http://snomed.info/sct"),
    ("sopt", "https://nahdo.org/sopt"),
    hl7!("subscriber-relationship"),
    hl7!("substance-category"),
    hl7!("supply-item-type"),
    ("ucum", "http://unitsofmeasure.org"),
    ("unii", "http://fdasis.nlm.nih.gov"),
    ("uri", "urn:ietf:rfc:3986"),
    ("us-clia", "urn:oid:2.16.840.1.113883.4.7"),
    ("us-core-careplan-category", "http://hl7.org/fhir/us/core/CodeSystem/careplan-category"),
    ("us-core-category", "http://hl7.org/fhir/us/core/CodeSystem/us-core-category"),
    ("us-core-condition-category", "http://hl7.org/fhir/us/core/CodeSystem/condition-category"),
    ("us-core-documentreference-category", "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category"),
    (
        "us-core-provenance-participant-type",
        "http://hl7.org/fhir/us/core/CodeSystem/us-core-provenance-participant-type",
    ),
    ("us-mbi", "http://hl7.org/fhir/sid/us-mbi"),
    ("us-medicare", "http://hl7.org/fhir/sid/us-medicare"),
    ("us-naic", "urn:oid:2.16.840.1.113883.6.300"),
    ("us-ssn", "http://hl7.org/fhir/sid/us-ssn"),
    hl7!("usage-context-type"),
    ("usps", "https://www.usps.com/"),
    hl7!("v2-0001"),
    hl7!("v2-0074"),
    hl7!("v2-0078"),
    hl7!("v2-0092"),
    hl7!("v2-0131"),
    hl7!("v2-0203"),
    hl7!("v2-0276"),
    hl7!("v2-0371"),
    hl7!("v2-0487"),
    hl7!("v2-0493"),
    hl7!("v2-0916"),
    hl7!("v3-ActCode"),
    hl7!("v3-ActMood"),
    hl7!("v3-ActPriority"),
    hl7!("v3-ActReason"),
    hl7!("v3-ActSite"),
    hl7!("v3-Confidentiality"),
    hl7!("v3-EntityNameUse"),
    hl7!("v3-Ethnicity"),
    hl7!("v3-MaritalStatus"),
    hl7!("v3-NullFlavor"),
    hl7!("v3-ObservationInterpretation"),
    hl7!("v3-ParticipationFunction"),
    hl7!("v3-ParticipationMode"),
    hl7!("v3-ParticipationType"),
    hl7!("v3-Race"),
    hl7!("v3-ReligiousAffiliation"),
    hl7!("v3-RoleClass"),
    hl7!("v3-RoleCode"),
    hl7!("v3-RouteOfAdministration"),
    hl7!("v3-TribalEntityUS"),
    hl7!("v3-substanceAdminSubstitution"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::id::is_absolute_uri;

    #[test]
    fn names() {
        for (alias, uri) in [
            ("loinc", Some("http://loinc.org")),
            ("ucum", Some("http://unitsofmeasure.org")),
            ("cdc-race", Some("urn:oid:2.16.840.1.113883.6.238")),
            ("v2-0203", Some("http://terminology.hl7.org/CodeSystem/v2-0203")),
            ("act-code", Some("http://terminology.hl7.org/CodeSystem/v3-ActCode")),
            ("us-core-patient", Some("http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient")),
            ("us-core-race", Some("http://hl7.org/fhir/us/core/StructureDefinition/us-core-race")),
            ("us-core-average-blood-pressure", Some(AVERAGE)),
            ("LOINC", None),
            ("us-core-nonsense", None),
            ("", None),
        ] {
            assert_eq!(builtin(alias), uri, "{alias}");
        }
    }

    const AVERAGE: &str = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-average-blood-pressure";

    #[test]
    fn each_alias_has_one_uri() {
        assert!(LISTED.is_sorted_by(|a, b| a.0 < b.0));
        let all: Vec<_> = builtins().collect();
        assert!(all.is_sorted_by(|a, b| a.0 < b.0));
        for (alias, uri) in all {
            assert_eq!(builtin(alias), Some(uri));
            assert!(is_absolute_uri(uri) && !is_absolute_uri(alias), "{alias}");
        }
    }
}
