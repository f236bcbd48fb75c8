//! `dev`: the gateway and the sandbox in one process.
//!
//! The sandbox lives in memory: with each stop it forgets who signed up and what was changed, and gives their numbers to
//! whoever comes next; another seed draws other customers. So the gateway's own database begins anew with it: an older one would
//! show somebody what is another's.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    fs::{self, File, TryLockError},
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
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
use uuid::Uuid;

use super::sandbox::World;

/// The database in the data folder. No other command makes one of this name, so it may be deleted.
const DATABASE: &str = "dev.db";
/// The settings in the data folder, for a shell that runs other commands against this gateway.
const ENV: &str = "dev.env";

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
    /// Folder of the gateway's own database, which begins anew with every start, and of its settings for other commands.
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
    let _held = take(&options.data_dir)?;
    let was_before = begin_anew(&options.data_dir)?;
    let settings = settings(&options, &sandbox, port)?;
    let config = configuration(&settings)?;
    let env = options.data_dir.join(ENV);
    write_env(&env, &settings).context("the settings cannot be written")?;
    let _log = super::start_log(&config)?;

    let app = App::build(&config, Clock::system()).await?;
    let accounts = options.accounts.min(options.world.customers);
    demo::register(&app.identity, &sandbox.core().world, accounts).await.context("demo customers")?;

    let people: Vec<_> = (1..=SHOWN.min(accounts))
        .map(|n| sandbox.core().world.customer(n))
        .map(|customer| DemoCustomer { email: customer.email.clone(), name: customer.name() })
        .collect();
    if was_before {
        println!("The sandbox begins anew with every start, and the gateway's database with it:");
        println!("who signed up in an earlier run, sessions and partners are gone.");
    }
    greet(port, &sandbox, &people, &options, began);
    let demo = Demo {
        customers: people,
        password: credentials::DEMO_PASSWORD.to_owned(),
        device_token: credentials::DEMO_DEVICE.to_owned(),
    };
    sandbox.send_hooks_to(&format!("http://127.0.0.1:{port}"), Clock::system());
    let graphiql = Graphiql { examples: gateway::examples(), demo: Some(demo) };
    super::serve::serve(&config, app, listener, Some(graphiql), stopping).await?;
    // What it names is no longer there. If it stays, the next start writes it anew.
    let _ = fs::remove_file(env);
    sandbox.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// Makes the data folder if it is not there, and holds it for as long as what is given lives: another `dev` would delete
/// the database that this one uses.
fn take(folder: &Path) -> anyhow::Result<File> {
    let opened = fs::create_dir_all(folder).and_then(|()| File::open(folder));
    let held = opened.with_context(|| format!("the folder {} cannot be made", folder.display()))?;
    if let Err(TryLockError::WouldBlock) = held.try_lock() {
        bail!("the folder {} is used by another `dev`: choose another --data-dir", folder.display());
    }
    // A file system that knows no locks holds nobody up.
    Ok(held)
}

/// Deletes the database of an earlier run. Gives whether there was one.
fn begin_anew(folder: &Path) -> anyhow::Result<bool> {
    let mut was_there = false;
    for name in [DATABASE.to_owned(), format!("{DATABASE}-wal"), format!("{DATABASE}-shm")] {
        let file = folder.join(name);
        match fs::remove_file(&file) {
            Ok(()) => was_there = true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("{} cannot be deleted", file.display())),
        }
    }
    Ok(was_there)
}

/// What of the configuration is the sandbox's and this folder's, good in any directory.
fn settings(
    options: &Options,
    sandbox: &Sandbox,
    port: u16,
) -> anyhow::Result<HashMap<&'static str, String>> {
    let folder = std::path::absolute(&options.data_dir)?;
    let mut settings = demo::settings(sandbox);
    settings.extend(demo::captcha(sandbox));
    settings.extend([
        ("DATABASE_URL", format!("sqlite:{}", folder.join(DATABASE).display())),
        ("DATA_DIR", folder.display().to_string()),
        ("BFF_PORT", port.to_string()),
        ("PUBLIC_URL", format!("http://localhost:{port}")),
        // What an earlier run left in somebody's Redis is of other customers, too.
        ("REDIS_PREFIX", format!("dev-{}", Uuid::now_v7().simple())),
        ("SF_PRIVATE_KEY_PATH", String::new()),
    ]);
    if let Some(file) = sandbox.ca_file() {
        settings.insert("SF_PUBSUB_CA_FILE", std::path::absolute(file)?.display().to_string());
    }
    Ok(settings)
}

/// Writes settings for a shell, readable by their owner only.
fn write_env(file: &Path, settings: &HashMap<&'static str, String>) -> io::Result<()> {
    let mut text =
        String::from("# The settings of the gateway that `dev` started last. Each start writes them anew.\n");
    for (name, value) in settings.iter().collect::<BTreeMap<_, _>>() {
        let _ = writeln!(text, "export {name}={}", quoted(value));
    }
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut open = fs::OpenOptions::new();
    open.create_new(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut open, 0o600);
    open.open(file)?.write_all(text.as_bytes())
}

/// A word of a shell.
fn quoted(text: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:".contains(&b);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The settings of the environment, with the systems replaced by the sandbox.
fn configuration(settings: &HashMap<&'static str, String>) -> anyhow::Result<Config> {
    // Anybody's own settings of logs, limits and times count; those of real systems do not.
    let read = |name: &str| settings.get(name).cloned().or_else(|| std::env::var(name).ok());
    Config::from_env(read).or_else(|faults| {
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        bail!("the configuration cannot be used:\n  {}", faults.join("\n  "))
    })
}

fn greet(port: u16, sandbox: &Sandbox, people: &[DemoCustomer], options: &Options, began: Instant) {
    let (world, gateway) = (&options.world, format!("http://localhost:{port}"));
    let env = quoted(&options.data_dir.join(ENV).display().to_string());
    // As it was called to run this.
    let program = std::env::args_os().next().unwrap_or_else(|| "portal-gateway".into());
    let program = quoted(&program.to_string_lossy());
    println!("\nportal-gateway is ready ({} ms).\n", began.elapsed().as_millis());
    println!("  GraphiQL        {gateway}/graphiql    open this first: you are signed in, run the first tab");
    println!("  API             {gateway}/graphql");
    println!("  Health          {gateway}/health/ready");
    println!("  Metrics         {gateway}/metrics");
    println!("  Mailbox         {}    every mail that the gateway sends", sandbox.mailbox_url());
    println!("  Commands        (. {env}; {program} partner list)    or any other, against this gateway");
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
    println!(
        "  CAPTCHA         {}    asked for after three wrong passwords: docs/sandbox.md",
        sandbox.captcha_url()
    );
    println!("  Admin           {}    journal of calls, faults, delays", sandbox.admin_url());
    println!("\nCtrl-C stops everything. The log follows.\n");
}
