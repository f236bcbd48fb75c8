//! `dev`: the gateway and the sandbox in one process.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    time::Instant,
};

use anyhow::{Context, bail};
use clap::Args;
use portal_gateway::{
    app::App,
    clock::Clock,
    config::Config,
    demo,
    http::{
        self, gateway,
        graphiql::{Demo, DemoCustomer, Graphiql},
    },
    sandbox::{Sandbox, credentials},
};

use super::sandbox::World;

/// How many demo customers the terminal and GraphiQL show.
const SHOWN: u64 = 3;

/// Where everything listens, and what the sandbox holds.
#[derive(Args)]
pub struct Options {
    /// Port of the gateway.
    #[arg(long, default_value_t = 4000)]
    port: u16,
    /// How many of the sandbox's customers can sign in.
    #[arg(long, default_value_t = 1_000)]
    accounts: u64,
    /// Folder of the gateway's own database and keys.
    #[arg(long, default_value = ".dev")]
    data_dir: PathBuf,
    #[command(flatten)]
    world: World,
}

/// Runs until the process is asked to stop.
pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    super::install_tls()?;
    let stopping = super::stop_signal()?;
    let sandbox = options.world.start().await?;
    let listener = http::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, options.port))).await?;
    let port = listener.local_addr()?.port();
    let config = configuration(&options, &sandbox, port)?;
    let _log = super::start_log(&config)?;

    let app = App::build(&config, Clock::system()).await?;
    let accounts = options.accounts.min(options.world.customers);
    demo::register(&app.identity, &sandbox.core().world, accounts).await.context("demo customers")?;

    let people: Vec<_> = (1..=SHOWN.min(accounts))
        .map(|n| sandbox.core().world.customer(n))
        .map(|customer| DemoCustomer { email: customer.email.clone(), name: customer.name() })
        .collect();
    greet(port, &sandbox, &people, &options.world, began);
    let demo = Demo {
        customers: people,
        password: credentials::DEMO_PASSWORD.to_owned(),
        device_token: credentials::DEMO_DEVICE.to_owned(),
    };
    sandbox.send_hooks_to(&format!("http://127.0.0.1:{port}"), Clock::system());
    let graphiql = Graphiql { examples: gateway::examples(), demo: Some(demo) };
    super::serve::serve(&config, app, listener, Some(graphiql), stopping).await?;
    sandbox.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// The settings of the environment, with the systems replaced by the sandbox.
fn configuration(options: &Options, sandbox: &Sandbox, port: u16) -> anyhow::Result<Config> {
    std::fs::create_dir_all(&options.data_dir)
        .with_context(|| format!("the folder {} cannot be made", options.data_dir.display()))?;
    let database = options.data_dir.join("portal.db");
    let mut settings = demo::settings(sandbox);
    settings.extend([
        ("DATABASE_URL", format!("sqlite:{}", database.display())),
        ("DATA_DIR", options.data_dir.display().to_string()),
        ("PUBLIC_URL", format!("http://localhost:{port}")),
    ]);
    // Anybody's own settings of logs, limits and times count; those of real systems do not.
    let read = |name: &str| match name {
        "SF_PRIVATE_KEY_PATH" => None,
        _ => settings.get(name).cloned().or_else(|| std::env::var(name).ok()),
    };
    Config::from_env(read).or_else(|faults| {
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        bail!("the configuration cannot be used:\n  {}", faults.join("\n  "))
    })
}

fn greet(port: u16, sandbox: &Sandbox, people: &[DemoCustomer], world: &World, began: Instant) {
    let gateway = format!("http://localhost:{port}");
    println!("\nportal-gateway is ready ({} ms).\n", began.elapsed().as_millis());
    println!("  GraphiQL        {gateway}/graphiql    open this first: you are signed in, run the first tab");
    println!("  API             {gateway}/graphql");
    println!("  Health          {gateway}/health/ready");
    println!("  Metrics         {gateway}/metrics");
    println!("  Mailbox         {}    every mail that the gateway sends", sandbox.mailbox_url());
    println!("\nDemo customers, all with the password \"{}\"", credentials::DEMO_PASSWORD);
    println!("and, to be spared the mailed code, the device token \"{}\"\n", credentials::DEMO_DEVICE);
    for person in people {
        println!("  {:<42} {}", person.email, person.name);
    }
    println!("\nBehind it, emulated: {} customers drawn from seed {}\n", world.customers, world.seed);
    println!("  Billing         {}    WHMCS", sandbox.whmcs_url());
    println!("  CRM             {}    Salesforce", sandbox.salesforce_url());
    println!("  CRM events      {}    Salesforce Pub/Sub", sandbox.pubsub_url());
    println!("  Mobile lines    {}    Freebit", sandbox.freebit_url());
    println!("  Postal codes    {}    Japan Post", sandbox.japan_post_url());
    println!("  Admin           {}    journal of calls, faults, delays", sandbox.admin_url());
    println!("\nCtrl-C stops everything. The log follows.\n");
}
