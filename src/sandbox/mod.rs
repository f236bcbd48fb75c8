//! Emulators of the systems behind the gateway and a mail server, for development and tests.
//!
//! Each listens on its own port and speaks its vendor's protocol over plain HTTP; the gateway reaches them as it would
//! the real ones. They share a [`core::Core`]: the seeded world, a virtual clock, the journal, faults and delays. They
//! share no type with the clients, so they cannot agree with our mistakes.

pub mod admin;
mod captcha;
pub mod core;
pub mod credentials;
pub mod faults;
pub mod freebit;
pub mod japan_post;
pub mod journal;
pub mod salesforce;
pub mod smtp;
pub mod whmcs;
pub mod witness;
pub mod world;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use chrono::NaiveDate;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::sandbox::{
    core::Core,
    salesforce::{
        Org,
        pubsub::{
            self,
            tls::{CaFile, Certificates},
        },
    },
};

/// How long [`Sandbox::stop`] waits for answers that are under way (an injected hang never ends).
const PATIENCE: Duration = Duration::from_secs(1);

/// As many customers as have room in the numbers made for them.
const MOST_CUSTOMERS: u64 = 1_000_000;

/// What a sandbox is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the customers are drawn from. The same seed yields the same customers.
    pub seed: u64,
    /// How many customers: 1 to 1,000,000. Their number costs neither time nor memory.
    pub customers: u64,
    /// Answer as slowly as the real systems usually do; otherwise at once.
    pub delay: bool,
    /// Where to listen.
    pub listen: Listen,
    /// The day on which the seeded world stands, Tokyo; today unless said.
    pub today: Option<NaiveDate>,
    /// Serve Salesforce's Pub/Sub API over TLS, as the vendor does; otherwise in plaintext.
    pub pubsub_tls: bool,
    /// Where the certificate of the sandbox's authority is written, PEM; among the temporary files unless said. The
    /// file goes with the sandbox.
    pub ca_file: Option<PathBuf>,
}

/// Where the parts listen. Port 0 takes a free one.
#[derive(Clone, Copy, Debug)]
pub struct Listen {
    /// WHMCS.
    pub whmcs: SocketAddr,
    /// Salesforce.
    pub salesforce: SocketAddr,
    /// Freebit.
    pub freebit: SocketAddr,
    /// Salesforce's Pub/Sub API.
    pub pubsub: SocketAddr,
    /// Japan Post.
    pub japan_post: SocketAddr,
    /// The mail server.
    pub smtp: SocketAddr,
    /// The CAPTCHA service.
    pub captcha: SocketAddr,
    /// The admin endpoint.
    pub admin: SocketAddr,
}

impl Listen {
    /// Eight ports in a row on the loopback interface: admin, WHMCS, Salesforce, Freebit, Salesforce's Pub/Sub API, mail,
    /// Japan Post, the CAPTCHA service. From 0: any free ones.
    pub const fn loopback(first: u16) -> Self {
        const fn port(first: u16, offset: u16) -> SocketAddr {
            let port = if first == 0 { 0 } else { first + offset };
            SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
        }
        Self {
            admin: port(first, 0),
            whmcs: port(first, 1),
            salesforce: port(first, 2),
            freebit: port(first, 3),
            pubsub: port(first, 4),
            japan_post: port(first, 6),
            smtp: port(first, 5),
            captcha: port(first, 7),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 42,
            customers: 1_000,
            delay: true,
            listen: Listen::loopback(4100),
            today: None,
            pubsub_tls: true,
            ca_file: None,
        }
    }
}

