-- Foreign keys and the indexes a reporting database has; run after the rows are in.
SET search_path = synthea;

ALTER TABLE providers ADD FOREIGN KEY (organization) REFERENCES organizations;
ALTER TABLE encounters ADD FOREIGN KEY (patient) REFERENCES patients,
  ADD FOREIGN KEY (organization) REFERENCES organizations,
  ADD FOREIGN KEY (provider) REFERENCES providers, ADD FOREIGN KEY (payer) REFERENCES payers;
DO $$ DECLARE t text; BEGIN
  FOREACH t IN ARRAY ARRAY['conditions','allergies','careplans','medications','observations','procedures',
      'immunizations','devices','imaging_studies','supplies','diagnostic_reports','clinical_notes'] LOOP
    EXECUTE format('ALTER TABLE synthea.%I ADD FOREIGN KEY (patient) REFERENCES synthea.patients,
      ADD FOREIGN KEY (encounter) REFERENCES synthea.encounters', t);
    EXECUTE format('CREATE INDEX ON synthea.%I (patient)', t);
    EXECUTE format('CREATE INDEX ON synthea.%I (encounter)', t);
    EXECUTE format('CREATE INDEX ON synthea.%I (updated_at)', t);
  END LOOP;
END $$;
ALTER TABLE medications ADD FOREIGN KEY (payer) REFERENCES payers;
ALTER TABLE clinical_notes ADD FOREIGN KEY (provider) REFERENCES providers;
ALTER TABLE payer_transitions ADD FOREIGN KEY (patient) REFERENCES patients,
  ADD FOREIGN KEY (payer) REFERENCES payers, ADD FOREIGN KEY (secondary_payer) REFERENCES payers;
ALTER TABLE patient_contacts ADD FOREIGN KEY (patient) REFERENCES patients;
ALTER TABLE diagnostic_report_results ADD FOREIGN KEY (report) REFERENCES diagnostic_reports;
ALTER TABLE claims ADD FOREIGN KEY (patientid) REFERENCES patients,
  ADD FOREIGN KEY (providerid) REFERENCES providers, ADD FOREIGN KEY (appointmentid) REFERENCES encounters,
  ADD FOREIGN KEY (primarypatientinsuranceid) REFERENCES payers,
  ADD FOREIGN KEY (secondarypatientinsuranceid) REFERENCES payers;
ALTER TABLE claims_transactions ADD FOREIGN KEY (claimid) REFERENCES claims,
  ADD FOREIGN KEY (patientid) REFERENCES patients, ADD FOREIGN KEY (appointmentid) REFERENCES encounters,
  ADD FOREIGN KEY (placeofservice) REFERENCES organizations;

CREATE INDEX ON organizations (updated_at);
CREATE INDEX ON payers (updated_at);
CREATE INDEX ON providers (organization);
CREATE INDEX ON providers (updated_at);
CREATE INDEX ON patients (updated_at);
CREATE INDEX ON patient_contacts (updated_at);
CREATE INDEX ON patients (last, first);
CREATE INDEX ON encounters (patient, start);
CREATE INDEX ON encounters (updated_at);
CREATE INDEX ON observations (patient, date);
CREATE INDEX ON observations (code);
CREATE INDEX ON payer_transitions (patient);
CREATE INDEX ON payer_transitions (updated_at);
CREATE INDEX ON claims (patientid);
CREATE INDEX ON claims (appointmentid);
CREATE INDEX ON claims (updated_at);
CREATE INDEX ON claims_transactions (claimid);
CREATE INDEX ON claims_transactions (patientid);
ALTER TABLE cohort_members ADD FOREIGN KEY (cohort) REFERENCES cohorts, ADD FOREIGN KEY (patient) REFERENCES patients,
  ADD FOREIGN KEY (member_cohort) REFERENCES cohorts;
CREATE INDEX ON cohort_members (cohort);
CREATE INDEX ON cohort_members (patient);
