//! `partner`: creates and revokes the programs of partners, replaces their secrets, and shows what they used.

use std::process::ExitCode;

use anyhow::anyhow;
use chrono::SecondsFormat;
use clap::{Args, Subcommand};
use portal_gateway::{
    clock::Clock,
    identity::{NewPartner, PartnerDesk, Scope, Scopes, SecretError, Terms},
    secret::{ExposeSecret, SecretString},
};

/// What is done with partners.
#[derive(Subcommand)]
pub enum Command {
    /// Creates a partner, and shows its secret, once.
    Create(Create),
    /// Gives a partner another secret, shown once; the one of before stays active until it is retired. Two are active at most.
    Rotate(Rotate),
    /// Revokes a partner for good: its tokens end within 5 seconds.
    Revoke(Which),
    /// Shows what a partner used, day by day.
    Usage(Usage),
    /// Lists the partners.
    List,
}

/// Options of `partner create`.
#[derive(Args)]
pub struct Create {
    /// What people call it: customers read it when they are asked.
    #[arg(long, value_parser = name)]
    name: String,
    /// What it may be allowed at most, with spaces between; everything when it is left out.
    #[arg(long, value_parser = scopes)]
    scopes: Option<Scopes>,
    /// It is a program of the house: it acts for every customer without being asked.
    #[arg(long)]
    first_party: bool,
    /// Requests in a second.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    requests_per_second: u32,
    /// Points of cost at most.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    cost_maximum: u32,
    /// Points of cost that come back in a second.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    cost_restore: u32,
}

/// Options of `partner rotate`.
#[derive(Args)]
pub struct Rotate {
    /// Its client id.
    client: String,
    /// Make none, and retire all secrets but the newest: tokens that were got with them end within 5 seconds.
    #[arg(long)]
    retire_old: bool,
}

/// Options of `partner usage`.
#[derive(Args)]
pub struct Usage {
    /// Its client id.
    client: String,
    /// How many days at most.
    #[arg(long, default_value_t = 30)]
    days: u32,
}

/// Which partner.
#[derive(Args)]
pub struct Which {
    /// Its client id.
    client: String,
}

/// Does it.
pub async fn run(command: Command) -> anyhow::Result<ExitCode> {
    super::on_database(async |_, store| {
        let desk = PartnerDesk::new(store.clone(), Clock::system());
        act(&desk, command).await.map(|()| ExitCode::SUCCESS)
    })
    .await
}

async fn act(desk: &PartnerDesk, command: Command) -> anyhow::Result<()> {
    let unknown = |client: &str| anyhow!("there is no partner {client}, or it was revoked");
    match command {
        Command::Create(new) => {
            let new = NewPartner {
                name: new.name,
                scopes: new.scopes.unwrap_or_else(|| Scope::ALL.into_iter().collect()),
                is_first_party: new.first_party,
                terms: Terms {
                    requests_per_second: new.requests_per_second,
                    cost_maximum: new.cost_maximum,
                    cost_restore: new.cost_restore,
                },
            };
            let (client_id, secret) = desk.create(new).await?;
            println!("client_id      {client_id}");
            show(&secret);
        }
        Command::Rotate(Rotate { client, retire_old: true }) => {
            let retired = desk.retire(&client).await?.ok_or_else(|| unknown(&client))?;
            println!("{} retired.", super::counted(retired, "secret was", "secrets were"));
        }
        Command::Rotate(Rotate { client, .. }) => {
            let secret = desk.rotate(&client).await.map_err(|error| match error {
                SecretError::Full => anyhow!(
                    "{client} has two active secrets, so nothing was done: when it uses the newer one, end the older \
                     with `partner rotate --retire-old {client}`, and then rotate again"
                ),
                failed => failed.into(),
            })?;
            show(&secret.ok_or_else(|| unknown(&client))?);
        }
        Command::Revoke(Which { client }) => {
            if !desk.revoke(&client).await? {
                return Err(unknown(&client));
            }
            println!("{client} is revoked.");
        }
        Command::Usage(Usage { client, days }) => {
            let found = desk.usage(&client, days).await?;
            let (partner, used) = found.ok_or_else(|| anyhow!("there is no partner {client}"))?;
            if let Some(at) = partner.revoked_at {
                eprintln!("{client} was revoked at {}.", at.to_rfc3339_opts(SecondsFormat::Secs, true));
            }
            println!("{:<12}{:>12}{:>14}{:>10}", "day", "requests", "cost", "refused");
            for day in used {
                println!("{:<12}{:>12}{:>14}{:>10}", day.day, day.requests, day.cost, day.refusals);
            }
        }
        Command::List => {
            for partner in desk.list().await? {
                println!(
                    "{}  {:<8} {:<12} {}  [{}]",
                    partner.client_id,
                    if partner.revoked_at.is_some() { "revoked" } else { "active" },
                    if partner.is_first_party { "first-party" } else { "by grant" },
                    partner.name,
                    partner.scopes
                );
            }
        }
    }
    Ok(())
}

fn show(secret: &SecretString) {
    println!("client_secret  {}", secret.expose_secret());
    eprintln!("The secret is shown this once: only a hash of it is kept.");
}

fn name(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > 100 || text.chars().any(char::is_control) {
        return Err(
            "must have 1 to 100 characters, and no line breaks or other control characters".to_owned()
        );
    }
    Ok(text.to_owned())
}

fn scopes(text: &str) -> Result<Scopes, String> {
    let known = || Scope::ALL.map(Scope::as_str).join(" ");
    match Scopes::parse(text) {
        Ok(scopes) if !scopes.is_empty() => Ok(scopes),
        Ok(_) => Err(format!("must be some of: {}", known())),
        Err(wrong) => Err(format!("{wrong} is no scope; there are: {}", known())),
    }
}
