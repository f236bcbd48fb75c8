//! The actions by name.

use crate::sandbox::whmcs::dialect::Dialect;
use crate::sandbox::whmcs::params::Params;
use crate::sandbox::whmcs::reply::Reply;
use crate::sandbox::whmcs::store::Store;
use crate::sandbox::whmcs::{
    catalogue, client_edit, clients, contacts, credits, emails, invoice_edit, invoices, login, modules,
    order_edit, orders, pay_methods, payments, service_edit, services, sso, stats, system, transactions,
    upgrades, user_edit, users,
};

/// What an action is given.
pub struct Call<'a> {
    pub params: &'a Params,
    pub dialect: &'a Dialect,
    /// The system URL, without a slash at the end.
    pub public_url: &'a str,
    /// Whether a member of the staff does it in the admin area, and not a program through the API.
    pub is_staff: bool,
}

/// An action's code.
#[derive(Clone, Copy)]
pub enum Run {
    Read(fn(&Store, &Call<'_>) -> Reply),
    Write(fn(&mut Store, &Call<'_>) -> Reply),
}

/// An action.
pub struct Action {
    /// Its name as documented.
    pub name: &'static str,
    pub run: Run,
}

/// The action with a name, without regard to case.
pub fn find(name: &str) -> Option<&'static Action> {
    ACTIONS.iter().find(|action| action.name.eq_ignore_ascii_case(name))
}

const fn read(name: &'static str, run: fn(&Store, &Call<'_>) -> Reply) -> Action {
    Action { name, run: Run::Read(run) }
}

const fn write(name: &'static str, run: fn(&mut Store, &Call<'_>) -> Reply) -> Action {
    Action { name, run: Run::Write(run) }
}

/// Every action that is implemented.
pub static ACTIONS: &[Action] = &[
    read("GetClients", clients::get_clients),
    read("GetClientsDetails", clients::get_clients_details),
    read("GetClientGroups", clients::get_client_groups),
    write("AddClient", client_edit::add_client),
    write("UpdateClient", client_edit::update_client),
    write("CloseClient", client_edit::close_client),
    write("DeleteClient", client_edit::delete_client),
    read("GetContacts", contacts::get_contacts),
    write("AddContact", contacts::add_contact),
    write("UpdateContact", contacts::update_contact),
    write("DeleteContact", contacts::delete_contact),
    write("ValidateLogin", login::validate_login),
    write("ResetPassword", login::reset_password),
    write("CreateSsoToken", sso::create_sso_token),
    read("GetUsers", users::get_users),
    write("AddUser", user_edit::add_user),
    write("UpdateUser", user_edit::update_user),
    read("GetPermissionsList", users::get_permissions_list),
    read("GetUserPermissions", users::get_user_permissions),
    write("UpdateUserPermissions", user_edit::update_user_permissions),
    write("CreateClientInvite", user_edit::create_client_invite),
    write("DeleteUserClient", user_edit::delete_user_client),
    read("GetClientsProducts", services::get_clients_products),
    read("GetClientsAddons", services::get_clients_addons),
    read("GetClientsDomains", services::get_clients_domains),
    read("GetCancelledPackages", services::get_cancelled_packages),
    write("UpdateClientProduct", service_edit::update_client_product),
    write("AddCancelRequest", service_edit::add_cancel_request),
    write("UpgradeProduct", upgrades::upgrade_product),
    write("ModuleCreate", modules::create),
    write("ModuleSuspend", modules::suspend),
    write("ModuleUnsuspend", modules::unsuspend),
    write("ModuleTerminate", modules::terminate),
    write("ModuleChangePw", modules::change_password),
    write("ModuleChangePackage", modules::change_package),
    write("ModuleCustom", modules::custom),
    read("GetProducts", catalogue::get_products),
    read("GetCurrencies", catalogue::get_currencies),
    read("GetPaymentMethods", catalogue::get_payment_methods),
    read("WhmcsDetails", system::whmcs_details),
    read("GetConfigurationValue", system::get_configuration_value),
    read("GetOrderStatuses", orders::get_order_statuses),
    read("GetHealthStatus", system::get_health_status),
    read("GetStats", stats::get_stats),
    write("AddOrder", order_edit::add_order),
    write("AcceptOrder", order_edit::accept_order),
    write("CancelOrder", order_edit::cancel_order),
    write("FraudOrder", order_edit::fraud_order),
    write("PendingOrder", order_edit::pending_order),
    write("DeleteOrder", order_edit::delete_order),
    read("GetOrders", orders::get_orders),
    read("GetInvoices", invoices::get_invoices),
    read("GetInvoice", invoices::get_invoice),
    write("CreateInvoice", invoice_edit::create_invoice),
    write("UpdateInvoice", invoice_edit::update_invoice),
    write("AddInvoicePayment", payments::add_invoice_payment),
    write("CapturePayment", payments::capture_payment),
    read("GetTransactions", transactions::get_transactions),
    write("AddTransaction", transactions::add_transaction),
    write("UpdateTransaction", transactions::update_transaction),
    read("GetPayMethods", pay_methods::get_pay_methods),
    write("AddPayMethod", pay_methods::add_pay_method),
    write("UpdatePayMethod", pay_methods::update_pay_method),
    write("DeletePayMethod", pay_methods::delete_pay_method),
    read("GetCredits", credits::get_credits),
    write("AddCredit", credits::add_credit),
    write("ApplyCredit", credits::apply_credit),
    read("GetEmails", emails::get_emails),
    write("SendEmail", emails::send_email),
];
