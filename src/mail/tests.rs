//! What each mail says, and how it travels.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use chrono::TimeZone;
use mail_parser::MessageParser;
use uuid::Uuid;

use super::{letter::Letter, *};
use crate::clock::Clock;

fn settings() -> Settings {
    Settings {
        url: "smtp://127.0.0.1:1".into(),
        from: "no-reply@portal.example.jp".parse().unwrap(),
        reply_to: Some("support@example.jp".parse().unwrap()),
        name: "Example Portal".to_owned(),
        name_japanese: "サンプルポータル".to_owned(),
        timeout: Duration::from_secs(1),
        connections: 1,
        attempts: 8,
    }
}

fn noon() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 20, 3, 0, 0).unwrap()
}

/// One of each message; of those with variants, one of each variant.
fn messages() -> Vec<(&'static str, Message)> {
    let (at, expires_at, code) = (noon(), noon(), "048213".to_owned());
    let second_factor = |change| Message::SecondFactorChanged { change, at };
    let email_change = |proves| Message::EmailChangeCode { proves, code: "048213".to_owned(), expires_at };
    vec![
        ("sign_up_code", Message::SignUpCode { code: code.clone(), expires_at }),
        ("sign_in_code", Message::SignInCode { code: code.clone(), expires_at }),
        ("step_up_code", Message::StepUpCode { code, expires_at }),
        (
            "password_reset",
            Message::PasswordReset {
                link: "https://portal.example.jp/reset?a=1&token=x".to_owned(),
                expires_at,
            },
        ),
        ("password_changed", Message::PasswordChanged { at }),
        ("email_change_code_new", email_change(Proof::NewAddress)),
        ("email_change_code_present", email_change(Proof::PresentAddress)),
        ("email_changed", Message::EmailChanged { masked: "t***@example.jp".to_owned(), at }),
        ("email_adopted", Message::EmailAdopted { at }),
        ("email_in_use", Message::EmailInUse { at }),
        ("erasure_code", Message::ErasureCode { code: "048213".to_owned(), expires_at }),
        ("account_erased", Message::AccountErased { at }),
        ("export_ready", Message::ExportReady { at, until: expires_at }),
        (
            "new_device",
            Message::NewDevice {
                device: "Firefox, <Windows>".to_owned(),
                place: Some("東京".to_owned()),
                at,
            },
        ),
        ("account_linked", Message::AccountLinked { at }),
        ("app_added", second_factor(SecondFactor::AppAdded)),
        ("app_removed", second_factor(SecondFactor::AppRemoved)),
        ("passkey_added", second_factor(SecondFactor::PasskeyAdded)),
        ("passkey_removed", second_factor(SecondFactor::PasskeyRemoved)),
        ("recovery_codes_made", second_factor(SecondFactor::RecoveryCodesMade)),
        ("recovery_code_used", second_factor(SecondFactor::RecoveryCodeUsed)),
        ("factors_reset", second_factor(SecondFactor::ResetBySupport)),
        (
            "grant_given",
            Message::GrantGiven {
                partner: "Household <Books>".to_owned(),
                allowed: vec!["See your orders".to_owned(), "See the services that you have".to_owned()],
                at,
            },
        ),
        ("grant_taken_back", Message::GrantTakenBack { partner: "Household <Books>".to_owned(), at }),
        ("session_revoked", Message::SessionRevoked { device: None, at }),
    ]
}

fn mail(language: Language, message: Message) -> Mail {
    Mail { to: "taro.yamada@example.jp".to_owned(), language, message }
}

const LANGUAGES: [Language; 2] = [Language::English, Language::Japanese];

#[test]
fn each_mail_says_in_both_languages_what_it_did() {
    let settings = settings();
    for (name, message) in messages() {
        for language in LANGUAGES {
            let mail = mail(language, message.clone());
            let letter = Letter::new(&mail, &settings);
            let shown = format!("Subject: {}\n\n{}", letter.subject, letter.text().unwrap());
            insta::assert_snapshot!(format!("{name}_{}", language.tag()), shown);
        }
    }
}

