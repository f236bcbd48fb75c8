//! Passwords: checking one, and asking for a new one.

use serde_json::{Value, json};

use crate::sandbox::whmcs::action::Call;
use crate::sandbox::whmcs::reply::{Reply, error, refuse};
use crate::sandbox::whmcs::store::Store;

/// `ValidateLogin`. With a second factor the password alone proves nothing, and no token is given.
pub fn validate_login(store: &mut Store, call: &Call<'_>) -> Reply {
    let wrong = error("Email or Password Invalid");
    let (email, password) = (call.params.text("email"), call.params.sent("password2"));
    let user = email.and_then(|email| store.user_by_email(email));
    let user = user.filter(|user| password == Some(user.password.as_str())).map(|user| user.into_owned());
    let user = user.ok_or_else(wrong)?;
    let now = store.now();
    if let Some(row) = store.user_mut(user.id) {
        row.last_login = Some(now);
    }
    let owned = store.owned_by(user.id);
    for client in &owned {
        if let Some(account) = store.account_mut(*client) {
            account.client.last_login = Some(now);
        }
    }
    let id = if call.dialect.legacy { owned.first().copied().unwrap_or(user.id) } else { user.id };
    let mut answer = json!({"userid": id, "twoFactorEnabled": user.second_factor});
    if let (false, Value::Object(fields)) = (user.second_factor, &mut answer) {
        fields.insert("passwordhash".to_owned(), uuid::Uuid::new_v4().simple().to_string().into());
        store.fire("UserLogin", json!({"user": {"id": user.id}}));
    }
    Ok(answer)
}

/// `ResetPassword`: mails a link to the user.
pub fn reset_password(store: &mut Store, call: &Call<'_>) -> Reply {
    let params = call.params;
    let user = match (params.id("id"), params.text("email")) {
        (Some(id), _) => store.user(id),
        (None, Some(email)) if !is_email(email) => return refuse("Please provide a valid email address"),
        (None, Some(email)) => store.user_by_email(email),
        (None, None) => return refuse("Please enter the email address or provide the id"),
    };
    let user = user.map(|user| user.id).ok_or_else(error("User Not Found"))?;
    if let Some(client) = store.owned_by(user).first().copied() {
        store.mail(client, "Password Reset Validation", "Follow the link to choose a new password.");
    }
    Ok(json!({}))
}

/// Whether a text looks like an e-mail address.
pub fn is_email(text: &str) -> bool {
    let Some((name, host)) = text.rsplit_once('@') else { return false };
    let plain = |part: &str| !part.is_empty() && !part.contains([' ', '@', ',', ';', '<', '>']);
    plain(name) && plain(host) && host.contains('.') && !host.starts_with('.') && !host.ends_with('.')
}
