//! What is kept of where a sign-in came from: the kind of program, browser and system, and the network. No finer.

use std::net::IpAddr;

use uuid::Uuid;

use crate::{
    error::{Error, Result},
    identity::{Context, Inner},
    seal::Place,
};

/// Marks of browsers in a `User-Agent`, the narrower before the wider: most of them claim to be several.
const BROWSERS: [(&str, &str); 9] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];
/// The same of systems.
const SYSTEMS: [(&str, &str); 8] = [
    ("Windows", "Windows"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Macintosh", "macOS"),
    ("Darwin", "Apple"),
    ("Linux", "Linux"),
];

/// Where a sign-in came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// `browser`, `app` or `other`.
    pub(super) kind: &'static str,
    /// Browser and system, such as `Firefox, Windows`; empty when neither is known.
    pub(super) name: String,
    /// `192.0.2.0/24`, or `2001:db8:1::/48`.
    pub(super) network: Option<String>,
}

impl Origin {
    pub(super) fn of(from: &Context) -> Self {
        let agent = from.user_agent.as_deref().unwrap_or_default();
        let among = |marks: &[(&str, &'static str)]| {
            marks.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name)
        };
        let parts: Vec<_> = [among(&BROWSERS), among(&SYSTEMS)].into_iter().flatten().collect();
        Self { kind: user_agent_class(agent), name: parts.join(", "), network: from.address.map(network) }
    }
}

/// What kind of program a `User-Agent` names: `browser`, `app` or `other`.
pub(super) fn user_agent_class(agent: &str) -> &'static str {
    if agent.contains("Mozilla/") {
        "browser"
    } else if ["okhttp", "CFNetwork", "Dart"].iter().any(|name| agent.contains(name)) {
        "app"
    } else {
        "other"
    }
}

fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            format!("{}/48", std::net::Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
    }
}

impl Inner {
    /// Seals the network of a row.
    pub(super) fn seal_network(
        &self,
        table: &'static str,
        row: Uuid,
        origin: &Origin,
    ) -> Result<Option<Vec<u8>>> {
        let place = Place { table, column: "network", row: row.as_bytes() };
        let seal = |network: &String| self.seals.seal(place, network.as_bytes()).map_err(Error::internal);
        origin.network.as_ref().map(seal).transpose()
    }

    /// Opens the network of a row.
    pub(super) fn open_network(
        &self,
        table: &'static str,
        row: Uuid,
        sealed: Option<&[u8]>,
    ) -> Result<Option<String>> {
        let place = Place { table, column: "network", row: row.as_bytes() };
        let open = |sealed: &[u8]| {
            let plain = self.seals.open(place, sealed).map_err(Error::internal)?;
            String::from_utf8(plain).map_err(|_| Error::internal("a sealed network is none"))
        };
        sealed.map(open).transpose()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn of(agent: &str, address: &str) -> Origin {
        Origin::of(&Context {
            address: Some(address.parse().unwrap()),
            user_agent: Some(agent.to_owned()),
            ..Context::default()
        })
    }

    #[test]
    fn a_program_is_known_by_its_browser_and_system() {
        let mozilla = "Mozilla/5.0";
        for (agent, kind, name) in [
            (
                format!("{mozilla} (Windows NT 10.0) AppleWebKit/537.36 Chrome/143.0 Safari/537.36"),
                "browser",
                "Chrome, Windows",
            ),
            (
                format!("{mozilla} (Windows NT 10.0) Chrome/143.0 Safari/537.36 Edg/143.0"),
                "browser",
                "Edge, Windows",
            ),
            (
                format!("{mozilla} (Macintosh; Intel Mac OS X 10_15) Version/26.1 Safari/605.1.15"),
                "browser",
                "Safari, macOS",
            ),
            (
                format!("{mozilla} (iPhone; CPU iPhone OS 19_1 like Mac OS X) Version/26.1 Safari/604.1"),
                "browser",
                "Safari, iPhone",
            ),
            (
                format!("{mozilla} (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"),
                "browser",
                "Firefox, Linux",
            ),
            (
                format!("{mozilla} (Linux; Android 16; Pixel 9) Chrome/143.0 Mobile Safari/537.36"),
                "browser",
                "Chrome, Android",
            ),
            ("okhttp/5.0".to_owned(), "app", ""),
            ("Portal/3 CFNetwork/3826 Darwin/25.1".to_owned(), "app", "Apple"),
            ("curl/8.9".to_owned(), "other", ""),
        ] {
            let origin = of(&agent, "192.0.2.77");
            assert_eq!((origin.kind, origin.name.as_str()), (kind, name), "{agent}");
        }
    }

    #[test]
    fn of_an_address_its_network_is_kept() {
        assert_eq!(of("", "192.0.2.77").network.unwrap(), "192.0.2.0/24");
        assert_eq!(of("", "::ffff:192.0.2.77").network.unwrap(), "192.0.2.0/24");
        assert_eq!(of("", "2001:db8:1:2::3").network.unwrap(), "2001:db8:1::/48");
    }
}
