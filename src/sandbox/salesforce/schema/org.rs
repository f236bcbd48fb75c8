//! The organisation, its users, queues and record types.

use crate::sandbox::salesforce::schema::{
    Draft, Home,
    field::{boolean, email, picklist, reference, text},
};

/// Organization.
pub(crate) fn organization() -> Draft {
    Draft::new(["Organization", "Organization", "Organizations", "00D"], Home::Shared).read_only().fields([
        text("Name", 80),
        boolean("IsSandbox"),
        text("InstanceName", 5),
        text("OrganizationType", 40).label("Edition"),
        text("TimeZoneSidKey", 40),
        text("LanguageLocaleKey", 40),
        text("DefaultLocaleSidKey", 40),
        text("Country", 80),
    ])
}

/// User.
pub(crate) fn user() -> Draft {
    Draft::new(["User", "User", "People", "005"], Home::Shared).read_only().fields([
        text("Username", 80).unique(),
        text("Name", 121).label("Full Name"),
        text("FirstName", 40),
        text("LastName", 80),
        email("Email"),
        text("Alias", 8),
        boolean("IsActive").label("Active"),
        picklist("UserType", &["Standard", "AutomatedProcess"]),
        text("TimeZoneSidKey", 40),
        text("LocaleSidKey", 40),
        text("LanguageLocaleKey", 40),
    ])
}

/// Group: queues of cases.
pub(crate) fn group() -> Draft {
    Draft::new(["Group", "Group", "Groups", "00G"], Home::Shared).read_only().fields([
        text("Name", 40),
        text("DeveloperName", 80),
        picklist("Type", &["Queue", "Regular"]),
        reference("OwnerId", "Owner", &["User"]),
    ])
}

/// RecordType.
pub(crate) fn record_type() -> Draft {
    Draft::new(["RecordType", "Record Type", "Record Types", "012"], Home::Shared).read_only().fields([
        text("Name", 80),
        text("DeveloperName", 80),
        text("SobjectType", 40),
        boolean("IsActive").label("Active"),
        boolean("IsPersonType"),
    ])
}
