//! `sandbox`: the emulators alone.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use portal_gateway::{
    clock::Clock,
    sandbox::{self, Listen, Sandbox, credentials},
};

/// Where the emulators listen, and what they hold.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    pub world: World,
    /// Send the billing system's hooks to the gateway at this base URL.
    #[arg(long, value_name = "URL")]
    pub hooks_to: Option<String>,
}

/// What the sandbox holds, and its ports; shared with `dev`.
#[derive(Args)]
pub struct World {
    /// What the customers are drawn from; the same seed gives the same customers.
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// How many customers there are, up to 1,000,000; they cost nothing until they are changed.
    #[arg(long, default_value_t = 1_000)]
    pub customers: u64,
    /// Answer at once, not as slowly as the real systems usually do.
    #[arg(long)]
    pub no_delay: bool,
    /// Port of the admin endpoint (journal, faults, delays); 0 for any.
    #[arg(long, default_value_t = 4100)]
    pub admin_port: u16,
    /// Port of the billing emulator.
    #[arg(long, default_value_t = 4101)]
    pub whmcs_port: u16,
    /// Port of the CRM emulator.
    #[arg(long, default_value_t = 4102)]
    pub salesforce_port: u16,
    /// Port of the mobile network's emulator.
    #[arg(long, default_value_t = 4103)]
    pub freebit_port: u16,
    /// Port of the CRM emulator's Pub/Sub API, over TLS; 0 for any.
    #[arg(long, default_value_t = 4104)]
    pub pubsub_port: u16,
    /// Port of the post's emulator.
    #[arg(long, default_value_t = 4106)]
    pub japan_post_port: u16,
    /// Port of the CAPTCHA service's emulator; 0 for any.
    #[arg(long, default_value_t = 4107)]
    pub captcha_port: u16,
    /// Port of the mail server; 0 for any.
    #[arg(long, default_value_t = 4105)]
    pub smtp_port: u16,
    /// Serve the Pub/Sub API in plaintext.
    #[arg(long)]
    pub pubsub_plaintext: bool,
    /// Where the certificate of the sandbox's authority is written; among the temporary files unless said.
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

impl World {
    /// Starts the emulators on the loopback address.
    pub async fn start(&self) -> Result<Sandbox, sandbox::StartError> {
        let mut listen = Listen::loopback(0);
        listen.admin.set_port(self.admin_port);
        listen.whmcs.set_port(self.whmcs_port);
        listen.salesforce.set_port(self.salesforce_port);
        listen.freebit.set_port(self.freebit_port);
        listen.pubsub.set_port(self.pubsub_port);
        listen.japan_post.set_port(self.japan_post_port);
        listen.captcha.set_port(self.captcha_port);
        listen.smtp.set_port(self.smtp_port);
        Sandbox::start(sandbox::Options {
            seed: self.seed,
            customers: self.customers,
            delay: !self.no_delay,
            listen,
            pubsub_tls: !self.pubsub_plaintext,
            ca_file: self.ca_file.clone(),
            ..sandbox::Options::default()
        })
        .await
    }
}

/// Runs until the process is asked to stop.
pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let stopping = super::stop_signal()?;
    let sandbox = options.world.start().await?;
    if let Some(gateway) = &options.hooks_to {
        sandbox.send_hooks_to(gateway.trim_end_matches('/'), Clock::system());
    }
    println!("The sandbox holds {} customers (seed {}).\n", options.world.customers, options.world.seed);
    println!("  admin       {}", sandbox.admin_url());
    println!("  WHMCS       {}/includes/api.php", sandbox.whmcs_url());
    println!("              identifier {}", credentials::WHMCS_IDENTIFIER);
    println!("              secret     {}", credentials::WHMCS_SECRET);
    println!("  Salesforce  {}", sandbox.salesforce_url());
    println!("              consumer key {}", credentials::SALESFORCE_CLIENT_ID);
    println!("              user         {}", credentials::SALESFORCE_USERNAME);
    println!("              private key  src/sandbox/keys/salesforce.private.pem");
    println!("  Pub/Sub     {}", sandbox.pubsub_url());
    if let Some(file) = sandbox.ca_file() {
        println!("              authority    {}", file.display());
    }
    println!("  Freebit     {}", sandbox.freebit_url());
    println!("              oemId  {}", credentials::FREEBIT_OEM_ID);
    println!("              oemKey {}", credentials::FREEBIT_OEM_KEY);
    println!("  Japan Post  {}", sandbox.japan_post_url());
    println!("              client_id  {}", credentials::JAPAN_POST_CLIENT_ID);
    println!("              secret_key {}", credentials::JAPAN_POST_SECRET_KEY);
    println!("  CAPTCHA     {}/siteverify", sandbox.captcha_url());
    println!("              site key     {}", credentials::CAPTCHA_SITE_KEY);
    println!("              secret       {}", credentials::CAPTCHA_SECRET);
    println!("  Mail        {}", sandbox.smtp_url());
    println!("              mailbox      {}", sandbox.mailbox_url());
    println!("\nCtrl-C stops it.");
    stopping.cancelled().await;
    sandbox.stop().await;
    Ok(ExitCode::SUCCESS)
}
