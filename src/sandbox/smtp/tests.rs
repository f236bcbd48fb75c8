//! The mail server, spoken to line by line.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::sandbox::{
    Listen, Options, Sandbox,
    core::{Rule, RuleKind, System},
};

async fn started() -> Sandbox {
    let options = Options { delay: false, listen: Listen::loopback(0), ..Options::default() };
    Sandbox::start(options).await.unwrap()
}

/// A client that says exactly what it is told to.
struct Client(BufReader<TcpStream>);

impl Client {
    /// Connected and not greeted yet.
    async fn connect(sandbox: &Sandbox) -> Self {
        Self(BufReader::new(TcpStream::connect(sandbox.smtp).await.unwrap()))
    }

    /// Greeted, and through with `EHLO`.
    async fn greeted(sandbox: &Sandbox) -> Self {
        let mut client = Self::connect(sandbox).await;
        assert!(client.answer().await.starts_with("220 "));
        assert!(client.ask("EHLO test.example.jp").await.starts_with("250-"));
        client
    }

    /// A whole answer, all its lines.
    async fn answer(&mut self) -> String {
        let mut answer = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.0.read_line(&mut line).await.unwrap(), 0, "closed after {answer:?}");
            answer += &line;
            if line.as_bytes().get(3) != Some(&b'-') {
                return answer;
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    async fn ask(&mut self, command: &str) -> String {
        self.send(format!("{command}\r\n").as_bytes()).await;
        self.answer().await
    }

    /// Up to the point where the mail itself follows.
    async fn begin(&mut self, to: &str) {
        assert!(self.ask("MAIL FROM:<no-reply@example.jp>").await.starts_with("250 "));
        assert!(self.ask(&format!("RCPT TO:<{to}>")).await.starts_with("250 "));
        assert!(self.ask("DATA").await.starts_with("354 "));
    }

    async fn is_closed(&mut self) -> bool {
        self.0.read_to_end(&mut Vec::new()).await.unwrap_or(0) == 0
    }
}

const BOTH: &str = "Subject: =?utf-8?B?44Ot44Kw44Kk44Oz?=\r\nMessage-ID: <1@example.jp>\r\nMIME-Version: 1.0\r\n\
    Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Transfer-Encoding: base64\r\n\r\n44Kz44O844OJ77yaIDA0ODIxMw==\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n\
    <p>\u{30b3}\u{30fc}\u{30c9} <b>048213</b></p>\r\n--b--\r\n";

#[tokio::test]
async fn a_mail_is_taken_decoded_and_shown() {
    let sandbox = started().await;
    let mut client = Client::greeted(&sandbox).await;
    client.begin("Taro@example.jp").await;
    client.send(BOTH.as_bytes()).await;
    assert!(client.ask(".").await.starts_with("250 "));
    assert!(client.ask("QUIT").await.starts_with("221 "));
    assert!(client.is_closed().await);

    let mail = sandbox.mail().next("taro@EXAMPLE.jp", 0).await;
    assert_eq!((mail.from.as_str(), &*mail.to), ("no-reply@example.jp", &["Taro@example.jp".to_owned()][..]));
    assert_eq!((mail.subject.as_str(), mail.message_id.as_deref()), ("ログイン", Some("1@example.jp")));
    assert_eq!(mail.text.as_deref(), Some("コード： 048213"));
    assert_eq!(mail.html.as_deref().map(str::trim), Some("<p>コード <b>048213</b></p>"));
    assert_eq!(mail.code.as_deref(), Some("048213"));
    assert!(sandbox.mail().to("hanako@example.jp").is_empty());

    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = async |path: &str| http.get(format!("{}{path}", sandbox.admin_url())).send().await.unwrap();
    let found: Value = get("/mail?to=taro@example.jp").await.json().await.unwrap();
    assert_eq!((&found[0]["code"], &found[0]["id"]), (&Value::from("048213"), &Value::from(1)));
    assert!(found[0].get("raw").is_none());
    assert_eq!(get("/mail?since=1").await.json::<Value>().await.unwrap(), serde_json::json!([]));
    assert_eq!(get("/mail/1").await.json::<Value>().await.unwrap(), found[0]);
    assert_eq!(get("/mail/2").await.status(), 404);
    let list = get("/mailbox").await.text().await.unwrap();
    assert!(list.contains("ログイン") && list.contains("/mailbox/1") && list.contains("048213"), "{list}");
    let page = get("/mailbox/1").await;
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let page = page.text().await.unwrap();
    assert!(page.contains("<iframe sandbox=\"\""), "{page}");
    assert!(!page.contains("<b>048213</b>"), "the mail's own HTML stands in the frame alone: {page}");
    assert!(http.delete(format!("{}/mail", sandbox.admin_url())).send().await.unwrap().status().is_success());
    assert!(sandbox.mail().to("taro@example.jp").is_empty());
}

#[tokio::test]
async fn dots_are_unstuffed_wherever_they_stand_and_however_the_bytes_arrive() {
    let sandbox = started().await;
    let mut client = Client::greeted(&sandbox).await;
    let mail = b"Subject: dots\r\n\r\n..one\r\n...two\r\nthree.\r\n.\r\n";
    client.begin("a@example.jp").await;
    client.send(mail).await;
    assert!(client.answer().await.starts_with("250 "));
    client.begin("b@example.jp").await;
    for byte in mail {
        client.send(&[*byte]).await;
        client.0.flush().await.unwrap();
    }
    assert!(client.answer().await.starts_with("250 "));
    for to in ["a@example.jp", "b@example.jp"] {
        let mail = sandbox.mail().to(to).remove(0);
        assert_eq!(mail.raw, b"Subject: dots\r\n\r\n.one\r\n..two\r\nthree.\r\n", "{to}");
    }
    // The first line of a mail may begin with a dot, and a mail may be empty.
    client.begin("c@example.jp").await;
    client.send(b"..x\r\n.\r\n").await;
    assert!(client.answer().await.starts_with("250 "));
    client.begin("c@example.jp").await;
    client.send(b".\r\n").await;
    assert!(client.answer().await.starts_with("250 "));
    let raws: Vec<_> = sandbox.mail().to("c@example.jp").iter().map(|mail| mail.raw.clone()).collect();
    assert_eq!(raws, [&b".x\r\n"[..], b""]);
}

#[tokio::test]
async fn commands_may_come_together_and_out_of_order_they_are_refused() {
    let sandbox = started().await;
    let mut client = Client::connect(&sandbox).await;
    client.answer().await;
    assert!(client.ask("MAIL FROM:<a@example.jp>").await.starts_with("503 "));
    assert!(client.ask("EHLO x").await.contains("250-8BITMIME"));
    for (command, code) in [
        ("RCPT TO:<a@example.jp>", "503 "),
        ("DATA", "503 "),
        ("WHAT", "500 "),
        ("MAIL FROM:<a@example.jp> SIZE=99999999", "552 "),
        ("AUTH LOGIN", "504 "),
        ("VRFY a", "252 "),
        ("NOOP", "250 "),
        ("STARTTLS", "502 "),
    ] {
        assert!(client.ask(command).await.starts_with(code), "{command}");
    }
    client
        .send(b"MAIL FROM:<a@example.jp>\r\nRCPT TO:<b@example.jp>\r\nRCPT TO:<c@example.jp>\r\nDATA\r\n")
        .await;
    for code in ["250 ", "250 ", "250 ", "354 "] {
        assert!(client.answer().await.starts_with(code));
    }
    client.send(b"Subject: x\r\n\r\nx\r\n.\r\nRSET\r\n").await;
    for code in ["250 2.0.0 taken", "250 "] {
        assert!(client.answer().await.starts_with(code));
    }
    assert_eq!(sandbox.mail().to("c@example.jp").len(), 1);
    assert_eq!(sandbox.core().journal.count(System::Smtp, Some("RCPT")), 2);
}

#[tokio::test]
async fn a_mail_that_is_too_long_is_read_to_its_end_and_refused() {
    let sandbox = started().await;
    let mut client = Client::greeted(&sandbox).await;
    client.begin("a@example.jp").await;
    let line = format!("{}\r\n", "x".repeat(998));
    client.send(line.repeat(1_100).as_bytes()).await;
    assert!(client.ask(".").await.starts_with("552 "));
    assert!(client.ask("NOOP").await.starts_with("250 "), "what follows is a command again");
    assert_eq!(sandbox.mail().newest(), 0);
}

#[tokio::test]
async fn only_the_right_password_opens() {
    let sandbox = started().await;
    let mut client = Client::greeted(&sandbox).await;
    // NUL portal NUL sandbox-smtp-password
    let right = "AHBvcnRhbABzYW5kYm94LXNtdHAtcGFzc3dvcmQ=";
    assert!(client.ask("AUTH PLAIN AHBvcnRhbAB3cm9uZw==").await.starts_with("535 "));
    assert!(client.ask(&format!("AUTH PLAIN {right}")).await.starts_with("235 "));
    assert!(client.ask("AUTH PLAIN").await.starts_with("334 "));
    assert!(client.ask(right).await.starts_with("235 "));
    assert!(client.ask("NOOP").await.starts_with("250 "));
}

#[tokio::test]
async fn faults_are_acted_out_as_mail_servers_fail() {
    let sandbox = started().await;
    let fault = |operation: &str, kind, applied| {
        let operation = operation.to_owned();
        let rule = Rule { operation, applied, times: Some(1), ..Rule::every(System::Smtp, kind) };
        sandbox.core().faults.add(rule);
    };
    fault("CONNECT", RuleKind::Status, false);
    assert_eq!(Client::connect(&sandbox).await.answer().await, "451 injected fault\r\n");
    fault("CONNECT", RuleKind::Drop, false);
    assert!(Client::connect(&sandbox).await.is_closed().await);

    let mut client = Client::greeted(&sandbox).await;
    fault("MAIL", RuleKind::Business, false);
    assert!(client.ask("MAIL FROM:<a@example.jp>").await.starts_with("554 "));
    for (applied, taken) in [(false, 0), (true, 1)] {
        fault("DATA", RuleKind::Status, applied);
        client.begin("a@example.jp").await;
        client.send(b"Subject: x\r\n\r\nx\r\n").await;
        assert!(client.ask(".").await.starts_with("451 "));
        assert_eq!(sandbox.mail().to("a@example.jp").len(), taken);
    }
    fault("RCPT", RuleKind::Expire, false);
    assert!(client.ask("MAIL FROM:<a@example.jp>").await.starts_with("250 "));
    assert!(client.ask("RCPT TO:<a@example.jp>").await.starts_with("421 "));
    assert!(client.is_closed().await);
}
