//! The client of the CRM, Salesforce: its REST interface, spoken sparingly.

pub mod soql;
