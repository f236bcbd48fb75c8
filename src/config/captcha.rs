//! When people are to show that they are, and who judges.

use url::Url;

use crate::{
    config::{
        passkeys::host,
        reader::Reader,
        server::Environment,
        upstreams::{bearable, refuse_foreign},
    },
    identity::CaptchaSettings,
    upstream::{captcha, transport},
};

/// Secrets with which the vendors let everybody test, and every program pass: Turnstile's, hCaptcha's, reCAPTCHA's.
const FOR_TESTS: [&str; 3] = [
    "1x0000000000000000000000000000000AA",
    "0x0000000000000000000000000000000000000000",
    "6LeIxAcTAAAAAGG-vFI1TnRWxMZNFuojJ4WifJWe",
];

/// The service and the rule; neither where nobody is asked.
pub(super) fn read(
    env: &mut Reader<'_>,
    environment: Environment,
) -> Option<(captcha::Settings, CaptchaSettings)> {
    const URL: &str = "CAPTCHA_VERIFY_URL";
    const SECRET: &str = "CAPTCHA_SECRET";
    const SITE_KEY: &str = "CAPTCHA_SITE_KEY";
    env.section("Telling people from programs (Turnstile, hCaptcha, reCAPTCHA v2)");
    let verify_url: Option<Url> = env
        .get(URL, "address", "The whole address of the vendor's check (\"siteverify\"). Without it nobody is asked; with it the next two are required.")
        .example("https://hcaptcha.com/siteverify")
        .optional_address();
    if let Some(url) = &verify_url {
        refuse_foreign(env, URL, url, environment);
    }
    let secret = env
        .get(SECRET, "text", "The secret that belongs to the key of the widget.")
        .example("<the secret shown beside the site key>")
        .secret()
        .optional();
    if environment == Environment::Production
        && secret.as_deref().is_some_and(|secret| FOR_TESTS.contains(&secret))
    {
        env.refuse(SECRET, "is the vendor's for tests, with which every program passes");
    }
    let site_key = env
        .get(
            SITE_KEY,
            "text",
            "The key of the widget. Frontends read it in the graph (`captcha { siteKey }`).",
        )
        .example("<the site key shown for the domain>")
        .optional();
    let hostnames = env
        .get(
            "CAPTCHA_HOSTNAMES",
            "list of hosts",
            "Hosts of the pages on which it may be solved; any that the vendor lets use the key when it is empty.",
        )
        .example("portal.example.jp")
        .list("", |text| {
            let name = text.to_ascii_lowercase();
            let is_host = host(&format!("https://{name}")).as_deref() == Some(&name);
            if is_host { Ok(name) } else { Err(format!("{text:?} is not the name of a host, such as portal.example.jp")) }
        });
    let after = env
        .get(
            "LOGIN_CAPTCHA_AFTER_ATTEMPTS",
            "wrong passwords",
            "Wrong passwords of an account or a device, within LOGIN_RATE_LIMIT_TTL, after which a sign-in asks for it; a network address may have AUTH_PEOPLE_PER_ADDRESS times as many.",
        )
        .number(3, 1..=1_000);
    let is_always_on = env
        .get(
            "AUTH_CAPTCHA_ALWAYS_ON",
            "true or false",
            "Whether it is asked of everybody who types a password, signs up, forgot the password, or asks for a check of an address as a guest.",
        )
        .flag(false);
    for name in [SECRET, SITE_KEY] {
        match (env.is_set(URL), env.is_set(name)) {
            (true, false) => env.refuse(name, format!("is missing, but {URL} is set")),
            (false, true) => env.refuse(URL, format!("is missing, but {name} is set")),
            _ => {}
        }
    }
    if is_always_on && !env.is_set(URL) {
        env.refuse(URL, "is missing, but AUTH_CAPTCHA_ALWAYS_ON is true");
    }
    let transport = bearable(env, "CAPTCHA", transport::Settings::captcha());
    let ((verify_url, secret), site_key) = verify_url.zip(secret).zip(site_key)?;
    let service = captcha::Settings { verify_url, secret: secret.into(), transport };
    Some((service, CaptchaSettings { site_key, is_always_on, after, hostnames }))
}
