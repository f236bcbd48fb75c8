//! Version, settings, health.

use serde_json::json;

use crate::sandbox::whmcs::action::Call;
use crate::sandbox::whmcs::reply::{Reply, error};
use crate::sandbox::whmcs::store::Store;

/// `WhmcsDetails`.
pub fn whmcs_details(_: &Store, _: &Call<'_>) -> Reply {
    Ok(json!({"whmcs": {"version": "8.13.1", "canonicalversion": "8.13.1-release.1"}}))
}

/// `GetConfigurationValue`.
pub fn get_configuration_value(_: &Store, call: &Call<'_>) -> Reply {
    let setting = call.params.text("setting").ok_or_else(error("Parameter setting is required"))?;
    let system_url = format!("{}/", call.public_url);
    let value = match setting.to_ascii_lowercase().as_str() {
        "systemurl" => system_url.as_str(),
        "companyname" => "Sandbox Telecom",
        "email" => "billing@portal.sandbox",
        "version" => "8.13.1-release.1",
        "defaultcountry" => "JP",
        "language" => "english",
        "charset" => "utf-8",
        "dateformat" => "YYYY/MM/DD",
        "taxenabled" | "sequentialinvoicenumbering" => "on",
        "taxtype" => "Exclusive",
        "allowcustomerchangeinvoicegateway" => "on",
        _ => return Err(error("Invalid name for parameter setting")()),
    };
    Ok(json!({"setting": setting, "value": value}))
}

/// `GetHealthStatus`.
pub fn get_health_status(_: &Store, _: &Call<'_>) -> Reply {
    Ok(json!({
        "checks": {
            "success": [
                {"name": "phpVersion", "type": "php", "severityLevel": "notice", "body": "Your PHP version is <strong>supported</strong>."},
                {"name": "cronTime", "type": "WHMCS", "severityLevel": "notice", "body": "The daily cron ran in the last 24 hours."},
            ],
            "warning": [
                {"name": "customTemplates", "type": "WHMCS", "severityLevel": "warning", "body": "You are using the <em>default</em> templates."},
            ],
            "danger": null,
        }
    }))
}
