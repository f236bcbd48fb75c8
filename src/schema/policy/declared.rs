//! The table: who may ask which field. A line names a field with its arguments, or all fields of a type (`Type.*`); a field's
//! own line goes before that of its type. A field that takes arguments has a line of its own, so that a new argument is
//! looked at.
//!
//! What is written into an argument (the fields of inputs) is as its field: an input has no life of its own.

use super::Access;
use crate::identity::Scope;

use Access::{Anybody, Customer, ForCustomer, Given, Partner, People, Scoped, Viewer};

const PROFILE: Access = Scoped(Scope::ProfileRead);
const SERVICES: Access = Scoped(Scope::ServicesRead);
const BILLING: Access = Scoped(Scope::BillingRead);
const LINES: Access = Scoped(Scope::LinesRead);
const ORDERS: Access = Scoped(Scope::OrdersRead);
const CASES: Access = Scoped(Scope::CasesRead);
const NOTIFICATIONS: Access = Scoped(Scope::NotificationsRead);

/// A line of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    /// `Type.field`, or `Type.*`.
    pub(super) name: &'static str,
    /// The arguments, with commas between.
    #[cfg_attr(not(test), expect(dead_code, reason = "compared with the schema by a test"))]
    pub(super) arguments: &'static str,
    pub(super) access: Access,
}

/// Every line.
pub(super) fn lines() -> impl Iterator<Item = Line> {
    LINES_OF_ALL.iter().flat_map(|lines| lines.iter()).map(|(text, access)| {
        let (name, rest) = text.split_once('(').unwrap_or((*text, ""));
        Line { name, arguments: rest.trim_end_matches(')'), access: *access }
    })
}

type Lines = &'static [(&'static str, Access)];

const LINES_OF_ALL: &[Lines] =
    &[OPERATIONS, VIEWER, BILLED, MOBILE, ORDERED, SUPPORT, BELL, ACCOUNT, PARTNER, PAYLOADS, PLAIN];

const OPERATIONS: Lines = &[
    ("Query.viewer", Viewer),
    ("Query.partner", Partner),
    ("Query.signInHandOff", People),
    ("Query.captcha", People),
    // Each of them asks for the scope of what it finds, too.
    ("Query.node(id)", ForCustomer),
    ("Query.nodes(ids)", ForCustomer),
    ("Query.postalLookup(code)", Anybody),
    // Signing in and up.
    ("Mutation.sessionCreate(input)", People),
    ("Mutation.sessionVerify(input)", People),
    ("Mutation.sessionCodeResend(input)", People),
    ("Mutation.sessionRefresh(input)", People),
    // Without a session it says that none was ended.
    ("Mutation.sessionEnd", People),
    ("Mutation.signUpBegin(input)", People),
    ("Mutation.signUpResend(input)", People),
    ("Mutation.signUpVerify(input)", People),
    ("Mutation.signUpVerifyByBilling(input)", People),
    ("Mutation.signUpResume(input)", People),
    ("Mutation.signUpComplete(input)", People),
    ("Mutation.accountLink(input)", People),
    ("Mutation.availabilityRequest(input)", People),
    ("Mutation.passwordResetRequest(input)", People),
    ("Mutation.passwordReset(input)", People),
    ("Mutation.passkeySignInBegin", People),
    ("Mutation.passkeySignInFinish(input)", People),
    // The account and how it is entered.
    ("Mutation.passwordChange(input)", Customer),
    ("Mutation.sessionRevoke(input)", Customer),
    ("Mutation.sessionRevokeOthers", Customer),
    ("Mutation.deviceRevoke(input)", Customer),
    ("Mutation.passkeyRegistrationBegin", Customer),
    ("Mutation.passkeyRegistrationFinish(input)", Customer),
    ("Mutation.passkeyRename(input)", Customer),
    ("Mutation.passkeyRemove(input)", Customer),
    ("Mutation.stepUpBegin", Customer),
    ("Mutation.stepUpCodeSend", Customer),
    ("Mutation.stepUp(input)", Customer),
    ("Mutation.totpEnrolBegin", Customer),
    ("Mutation.totpEnrolFinish(input)", Customer),
    ("Mutation.totpRemove", Customer),
    ("Mutation.recoveryCodesRegenerate", Customer),
    ("Mutation.profileUpdate(input)", Customer),
    ("Mutation.addressUpdate(input)", Customer),
    ("Mutation.emailChangeBegin(input)", Customer),
    ("Mutation.emailChangeResend(input)", Customer),
    ("Mutation.emailChangeFinish(input)", Customer),
    ("Mutation.dataExportRequest", Customer),
    ("Mutation.accountEraseBegin", Customer),
    ("Mutation.accountErase(input)", Customer),
    ("Mutation.grantCreate(input)", Customer),
    ("Mutation.grantRevoke(input)", Customer),
    // What a person has read.
    ("Mutation.notificationMarkRead(input)", Customer),
    ("Mutation.notificationMarkAllRead", Customer),
    ("Mutation.notificationDismiss(input)", Customer),
    ("LiveUpdates.orderUpdated(id)", ORDERS),
    ("LiveUpdates.invoiceUpdated(id)", BILLING),
    ("LiveUpdates.caseUpdated(id)", CASES),
    ("LiveUpdates.lineUpdated", LINES),
    ("LiveUpdates.notificationReceived", NOTIFICATIONS),
    // It tells of everything at once.
    ("LiveUpdates.accountChanged", Customer),
];

