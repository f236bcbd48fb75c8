//! One connection to the mail server.

use std::{io, slice, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use smtp_proto::{
    AUTH_PLAIN, Error, Request,
    request::receiver::{DataReceiver, DummyDataReceiver, LineReceiver, RequestReceiver},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::sandbox::{
    core::{Core, Fault, FaultKind, System},
    credentials,
    smtp::{Mail, Mailbox},
};

/// Bytes of one mail.
const SIZE: usize = 1 << 20;
/// Recipients of one mail.
const RECIPIENTS: usize = 100;

/// The connection is to be closed.
struct Closed;

impl From<io::Error> for Closed {
    fn from(_: io::Error) -> Self {
        Self
    }
}

/// What the next bytes are.
enum Reading {
    Commands,
    /// The answer to an empty challenge.
    Credentials(LineReceiver<()>),
    Mail(DataReceiver, Vec<u8>),
    /// A mail that is too long: read to its end and thrown away.
    TooLong(DummyDataReceiver),
}

struct Session {
    stream: TcpStream,
    core: Arc<Core>,
    mailbox: Arc<Mailbox>,
    is_greeted: bool,
    from: Option<String>,
    to: Vec<String>,
}

pub(super) async fn run(stream: TcpStream, core: Arc<Core>, mailbox: Arc<Mailbox>) {
    let mut session = Session { stream, core, mailbox, is_greeted: false, from: None, to: Vec::new() };
    // A connection that ends is no failure of the sandbox.
    let _ = session.serve().await;
}

impl Session {
    async fn serve(&mut self) -> Result<(), Closed> {
        if self.enter("CONNECT", Value::Null).await? {
            self.say("220 mail.portal.sandbox ESMTP").await?;
        }
        let mut commands = RequestReceiver::default();
        let mut reading = Reading::Commands;
        let mut buffer = vec![0; 8 << 10];
        loop {
            let read = self.stream.read(&mut buffer).await?;
            if read == 0 {
                return Err(Closed);
            }
            let mut bytes = buffer[..read].iter();
            while !bytes.as_slice().is_empty() {
                reading = match reading {
                    Reading::Commands => {
                        let request = commands.ingest(&mut bytes).map(Request::into_owned);
                        self.command(request).await?
                    }
                    other => self.contents(other, &mut bytes).await?,
                };
            }
        }
    }

    /// Answers a command. Gives what follows it.
    async fn command(&mut self, request: Result<Request<String>, Error>) -> Result<Reading, Closed> {
        match request {
            Err(Error::NeedsMoreData { .. }) => {}
            Err(Error::UnknownCommand) => self.say("500 5.5.1 no such command").await?,
            Err(Error::InvalidSenderAddress) => self.say("501 5.1.7 the sender is no address").await?,
            Err(Error::InvalidRecipientAddress) => {
                self.say("501 5.1.3 the recipient is no address").await?;
            }
            Err(Error::ResponseTooLong) => {
                self.say("500 5.5.2 the line is too long").await?;
                return Err(Closed);
            }
            Err(_) => self.say("501 5.5.4 wrong parameters").await?,
            Ok(request) => return self.obey(request).await,
        }
        Ok(Reading::Commands)
    }

    async fn obey(&mut self, request: Request<String>) -> Result<Reading, Closed> {
        match request {
            Request::Ehlo { host } => {
                if self.enter("EHLO", Value::Null).await? {
                    self.reset();
                    self.is_greeted = true;
                    let size = format!("250-SIZE {SIZE}\r\n");
                    let answer = format!(
                        "250-mail.portal.sandbox greets {}\r\n250-8BITMIME\r\n250-PIPELINING\r\n250-ENHANCEDSTATUSCODES\r\n{size}250 AUTH PLAIN",
                        host.chars().filter(|c| c.is_ascii_graphic()).take(255).collect::<String>()
                    );
                    self.say(&answer).await?;
                }
            }
            Request::Helo { .. } => {
                if self.enter("EHLO", Value::Null).await? {
                    self.reset();
                    self.is_greeted = true;
                    self.say("250 mail.portal.sandbox").await?;
                }
            }
            _ if !self.is_greeted && !matches!(request, Request::Quit | Request::Noop { .. }) => {
                self.say("503 5.5.1 say EHLO first").await?;
            }
            Request::Auth { mechanism, initial_response } if mechanism == AUTH_PLAIN => {
                if initial_response.is_empty() {
                    self.say("334 ").await?;
                    return Ok(Reading::Credentials(LineReceiver::new(())));
                }
                self.authenticate(&initial_response).await?;
            }
            Request::Auth { .. } => self.say("504 5.5.4 only PLAIN").await?,
            Request::Mail { from } => {
                if self.from.is_some() {
                    self.say("503 5.5.1 one mail after the other").await?;
                } else if from.size > SIZE {
                    self.say("552 5.3.4 too long").await?;
                } else if self.enter("MAIL", Value::Null).await? {
                    self.from = Some(from.address);
                    self.say("250 2.1.0 OK").await?;
                }
            }
            Request::Rcpt { to } => {
                if self.from.is_none() {
                    self.say("503 5.5.1 say MAIL first").await?;
                } else if self.to.len() == RECIPIENTS {
                    self.say("452 4.5.3 too many recipients").await?;
                } else if self.enter("RCPT", Value::Null).await? {
                    self.to.push(to.address);
                    self.say("250 2.1.5 OK").await?;
                }
            }
            Request::Data => {
                if self.to.is_empty() {
                    self.say("503 5.5.1 say RCPT first").await?;
                } else {
                    self.say("354 go on, and end with a dot").await?;
                    // The receiver looks for a dot after a line's end; the first line has none before it.
                    let (mut receiver, mut mail) = (DataReceiver::new(), Vec::new());
                    receiver.ingest(&mut b"\r\n".iter(), &mut mail);
                    return Ok(Reading::Mail(receiver, mail));
                }
            }
            Request::Rset => {
                self.reset();
                self.say("250 2.0.0 OK").await?;
            }
            Request::Noop { .. } => self.say("250 2.0.0 OK").await?,
            Request::Vrfy { .. } => self.say("252 2.5.2 send some mail, I will take it").await?,
            Request::Quit => {
                self.say("221 2.0.0 bye").await?;
                return Err(Closed);
            }
            _ => self.say("502 5.5.1 not here").await?,
        }
        Ok(Reading::Commands)
    }

    /// Takes what follows a command. Gives what comes next.
    async fn contents(
        &mut self,
        reading: Reading,
        bytes: &mut slice::Iter<'_, u8>,
    ) -> Result<Reading, Closed> {
        match reading {
            Reading::Commands => {}
            Reading::Credentials(mut line) => {
                if !line.ingest(bytes) {
                    return Ok(Reading::Credentials(line));
                }
                self.authenticate(&String::from_utf8_lossy(&line.buf)).await?;
            }
            Reading::Mail(mut receiver, mut mail) => {
                if receiver.ingest(bytes, &mut mail) {
                    self.take(mail.split_off(b"\r\n".len())).await?;
                } else if mail.len() > SIZE {
                    return Ok(Reading::TooLong(DummyDataReceiver::new_data(&receiver)));
                } else {
                    return Ok(Reading::Mail(receiver, mail));
                }
            }
            Reading::TooLong(mut receiver) => {
                if !receiver.ingest(bytes) {
                    return Ok(Reading::TooLong(receiver));
                }
                self.reset();
                self.say("552 5.3.4 too long").await?;
            }
        }
        Ok(Reading::Commands)
    }

    /// A whole mail arrived.
    async fn take(&mut self, raw: Vec<u8>) -> Result<(), Closed> {
        let (from, to) = (self.from.take().unwrap_or_default(), std::mem::take(&mut self.to));
        let detail = json!({ "bytes": raw.len(), "recipients": to.len() });
        let fault = self.core.enter(System::Smtp, "DATA", detail).await;
        if fault.as_ref().is_none_or(|fault| fault.applied) {
            let mail = Mail::read(self.core.clock.now(), from, to, raw);
            self.mailbox.put(mail);
            self.core.journal.effect(System::Smtp, "mail.taken", Value::Null);
        }
        match fault {
            Some(fault) => self.act_out(fault).await,
            None => self.say("250 2.0.0 taken").await,
        }
    }

    async fn authenticate(&mut self, response: &str) -> Result<(), Closed> {
        if !self.enter("AUTH", Value::Null).await? {
            return Ok(());
        }
        let wanted = format!("\0{}\0{}", credentials::SMTP_USER, credentials::SMTP_PASSWORD);
        let is_right = BASE64_STANDARD.decode(response).is_ok_and(|given| given == wanted.as_bytes());
        self.say(if is_right { "235 2.7.0 welcome" } else { "535 5.7.8 wrong user or password" }).await
    }

    /// Writes a command down and acts a fault out. True when it is to be answered.
    async fn enter(&mut self, operation: &str, detail: Value) -> Result<bool, Closed> {
        match self.core.enter(System::Smtp, operation, detail).await {
            Some(fault) => self.act_out(fault).await.map(|()| false),
            None => Ok(true),
        }
    }

    async fn act_out(&mut self, fault: Fault) -> Result<(), Closed> {
        let line = |text: String| text.replace(['\r', '\n'], " ");
        match fault.kind {
            FaultKind::Status { status, body, .. } => self.say(&line(format!("{status} {body}"))).await,
            FaultKind::Business { code, message } => {
                let code = if code.is_empty() { "554" } else { &code };
                self.say(&line(format!("{code} {message}"))).await
            }
            FaultKind::Garbage => self.say("<html><body>It works!</body></html>").await,
            FaultKind::Empty => self.say("").await,
            FaultKind::Truncated => {
                self.stream.write_all(b"25").await?;
                Err(Closed)
            }
            FaultKind::Hang => std::future::pending().await,
            FaultKind::Drop => Err(Closed),
            FaultKind::Expire => {
                self.say("421 4.3.2 closing").await?;
                Err(Closed)
            }
        }
    }

    fn reset(&mut self) {
        self.from = None;
        self.to.clear();
    }

    async fn say(&mut self, answer: &str) -> Result<(), Closed> {
        self.stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
        Ok(())
    }
}
