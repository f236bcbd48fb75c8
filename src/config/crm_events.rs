//! Events of the CRM: where its bus is, which channels are read, and how.

use std::time::Duration;

use crate::{
    config::{
        reader::{Reader, bare, read_file},
        server::Environment,
    },
    events::salesforce::{Settings, Start},
    upstream::salesforce::pubsub,
};

/// What the vendor calls the bus, for production and for sandboxes alike.
const ENDPOINT: &str = "https://api.pubsub.salesforce.com:7443";

/// The channels, each with the setting that names it, and what it tells.
const CHANNELS: [(&str, &str); Settings::CHANNELS.len()] = [
    ("SF_PROVISION_EVENT_CHANNEL", "that an order is to be fulfilled"),
    ("SF_ACCOUNT_EVENT_CHANNEL", "what an account may order at its address"),
    ("SF_CATALOG_PRODUCT_CDC_CHANNEL", "changes of products"),
    ("SF_CATALOG_PRICEBOOKENTRY_CDC_CHANNEL", "changes of prices"),
    ("SF_ORDER_CDC_CHANNEL", "changes of orders"),
    ("SF_ORDER_ITEM_CDC_CHANNEL", "changes of the lines of orders"),
    ("SF_ACCOUNT_CDC_CHANNEL", "changes of accounts"),
    ("SF_OPPORTUNITY_CDC_CHANNEL", "changes of opportunities"),
    ("SF_CASE_CDC_CHANNEL", "changes of cases"),
    ("SF_EMAIL_MESSAGE_CDC_CHANNEL", "mails of cases"),
];

/// The settings whose channels tell of orders.
const ORDERS: [&str; 2] = ["SF_ORDER_CDC_CHANNEL", "SF_ORDER_ITEM_CDC_CHANNEL"];

/// How the CRM's events are read; `None` when they are not. And whether they tell of every change of an order.
pub(super) fn salesforce(env: &mut Reader<'_>, environment: Environment) -> (Option<Settings>, bool) {
    env.section("Events of the CRM");
    let is_enabled = env
        .get(
            "SF_EVENTS_ENABLED",
            "true or false",
            "Whether the event bus is read. Without this it is when SF_PUBSUB_ENDPOINT is set.",
        )
        .example("true")
        .parse(|text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("must be one of true, false".to_owned()),
        });
    let is_enabled = is_enabled.unwrap_or(env.is_set("SF_PUBSUB_ENDPOINT"));
    let endpoint = env.get("SF_PUBSUB_ENDPOINT", "address", "Where the event bus is.").address(ENDPOINT);
    if environment == Environment::Production && endpoint.scheme() != "https" {
        env.refuse("SF_PUBSUB_ENDPOINT", "must be an https address in production");
    }
    let bus = pubsub::Settings {
        ca_pem: env
            .get("SF_PUBSUB_CA_FILE", "file", "Authorities in PEM that are trusted for the event bus besides the public ones.")
            .example("/run/secrets/bus-ca.pem")
            .parse(|path| {
                let text = read_file(path)?;
                let is_pem = text.contains("-----BEGIN CERTIFICATE-----");
                if is_pem { Ok(text) } else { Err("is not a file of certificates in PEM".to_owned()) }
            }),
        num_requested: env
            .get("SF_PUBSUB_NUM_REQUESTED", "events", "How many events of a channel may be under way at once; more are asked for when half have come.")
            .number(100, 1..=100),
        silence: env
            .get("SF_PUBSUB_SILENCE", "duration", "A stream that brings nothing for so long is dead; the CRM sends something every 270 s.")
            .duration("300s", "1s", "1h"),
        ..pubsub::Settings::new(bare(&endpoint))
    };
    let default = Settings::new(bus);
    let (mut channels, mut tell_orders) = (Vec::new(), is_enabled);
    for ((name, about), default) in CHANNELS.into_iter().zip(Settings::CHANNELS) {
        let channel = env
            .get(name, "channel", format!("The channel that tells {about}; - to leave it out."))
            .parse_or(default, |text| {
                let is_channel = text == "-"
                    || ((text.starts_with("/event/") || text.starts_with("/data/"))
                        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '/'));
                if is_channel {
                    Ok(text.to_owned())
                } else {
                    Err("must begin with /event/ or /data/".to_owned())
                }
            });
        tell_orders &= channel != "-" || !ORDERS.contains(&name);
        // One channel may tell several things.
        if channel != "-" && !channels.contains(&channel) {
            channels.push(channel);
        }
    }
    let settings = Settings {
        channels,
        start: env
            .get("SF_EVENTS_REPLAY", "word", "Where a channel begins that was never read: LATEST for what comes from now on, ALL for everything that is still kept.")
            .choice("LATEST", &[("LATEST", Start::Latest), ("ALL", Start::Earliest)]),
        lease: env
            .get("SF_EVENTS_LEASE", "duration", "How long another replica waits before it takes over from a reader that is gone.")
            .duration("30s", "1s", "10m"),
        reconnect_max: env
            .get("SF_EVENTS_RECONNECT_MAX", "duration", "The longest wait before a broken stream is opened again.")
            .duration("60s", "1s", "10m"),
        comments_every: Some(
            env.get("SF_CASE_COMMENT_POLL", "duration", "How often comments on cases are asked for, which have no change event; 0s for never.")
                .duration("30s", "0s", "1h"),
        )
        .filter(|every| *every > Duration::ZERO),
        internal_order_fields: env
            .get("SF_EVENTS_INTERNAL_ORDER_FIELDS", "list of field names", "Fields of orders that nobody is shown: an update of nothing else changes no answer.")
            .list(&default.internal_order_fields.join(","), |text| Ok(text.to_owned())),
        ..default
    };
    (is_enabled.then_some(settings), tell_orders)
}