const VIEWER: Lines = &[
    ("Viewer.secondFactors", Customer),
    ("Viewer.id", ForCustomer),
    ("Viewer.summary", ForCustomer),
    ("Viewer.profile", PROFILE),
    ("Viewer.subscriptions(first, after, filter, sort)", SERVICES),
    ("Viewer.invoices(first, after, filter, sort)", BILLING),
    ("Viewer.paymentMethods", BILLING),
    ("Viewer.orders(first, after, filter)", ORDERS),
    ("Viewer.cases(first, after, filter, sort)", CASES),
    ("Viewer.notifications(first, after)", NOTIFICATIONS),
    ("Viewer.sessions", Customer),
    ("Viewer.devices", Customer),
    ("Viewer.signIns(first, after)", Customer),
    ("Viewer.passkeys", Customer),
    ("Viewer.dataExports", Customer),
    ("Viewer.grants", Customer),
    ("Viewer.partnerConsent(clientId, scopes, language)", Customer),
    ("Summary.activeSubscriptions", SERVICES),
    ("Summary.nextRenewalOn", SERVICES),
    ("Summary.unpaidInvoices", BILLING),
    ("Summary.overdueInvoices", BILLING),
    ("Summary.amountDue", BILLING),
    ("Summary.nextInvoice", BILLING),
    ("Summary.openOrders", ORDERS),
    ("Summary.openCases", CASES),
    ("Profile.*", PROFILE),
    ("Address.*", PROFILE),
    ("JapaneseAddress.*", PROFILE),
    ("AccountChanged.*", Customer),
];

const BILLED: Lines = &[
    ("SubscriptionConnection.*", SERVICES),
    ("SubscriptionEdge.*", SERVICES),
    ("Subscription.*", SERVICES),
    // An edge asks for the scope of what it leads to: that there is something tells, too.
    ("Subscription.line", LINES),
    ("Subscription.order", ORDERS),
    ("Subscription.invoices(first)", BILLING),
    ("InvoiceConnection.*", BILLING),
    ("InvoiceEdge.*", BILLING),
    ("InvoiceTotals.*", BILLING),
    ("Invoice.*", BILLING),
    ("InvoiceLine.*", BILLING),
    ("InvoiceLine.subscription", SERVICES),
    ("InvoiceUpdated.*", BILLING),
    ("PaymentMethod.*", BILLING),
];

const MOBILE: Lines = &[
    ("Line.*", LINES),
    ("LineState.*", LINES),
    ("VoiceOptions.*", LINES),
    ("Usage.*", LINES),
    ("DayUsage.*", LINES),
    ("QuotaAddition.*", LINES),
    ("LineUpdated.*", LINES),
];

const ORDERED: Lines = &[
    ("OrderConnection.*", ORDERS),
    ("OrderEdge.*", ORDERS),
    ("Order.*", ORDERS),
    ("Order.subscriptions", SERVICES),
    ("OrderLine.*", ORDERS),
    ("OrderLine.subscription", SERVICES),
    ("OrderAddress.*", ORDERS),
    ("OrderUpdated.*", ORDERS),
];

const SUPPORT: Lines = &[
    ("CaseConnection.*", CASES),
    ("CaseCounts.*", CASES),
    ("CaseEdge.*", CASES),
    ("Case.*", CASES),
    ("Case.subscription", SERVICES),
    ("CaseMessage.*", CASES),
    ("CaseUpdated.*", CASES),
];

