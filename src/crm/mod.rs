//! Orders and cases: what the CRM knows.
