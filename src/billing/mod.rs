//! Clients, invoices, payment methods and services: what the billing system knows.