const BELL: Lines = &[
    ("NotificationConnection.*", NOTIFICATIONS),
    ("NotificationEdge.*", NOTIFICATIONS),
    ("Notification.*", NOTIFICATIONS),
    ("NotificationReceived.*", NOTIFICATIONS),
];

const ACCOUNT: Lines = &[
    ("SecondFactors.*", Customer),
    ("Totp.*", Customer),
    ("TotpEnrolment.*", Customer),
    ("ActiveSession.*", Customer),
    ("Device.*", Customer),
    ("SignInConnection.*", Customer),
    ("SignInEdge.*", Customer),
    ("SignIn.*", Customer),
    ("Passkey.*", Customer),
    ("DataExport.*", Customer),
    ("EmailChangeChallenge.*", Customer),
    ("EmailChangeCode.*", Customer),
    ("ErasurePart.*", Customer),
    ("PartnerGrant.*", Customer),
    ("PartnerConsent.*", Customer),
    ("PartnerScope.*", Customer),
];

/// What a partner sees of itself.
const PARTNER: Lines = &[
    ("Partner.*", Partner),
    ("Partner.customers(first, after)", Partner),
    ("Partner.usage(days)", Partner),
    ("PartnerBudget.*", Partner),
    ("PartnerUsage.*", Partner),
    ("PartnerCustomerConnection.*", Partner),
    ("PartnerCustomerEdge.*", Partner),
    ("PartnerCustomer.*", Partner),
];

/// What mutations answer: never a partner's, as the mutations are not.
const PAYLOADS: Lines = &[
    ("TotpEnrolBeginPayload.*", Customer),
    ("TotpEnrolFinishPayload.*", Customer),
    ("TotpRemovePayload.*", Customer),
    ("RecoveryCodesRegeneratePayload.*", Customer),
    ("Session.*", People),
    ("SessionChallenge.*", People),
    ("SessionCreatePayload.*", People),
    ("SessionVerifyPayload.*", People),
    ("SessionCodeResendPayload.*", People),
    ("SessionRefreshPayload.*", People),
    ("SessionEndPayload.*", People),
    ("SignInHandOff.*", People),
    ("Captcha.*", People),
    ("SignUpBeginPayload.*", People),
    ("SignUpChallenge.*", People),
    ("SignUpCompletePayload.*", People),
    ("SignUpHandOff.*", People),
    ("SignUpPrefill.*", People),
    ("SignUpRouting.*", People),
    ("SignUpVerification.*", People),
    ("SignUpVerifyPayload.*", People),
    ("AvailabilityRequestPayload.*", People),
    ("PasswordResetRequestPayload.*", People),
    ("PasswordResetPayload.*", People),
    ("PasskeySignInBeginPayload.*", People),
    ("PasskeySignInFinishPayload.*", People),
    ("PasswordChangePayload.*", Customer),
    ("SessionRevokePayload.*", Customer),
    ("SessionRevokeOthersPayload.*", Customer),
    ("DeviceRevokePayload.*", Customer),
    ("PasskeyRegistrationBeginPayload.*", Customer),
    ("PasskeyRegistrationFinishPayload.*", Customer),
    ("PasskeyRenamePayload.*", Customer),
    ("PasskeyRemovePayload.*", Customer),
    ("StepUpBeginPayload.*", Customer),
    ("StepUpCodeSendPayload.*", Customer),
    ("StepUpPayload.*", Customer),
    ("GrantCreatePayload.*", Customer),
    ("GrantRevokePayload.*", Customer),
    ("ProfileUpdatePayload.*", Customer),
    ("EmailChangeBeginPayload.*", Customer),
    ("EmailChangeResendPayload.*", Customer),
    ("EmailChangeFinishPayload.*", Customer),
    ("DataExportRequestPayload.*", Customer),
    ("AccountEraseBeginPayload.*", Customer),
    ("AccountErasePayload.*", Customer),
    ("NotificationMarkReadPayload.*", Customer),
    ("NotificationMarkAllReadPayload.*", Customer),
    ("NotificationDismissPayload.*", Customer),
];

/// What many others are made of.
const PLAIN: Lines = &[
    // `node` and `nodes` look at the scope of what they find.
    ("Node.*", Given),
    ("Money.*", Given),
    ("PageInfo.*", Given),
    ("UserErrorNode.*", Given),
    ("PostalAddress.*", Anybody),
    ("AddressForm.*", Anybody),
    ("PlaceName.*", Anybody),
];
