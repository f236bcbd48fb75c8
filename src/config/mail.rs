//! How mails leave, and under which name.

use lettre::Address;
use url::Url;

use crate::{
    config::{reader::Reader, server::Environment},
    mail::{self, Settings},
    secret::SecretString,
};

pub(super) fn read(env: &mut Reader<'_>, environment: Environment) -> Settings {
    env.section("Mail");
    let is_production = environment == Environment::Production;
    let url = env
        .get(
            "SMTP_URL",
            "address",
            "The mail server: smtps://user:password@host (TLS from the first byte), or smtp://user:password@host:587?tls=required (STARTTLS). Without tls it is spoken to in plaintext, in production on this machine alone. A path is the name said to the server (EHLO); the host of MAIL_FROM when there is none.",
        )
        .required("smtps://portal:password@mail.example.jp")
        .secret()
        .parse(|text| {
            let url = Url::parse(text).map_err(|_| "must be an address that begins with smtps:// or smtp://")?;
            let is_protected = mail::uses_tls(&url)?;
            if is_production && !is_protected && !url.host_str().is_some_and(is_loopback) {
                return Err("must use TLS in production: smtps://… or smtp://…?tls=required".to_owned());
            }
            Ok(SecretString::from(text))
        });
    let address = |text: &str| {
        text.parse::<Address>().map_err(|_| "must be one e-mail address, without a name".to_owned())
    };
    let from = env
        .get("MAIL_FROM", "e-mail address", "The address that mails come from.")
        .required("no-reply@portal.example.jp")
        .parse(address);
    let reply_to = env
        .get("MAIL_REPLY_TO", "e-mail address", "Where answers go; to MAIL_FROM when it is not set.")
        .example("support@example.jp")
        .parse(address);
    Settings {
        // What is given instead of a missing one is never used: the fault stops the start.
        url: url.unwrap_or_else(|| "smtp://missing.invalid".into()),
        from: from.unwrap_or_else(missing),
        reply_to,
        name: env
            .get(
                "MAIL_NAME",
                "text",
                "The name of the service in English mails: their sender, and at their end.",
            )
            .text_or("Customer Portal"),
        name_japanese: env
            .get("MAIL_NAME_JA", "text", "The same in Japanese mails.")
            .text_or("お客様ポータル"),
        timeout: env
            .get("SMTP_TIMEOUT", "duration", "How long one exchange with the mail server may take.")
            .duration("10s", "100ms", "1m"),
        connections: env
            .get("SMTP_CONNECTIONS", "connections", "Connections to the mail server at most, on one replica.")
            .number(4, 1..=100),
        attempts: env
            .get(
                "MAIL_ATTEMPTS",
                "tries",
                "Tries of one mail before it is given up; eight take about ten minutes, the life of a code.",
            )
            .number(8, 1..=100),
    }
}

#[expect(clippy::expect_used, reason = "a literal of ours")]
fn missing() -> Address {
    Address::new("missing", "missing.invalid").expect("an address")
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}
