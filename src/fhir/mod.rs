//! Words of FHIR R4.
