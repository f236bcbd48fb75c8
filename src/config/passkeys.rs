//! For which site passkeys are.
//!
//! A browser names the page's origin, and lets a page use only the passkeys of its own domain or of one above it. So the
//! defaults follow the pages: those of `CORS_ORIGIN`, and the gateway's own.

use url::Url;

use crate::{
    config::{reader::Reader, server::Server},
    identity::PasskeySettings,
};

pub(super) fn read(env: &mut Reader<'_>, server: &Server) -> PasskeySettings {
    let own = Url::parse(&server.public_url).map(|url| url.origin().ascii_serialization());
    let pages: Vec<_> = server.cors_origins.iter().cloned().chain(own.ok()).collect();
    let default = pages.first().and_then(|page| host(page)).unwrap_or_default();
    let rp_id = env
        .get("AUTH_PASSKEY_DOMAIN", "domain", "The domain to which passkeys belong: that of the portal's pages, or one above it; that of the first CORS_ORIGIN, or of PUBLIC_URL, when it is not set. Another domain makes all passkeys worthless.")
        .example("example.jp")
        .parse(|text| {
            let is_domain = host(&format!("https://{text}")).as_deref() == Some(text);
            if is_domain { Ok(text.to_owned()) } else { Err("must be a domain, in small letters".to_owned()) }
        })
        .unwrap_or(default);
    let mut origins: Vec<_> =
        pages.into_iter().filter(|page| host(page).is_some_and(|host| is_within(&host, &rp_id))).collect();
    if origins.is_empty() {
        env.refuse(
            "AUTH_PASSKEY_DOMAIN",
            "must be the domain of a page of CORS_ORIGIN or of PUBLIC_URL, or one above it",
        );
    }
    origins.extend(
        env.get(
            "AUTH_PASSKEY_APPS",
            "list of origins",
            "Apps that may use passkeys, besides those pages, as their systems name them.",
        )
        .example("android:apk-key-hash:pNiP5iKyQ8JwgGOaKA1zGPUPJIS-0H1xKCQcfIoGLck")
        .list("", |text| {
            if text.contains(':') { Ok(text.to_owned()) } else { Err("must be origins of apps".to_owned()) }
        }),
    );
    PasskeySettings {
        rp_id,
        origins,
        most: env
            .get("AUTH_PASSKEYS_MOST", "passkeys", "Passkeys of one person at most.")
            .number(20, 1..=100),
    }
}

/// The host of an address. That of `https://` before a text is the text itself, if this is the name of a host and no more.
pub(super) fn host(origin: &str) -> Option<String> {
    Url::parse(origin).ok()?.host_str().map(str::to_owned)
}

/// Whether a host is a domain or lies below it.
fn is_within(host: &str, domain: &str) -> bool {
    host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn site(env: &[(&str, &str)]) -> Result<PasskeySettings, String> {
        let variable =
            |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        let mut reader = Reader::new(&variable);
        let server = Server::read(&mut reader);
        let settings = read(&mut reader, &server);
        reader.faults().first().map_or(Ok(settings), |fault| Err(fault.to_string()))
    }

    #[test]
    fn passkeys_belong_to_the_portals_pages() {
        let local = site(&[]).unwrap();
        assert_eq!(
            (local.rp_id.as_str(), &local.origins[..]),
            ("localhost", &["http://localhost:4000".to_owned()][..])
        );
        let (url, pages) = (
            ("PUBLIC_URL", "https://api.example.jp"),
            ("CORS_ORIGIN", "https://portal.example.jp,https://example.com"),
        );
        let portal = site(&[url, pages]).unwrap();
        assert_eq!(portal.rp_id, "portal.example.jp");
        assert_eq!(portal.origins, ["https://portal.example.jp"]);
        let app = "android:apk-key-hash:pNiP5iKyQ8JwgGOaKA1zGPUPJIS-0H1xKCQcfIoGLck";
        let above =
            site(&[url, pages, ("AUTH_PASSKEY_DOMAIN", "example.jp"), ("AUTH_PASSKEY_APPS", app)]).unwrap();
        assert_eq!(above.origins, ["https://portal.example.jp", "https://api.example.jp", app]);
    }

    #[test]
    fn a_domain_without_a_page_is_refused() {
        let url = ("PUBLIC_URL", "https://api.example.jp");
        for domain in [
            "example.com",
            "pi.example.jp",
            "portal.api.example.jp",
            "https://api.example.jp",
            "API.example.jp",
        ] {
            let fault = site(&[url, ("AUTH_PASSKEY_DOMAIN", domain)]).unwrap_err();
            assert!(fault.starts_with("AUTH_PASSKEY_DOMAIN: must be "), "{domain}: {fault}");
        }
    }
}