/// Why a sandbox did not start. One readable line.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("the sandbox's {part} cannot listen on {address}: {source}")]
    Listen {
        /// Whose address.
        part: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// More customers, or fewer, than ids allow.
    #[error("the sandbox can hold 1 to {MOST_CUSTOMERS} customers, not {0}")]
    Customers(u64),
    /// No certificate could be made.
    #[error("the sandbox cannot make its certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The authority's certificate could not be written.
    #[error("the sandbox cannot write {}: {source}", path.display())]
    CaFile {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// A running sandbox. Dropping it closes its doors at once.
#[derive(Debug)]
pub struct Sandbox {
    core: Arc<Core>,
    billing: whmcs::Installation,
    whmcs: SocketAddr,
    salesforce: SocketAddr,
    freebit: SocketAddr,
    pubsub: SocketAddr,
    japan_post: SocketAddr,
    captcha: SocketAddr,
    smtp: SocketAddr,
    admin: SocketAddr,
    mail: Arc<smtp::Mailbox>,
    org: Arc<Org>,
    ca: Option<(String, CaFile)>,
    servers: JoinSet<()>,
    stopping: CancellationToken,
}

impl Sandbox {
    /// Starts all emulators and the admin endpoint.
    ///
    /// # Errors
    /// [`StartError::Listen`] names the first address that cannot be had; nothing is left running.
    /// [`StartError::Customers`] when there are none, or too many. [`StartError::Certificate`] and
    /// [`StartError::CaFile`] when TLS cannot be had.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        if !(1..=MOST_CUSTOMERS).contains(&options.customers) {
            return Err(StartError::Customers(options.customers));
        }
        let Listen { whmcs, salesforce, freebit, pubsub, smtp, japan_post, captcha, admin } = options.listen;
        let (whmcs_door, whmcs) = listen("WHMCS", whmcs).await?;
        let (salesforce_door, salesforce) = listen("Salesforce", salesforce).await?;
        let (freebit_door, freebit) = listen("Freebit", freebit).await?;
        let (pubsub_door, pubsub) = listen("Salesforce Pub/Sub API", pubsub).await?;
        let (japan_post_door, japan_post) = listen("Japan Post", japan_post).await?;
        let (captcha_door, captcha) = listen("CAPTCHA service", captcha).await?;
        let (smtp_door, smtp_address) = listen("mail server", smtp).await?;
        let (admin_door, admin) = listen("admin endpoint", admin).await?;
        let certificates = if options.pubsub_tls { Some(Certificates::make()?) } else { None };
        let ca = match &certificates {
            None => None,
            Some(certificates) => {
                let known =
                    || std::env::temp_dir().join(format!("portal-gateway-sandbox-{}-ca.pem", pubsub.port()));
                let path = options.ca_file.unwrap_or_else(known);
                let written = CaFile::write(&path, &certificates.ca);
                let file = written.map_err(|source| StartError::CaFile { path, source })?;
                Some((certificates.ca.clone(), file))
            }
        };

        let core = Arc::new(Core::on_day(options.today, options.seed, options.customers, options.delay));
        let stopping = CancellationToken::new();
        let mut servers = JoinSet::new();
        let mut serve = |door, router| servers.spawn(serve(door, router, stopping.clone()));
        let billing = whmcs::Installation::new(Arc::clone(&core), url(whmcs), whmcs::Settings::default());
        serve(whmcs_door, billing.router());
        let org = salesforce::organisation(Arc::clone(&core), url(salesforce));
        serve(salesforce_door, salesforce::router(Arc::clone(&org)));
        serve(freebit_door, freebit::router(Arc::clone(&core)));
        serve(japan_post_door, japan_post::router(Arc::clone(&core)));
        serve(captcha_door, captcha::router(Arc::clone(&core)));
        let mail = Arc::<smtp::Mailbox>::default();
        serve(
            admin_door,
            admin::router(Arc::clone(&core))
                .merge(salesforce::admin::router(Arc::clone(&org)))
                .merge(smtp::admin::router(Arc::clone(&mail))),
        );
        servers.spawn(smtp::serve(smtp_door, Arc::clone(&core), Arc::clone(&mail), stopping.clone()));
        servers.spawn(pubsub::door::serve(pubsub_door, Arc::clone(&org), certificates, stopping.clone()));
        Ok(Self {
            core,
            billing,
            whmcs,
            salesforce,
            freebit,
            pubsub,
            japan_post,
            captcha,
            smtp: smtp_address,
            admin,
            mail,
            org,
            ca,
            servers,
            stopping,
        })
    }

    /// Base URL of WHMCS, without a slash at the end.
    pub fn whmcs_url(&self) -> String {
        url(self.whmcs)
    }

    /// Base URL of Salesforce: both login and instance.
    pub fn salesforce_url(&self) -> String {
        url(self.salesforce)
    }

    /// Base URL of Freebit.
    pub fn freebit_url(&self) -> String {
        url(self.freebit)
    }

    /// Base URL of Japan Post.
    pub fn japan_post_url(&self) -> String {
        url(self.japan_post)
    }

    /// Base URL of the CAPTCHA service.
    pub fn captcha_url(&self) -> String {
        url(self.captcha)
    }

    /// URL of Salesforce's Pub/Sub API: `https://…` with TLS, `http://…` in plaintext.
    pub fn pubsub_url(&self) -> String {
        let url = url(self.pubsub);
        if self.ca.is_some() { url.replacen("http", "https", 1) } else { url }
    }

    /// URL of the mail server, with the user and password that it knows: `smtp://…`, in plaintext.
    pub fn smtp_url(&self) -> String {
        let (user, password) = (credentials::SMTP_USER, credentials::SMTP_PASSWORD);
        url(self.smtp).replacen("http://", &format!("smtp://{user}:{password}@"), 1)
    }

    /// The page that shows what the mail server took.
    pub fn mailbox_url(&self) -> String {
        format!("{}/mailbox", self.admin_url())
    }

    /// What the mail server took: a test reads codes and links here.
    pub fn mail(&self) -> &Arc<smtp::Mailbox> {
        &self.mail
    }

    /// The certificate of the sandbox's authority, PEM; none in plaintext.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca.as_ref().map(|(pem, _)| pem.as_str())
    }

    /// The file with that certificate; none in plaintext.
    pub fn ca_file(&self) -> Option<&Path> {
        self.ca.as_ref().map(|(_, file)| file.path())
    }

    /// Salesforce: a test edits records as the staff does, and handles the event bus.
    pub fn salesforce(&self) -> &Arc<Org> {
        &self.org
    }

    /// Base URL of the admin endpoint.
    pub fn admin_url(&self) -> String {
        url(self.admin)
    }

    /// What the emulators share: a test reads the journal and injects faults here.
    pub fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// The billing system's staff: a test changes an invoice or a service here.
    pub fn billing(&self) -> &whmcs::Installation {
        &self.billing
    }

    /// From now on the billing system's hooks are sent to the gateway at this base URL, which has this clock.
    pub fn send_hooks_to(&self, gateway: &str, clock: Clock) {
        self.billing.send_hooks_to(format!("{gateway}/webhooks/whmcs"), Duration::ZERO, clock);
    }

    /// Closes the doors, lets answers under way finish for a moment, and returns.
    pub async fn stop(mut self) {
        self.stopping.cancel();
        let all = async { while self.servers.join_next().await.is_some() {} };
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            self.servers.shutdown().await;
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // Subscriptions are connections that would outlive their listener.
        self.org.bus.drop_connections();
    }
}

