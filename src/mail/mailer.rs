//! Hands mails to the mail server over SMTP.

use std::{sync::Arc, time::SystemTime};

use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport, Message as Envelope, Tokio1Executor,
    message::{
        Mailbox, MultiPart, SinglePart,
        header::{ContentType, HeaderName, HeaderValue},
    },
    transport::smtp::{self, PoolConfig, extension::ClientId},
};
use uuid::Uuid;

use crate::{
    clock::Clock,
    jobs::{Setback, Try},
    mail::{Mail, Settings, letter::Letter},
    secret::ExposeSecret,
};

/// Answers that are about us and not about the mail (no access, or the wrong credentials): an operator can put them right.
const ABOUT_US: [u16; 4] = [530, 534, 535, 538];

/// The mail server's address cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the mail server's address cannot be used")]
pub struct Error;

/// Sends mails. Clones share its connections.
#[derive(Clone)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    settings: Arc<Settings>,
    clock: Clock,
}

impl Mailer {
    /// A mailer with connections of its own; none is opened yet. To be called within a Tokio runtime.
    ///
    /// # Errors
    /// When the address of the mail server is unusable.
    pub fn new(settings: Settings, clock: Clock) -> Result<Self, Error> {
        let url = url::Url::parse(settings.url.expose_secret()).map_err(|_| Error)?;
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.as_str()).map_err(|_| Error)?;
        let transport = transport
            .timeout(Some(settings.timeout))
            .pool_config(PoolConfig::new().max_size(settings.connections));
        // The path of the address is the name that is said to the server, when it has one.
        let transport = if url.path().len() > 1 {
            transport
        } else {
            transport.hello_name(ClientId::Domain(settings.from.domain().to_owned()))
        };
        Ok(Self { transport: transport.build(), settings: Arc::new(settings), clock })
    }

    /// Whether the mail server answers, and takes the user and the password.
    ///
    /// # Errors
    /// Why not, as a sentence without the server's words.
    pub async fn reach(&self) -> Result<(), String> {
        match self.transport.test_connection().await {
            Ok(true) => Ok(()),
            Ok(false) => Err("the mail server ended the connection".to_owned()),
            Err(error) => match setback(&error) {
                Setback::Later(reason) | Setback::Hopeless(reason) => Err(reason),
            },
        }
    }

    /// Sends one mail: the job of kind `mail`. Neither the address nor what a server says about it is logged or kept.
    ///
    /// # Errors
    /// [`Setback::Hopeless`] when the server refuses this mail for good, or it cannot be one; otherwise
    /// [`Setback::Later`]. The reason names the server's code alone.
    pub async fn send(&self, mail: Mail, this: Try) -> Result<(), Setback> {
        let hopeless = |reason: &str| Setback::Hopeless(reason.to_owned());
        let to: Address = mail.to.parse().map_err(|_| hopeless("the address is none"))?;
        let envelope = self.envelope(&mail, to, this.job).ok_or_else(|| hopeless("it cannot be written"))?;
        self.transport.send(envelope).await.map_err(|error| setback(&error))?;
        metrics::counter!("mails_sent_total", "message" => mail.message.kind()).increment(1);
        Ok(())
    }

    /// The whole mail as it travels; `None` when it cannot be rendered.
    pub(super) fn envelope(&self, mail: &Mail, to: Address, job: Uuid) -> Option<Envelope> {
        let Settings { from, reply_to, .. } = &*self.settings;
        let letter = Letter::new(mail, &self.settings);
        let (text, html) = (letter.text().ok()?, letter.html().ok()?);
        let mut envelope = Envelope::builder()
            .from(Mailbox::new(Some(self.settings.name_in(mail.language).to_owned()), from.clone()))
            .to(Mailbox::new(None, to))
            .subject(letter.subject)
            .date(SystemTime::from(self.clock.now()))
            .message_id(Some(format!("<{job}@{}>", from.domain())))
            // RFC 3834: neither a person's mail nor an answer to one; nobody's automaton should answer it.
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ))
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Content-Language"),
                letter.language.to_owned(),
            ));
        if let Some(reply_to) = reply_to {
            envelope = envelope.reply_to(Mailbox::new(None, reply_to.clone()));
        }
        let part = |kind, body: String| SinglePart::builder().header(kind).body(body);
        let both = MultiPart::alternative()
            .boundary(job.simple().to_string())
            .singlepart(part(ContentType::TEXT_PLAIN, text))
            .singlepart(part(ContentType::TEXT_HTML, html));
        envelope.multipart(both).ok()
    }
}

/// What a failure means for the mail. The server's own words are left out: they often quote the address.
fn setback(error: &smtp::Error) -> Setback {
    let code = error.status().map(u16::from);
    match code {
        Some(code) if error.is_permanent() && !ABOUT_US.contains(&code) => {
            Setback::Hopeless(format!("the mail server refuses it ({code})"))
        }
        Some(code) => Setback::Later(format!("the mail server does not take it now ({code})")),
        None if error.is_timeout() => Setback::Later("the mail server did not answer in time".to_owned()),
        None if error.is_tls() => Setback::Later("the mail server cannot be trusted (TLS)".to_owned()),
        None => Setback::Later("the mail server cannot be reached".to_owned()),
    }
}