#[test]
fn the_page_of_a_mail_looks_as_it_did() {
    let settings = settings();
    for (name, message) in messages() {
        if ["sign_in_code", "password_reset", "new_device"].contains(&name) {
            for language in LANGUAGES {
                let mail = mail(language, message.clone());
                let html = Letter::new(&mail, &settings).html().unwrap();
                insta::assert_snapshot!(format!("{name}_{}_html", language.tag()), html);
            }
        }
    }
}

#[test]
fn both_renderings_of_every_mail_say_the_same() {
    let settings = settings();
    for (name, message) in messages() {
        for language in LANGUAGES {
            let mail = mail(language, message.clone());
            let letter = Letter::new(&mail, &settings);
            let html = letter.html().unwrap();
            let said = html_escape::decode_html_entities(&html);
            for line in letter.text().unwrap().lines().filter(|line| *line != "-- ") {
                for piece in line.split(": ") {
                    assert!(said.contains(piece.trim().trim_end_matches(':')), "{name}: {piece}\n{html}");
                }
            }
            for loads in ["<img", "<script", "<link", "src=", "url("] {
                assert!(!html.contains(loads), "{name} loads something: {loads}");
            }
            assert!(html.contains(&format!("<html lang=\"{}\">", language.tag())));
        }
    }
}

#[tokio::test]
async fn a_mail_travels_in_the_standards_form_and_reads_as_it_was_written() {
    let clock = Clock::starting_at(noon());
    let mailer = Mailer::new(settings(), clock).unwrap();
    let job = Uuid::from_u128(7);
    let mail =
        mail(Language::Japanese, Message::SignInCode { code: "048213".to_owned(), expires_at: noon() });
    let sent = mailer.envelope(&mail, mail.to.parse().unwrap(), job).unwrap();
    let raw = sent.formatted();
    assert!(raw.is_ascii(), "encoded for every server on the way");
    let text = String::from_utf8(raw.clone()).unwrap();
    assert!(text.lines().all(|line| line.len() <= 998), "RFC 5322 §2.1.1");
    insta::assert_snapshot!(
        "headers",
        text.split("\r\n\r\n").next().unwrap().replace("\r\n", "\n").replace(":00:01", ":00:00")
    );

    let read = MessageParser::default().parse(&raw).unwrap();
    assert_eq!(read.subject(), Some("ログイン用コード"));
    assert_eq!(read.from().unwrap().first().unwrap().name(), Some("サンプルポータル"));
    assert_eq!(read.message_id(), Some("00000000-0000-0000-0000-000000000007@portal.example.jp"));
    let settings = settings();
    let letter = Letter::new(&mail, &settings);
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(&read.body_text(0).unwrap()), lines(&letter.text().unwrap()));
    assert_eq!(lines(&read.body_html(0).unwrap()), lines(&letter.html().unwrap()));
    assert_eq!((read.text_body_count(), read.html_body_count(), read.attachment_count()), (1, 1, 0));
}

#[test]
fn neither_the_address_nor_the_code_prints_and_codes_expire() {
    for (name, message) in messages() {
        let mail = mail(Language::English, message);
        let printed = format!("{mail:?}");
        for secret in ["taro", "example.jp", "048213", "token"] {
            assert!(!printed.contains(secret), "{name}: {printed}");
        }
        let is_proof = name.contains("code_") || name.ends_with("_code") || name == "password_reset";
        let is_proof = is_proof && !name.starts_with("recovery");
        assert_eq!(mail.expires_at().is_some(), is_proof, "{name}");
        let json = serde_json::to_string(&mail).unwrap();
        assert_eq!(serde_json::from_str::<Mail>(&json).unwrap(), mail, "{name}");
    }
}

#[test]
fn an_address_says_whether_the_way_is_protected() {
    let uses_tls = |text: &str| uses_tls(&url::Url::parse(text).unwrap());
    assert_eq!(uses_tls("smtps://user:password@mail.example.jp"), Ok(true));
    assert_eq!(uses_tls("smtp://mail.example.jp:587?tls=required"), Ok(true));
    assert_eq!(uses_tls("smtp://127.0.0.1:4105"), Ok(false));
    for wrong in
        ["http://mail.example.jp", "smtp://mail.example.jp?tls=opportunistic", "smtp:mail.example.jp"]
    {
        assert!(uses_tls(wrong).is_err(), "{wrong}");
    }
}