async fn listen(part: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let error = |source| StartError::Listen { part, address, source };
    let listener = TcpListener::bind(address).await.map_err(error)?;
    let bound = listener.local_addr().map_err(error)?;
    Ok((listener, bound))
}

async fn serve(listener: TcpListener, router: Router, stopping: CancellationToken) {
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopping.cancelled_owned()).await
    {
        tracing::error!(%error, "a sandbox listener ended");
    }
}

/// An address that listens everywhere is reached by the loopback one.
fn url(mut address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    format!("http://{address}")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use std::time::Instant;

    use serde_json::{Value, json};

    use super::*;
    use crate::sandbox::core::{Rule, RuleKind, System};

    fn http() -> reqwest::Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::builder().no_proxy().build().unwrap()
    }

    async fn started() -> Sandbox {
        let options = Options { delay: false, listen: Listen::loopback(0), ..Options::default() };
        Sandbox::start(options).await.unwrap()
    }

    async fn authenticate(http: &reqwest::Client, sandbox: &Sandbox) -> Result<Value, reqwest::Error> {
        let partner = json!({ "oemId": credentials::FREEBIT_OEM_ID, "oemKey": credentials::FREEBIT_OEM_KEY });
        let url = format!("{}/emptool/api/authOem/", sandbox.freebit_url());
        http.post(url).form(&[("json", partner.to_string())]).send().await?.json().await
    }

    async fn salesforce_token(http: &reqwest::Client, sandbox: &Sandbox) -> String {
        let claims = json!({
            "iss": credentials::SALESFORCE_CLIENT_ID,
            "sub": credentials::SALESFORCE_USERNAME,
            "aud": sandbox.salesforce_url(),
            "exp": sandbox.core().clock.now().timestamp() + 180,
        });
        let key =
            jsonwebtoken::EncodingKey::from_rsa_pem(credentials::SALESFORCE_PRIVATE_KEY.as_bytes()).unwrap();
        let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::RS256);
        let assertion = jsonwebtoken::encode(&header, &claims, &key).unwrap();
        let form = [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", &assertion)];
        let url = format!("{}/services/oauth2/token", sandbox.salesforce_url());
        let answer: Value = http.post(url).form(&form).send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["instance_url"], sandbox.salesforce_url());
        answer["access_token"].as_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn all_doors_open_and_close() {
        let (http, sandbox) = (http(), started().await);
        let health = http.get(format!("{}/health", sandbox.admin_url())).send().await.unwrap();
        assert!(health.status().is_success());
        assert_eq!(authenticate(&http, &sandbox).await.unwrap()["resultCode"], "100");
        let form = [
            ("identifier", credentials::WHMCS_IDENTIFIER),
            ("secret", credentials::WHMCS_SECRET),
            ("action", "GetClientsDetails"),
            ("clientid", "1001"),
            ("responsetype", "json"),
        ];
        let api = format!("{}/includes/api.php", sandbox.whmcs_url());
        let client: Value = http.post(api).form(&form).send().await.unwrap().json().await.unwrap();
        assert_eq!(client["email"], sandbox.core().world.customer(1).email);
        let token = salesforce_token(&http, &sandbox).await;
        let email = &sandbox.core().world.customer(2).email;
        let soql = format!("SELECT Id FROM Account WHERE PersonEmail = '{email}'");
        let query = format!("{}/services/data/v62.0/query", sandbox.salesforce_url());
        let found = http
            .get(url::Url::parse_with_params(&query, [("q", soql)]).unwrap())
            .bearer_auth(token)
            .send()
            .await
            .unwrap();
        let found: Value = found.json().await.unwrap();
        assert_eq!(found["records"][0]["Id"], world::ids::sf_id(world::ids::prefix::ACCOUNT, 2, 0));
        let url = sandbox.admin_url();
        sandbox.stop().await;
        assert!(http.get(url).send().await.is_err());
    }

    #[tokio::test]
    async fn a_taken_port_is_named_in_one_line() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut options = Options { listen: Listen::loopback(0), ..Options::default() };
        options.listen.salesforce = taken.local_addr().unwrap();
        let error = Sandbox::start(options).await.unwrap_err().to_string();
        assert!(
            error.contains("Salesforce") && error.contains(&taken.local_addr().unwrap().to_string()),
            "{error}"
        );
        assert_eq!(error.lines().count(), 1);
    }

    #[tokio::test]
    async fn the_admin_endpoint_injects_faults_counts_calls_and_moves_the_clock() {
        let (http, sandbox) = (http(), started().await);
        let admin = |path: &str| format!("{}{path}", sandbox.admin_url());
        let fault = json!({ "system": "freebit", "operation": "authOem", "kind": "status", "status": 502, "times": 1 });
        let created = http.post(admin("/faults")).json(&fault).send().await.unwrap();
        assert_eq!(created.status(), 201);
        assert!(authenticate(&http, &sandbox).await.is_err());
        assert!(authenticate(&http, &sandbox).await.is_ok());
        let faults: Value = http.get(admin("/faults")).send().await.unwrap().json().await.unwrap();
        assert_eq!(faults, json!([]));
        let wrong = http
            .post(admin("/faults"))
            .json(&json!({ "system": "none", "kind": "hang" }))
            .send()
            .await
            .unwrap();
        assert_eq!(wrong.status(), 400);

        let counts: Value = http.get(admin("/journal/counts")).send().await.unwrap().json().await.unwrap();
        assert_eq!(
            counts,
            json!([{ "system": "freebit", "kind": "call", "operation": "authOem", "count": 2 }])
        );
        let query = admin("/journal?system=freebit&kind=call&since=1");
        let entries: Value = http.get(query).send().await.unwrap().json().await.unwrap();
        assert_eq!(entries.as_array().unwrap().len(), 1);
        http.delete(admin("/journal")).send().await.unwrap();
        assert_eq!(sandbox.core().journal.count(System::Freebit, None), 0);

        let before = sandbox.core().clock.now();
        let day = json!({ "advance_ms": 86_400_000 });
        assert!(http.post(admin("/clock")).json(&day).send().await.unwrap().status().is_success());
        assert!((sandbox.core().clock.now() - before).num_hours() >= 24);
        let delay = json!({ "system": "whmcs", "delay_ms": 7 });
        let delays: Value =
            http.post(admin("/delays")).json(&delay).send().await.unwrap().json().await.unwrap();
        assert_eq!(
            delays,
            json!({ "whmcs": 7, "salesforce": 0, "freebit": 0, "japanpost": 0, "smtp": 0, "captcha": 0 })
        );
    }

    #[tokio::test]
    async fn every_neutral_fault_reaches_the_caller_as_named() {
        let (http, sandbox) = (http(), started().await);
        let url = format!("{}/emptool/api/authOem/", sandbox.freebit_url());
        let call = |kind| {
            sandbox.core().faults.add(Rule { times: Some(1), ..Rule::every(System::Freebit, kind) });
            http.post(&url).form(&[("json", "{}")]).timeout(Duration::from_millis(300)).send()
        };
        let status = call(RuleKind::Status).await.unwrap();
        assert_eq!(
            (status.status().as_u16(), status.text().await.unwrap().as_str()),
            (503, "injected fault")
        );
        assert!(call(RuleKind::Garbage).await.unwrap().json::<Value>().await.is_err());
        assert!(call(RuleKind::Truncated).await.unwrap().json::<Value>().await.is_err());
        assert_eq!(call(RuleKind::Empty).await.unwrap().text().await.unwrap(), "");
        assert!(call(RuleKind::Hang).await.unwrap_err().is_timeout());
        let dropped = call(RuleKind::Drop).await.unwrap_err();
        assert!(dropped.is_request() && !dropped.is_timeout(), "{dropped:?}");
        let refused: Value = call(RuleKind::Business).await.unwrap().json().await.unwrap();
        assert_eq!(refused["status"]["statusCode"], "999");
    }

    #[tokio::test]
    async fn a_hundred_thousand_customers_start_at_once() {
        let start = Instant::now();
        let options =
            Options { customers: 100_000, delay: false, listen: Listen::loopback(0), ..Options::default() };
        let sandbox = Sandbox::start(options).await.unwrap();
        assert_eq!(sandbox.core().world.customer(100_000).customer_number, "C0100000");
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}
