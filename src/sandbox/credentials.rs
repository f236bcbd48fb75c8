//! What opens the sandbox. None of it opens anything else, so it may stand in the repository.

/// WHMCS API identifier, 32 characters.
pub const WHMCS_IDENTIFIER: &str = "sandboxIdentifier000000000000001";
/// WHMCS API secret, 32 characters.
pub const WHMCS_SECRET: &str = "sandboxSecret0000000000000000001";

/// With this the emulator signs the hooks that it sends.
pub const WHMCS_WEBHOOK_SECRET: &str = "sandbox-webhook-secret-0000000001";

/// Consumer key of the Salesforce connected app: `iss` of the JWT.
pub const SALESFORCE_CLIENT_ID: &str = "3MVG9sandboxPortalGateway.ConsumerKey";
/// The Salesforce integration user: `sub` of the JWT.
pub const SALESFORCE_USERNAME: &str = "gateway@portal.sandbox";
/// Private half of the key that signs the JWT: PKCS#8 PEM, RSA of 2048 bits.
pub const SALESFORCE_PRIVATE_KEY: &str = include_str!("keys/salesforce.private.pem");
/// Public half of the key that signs the JWT: PEM.
pub const SALESFORCE_PUBLIC_KEY: &str = include_str!("keys/salesforce.public.pem");

/// Freebit partner identifier.
pub const FREEBIT_OEM_ID: &str = "SBXOEM01";
/// Freebit partner secret.
pub const FREEBIT_OEM_KEY: &str = "sandbox-oem-key-01";

/// Client of Japan Post's Digital Address API.
pub const JAPAN_POST_CLIENT_ID: &str = "sandbox-digital-address";
/// Secret of that client.
pub const JAPAN_POST_SECRET_KEY: &str = "sandbox-digital-address-secret-01";
/// The key of the widget that tells people from programs.
pub const CAPTCHA_SITE_KEY: &str = "sandbox-captcha-site-key-01";
/// The secret that belongs to it.
pub const CAPTCHA_SECRET: &str = "sandbox-captcha-secret-01";
/// The data key of a gateway over the sandbox: number 1, all zeros.
pub const DATA_KEY: &str = "1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
/// Name under which the mail server takes mails.
pub const SMTP_USER: &str = "portal";
/// The password to it.
pub const SMTP_PASSWORD: &str = "sandbox-smtp-password";

/// Password with which every seeded customer signs in to the portal in development.
pub const DEMO_PASSWORD: &str = "correct horse battery staple";

/// The device that every seeded customer trusts in development: with it, the password is enough.
pub const DEMO_DEVICE: &str = "demo-device";
