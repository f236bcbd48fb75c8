//! The mails in English.

use chrono::{DateTime, Utc};

use crate::{
    clock::TOKYO,
    mail::{
        letter::{Part, Words},
        message::{Message, Proof, SecondFactor},
    },
};

pub(super) const FOOTER: &str = "This message was sent automatically.";

const NEVER_TELL: &str = "Nobody from our staff will ever ask you for it.";
const NOT_YOU: &str = "If this was not you, set a new password now, end all sessions in your account's settings, and contact our support.";

fn time(at: DateTime<Utc>) -> String {
    at.with_timezone(&TOKYO).format("%-d %B %Y, %H:%M (Japan time)").to_string()
}

fn code(what_for: &str, code: &str, expires_at: DateTime<Utc>, otherwise: &str) -> Vec<Part> {
    vec![
        Part::text(what_for),
        Part::Code(code.to_owned()),
        Part::text(format!("The code is valid until {}. {NEVER_TELL}", time(expires_at))),
        Part::text(otherwise),
    ]
}

fn notice(what: &str, facts: Vec<(&'static str, String)>, otherwise: &str) -> Vec<Part> {
    vec![Part::text(what), Part::Facts(facts), Part::text(otherwise)]
}

fn when(at: DateTime<Utc>) -> (&'static str, String) {
    ("Time", time(at))
}

pub(super) fn words(message: &Message) -> Words {
    let (subject, parts) = match message {
        Message::SignUpCode { code: digits, expires_at } => (
            "Confirm your e-mail address",
            code(
                "Enter this code to confirm your e-mail address and go on:",
                digits,
                *expires_at,
                "If you did not ask for it, ignore this message: without the code nothing happens.",
            ),
        ),
        Message::SignInCode { code: digits, expires_at } => (
            "Your sign-in code",
            code(
                "Enter this code to sign in:",
                digits,
                *expires_at,
                "If you are not signing in right now, somebody knows your password: change it.",
            ),
        ),
        Message::StepUpCode { code: digits, expires_at } => (
            "Confirm that it is you",
            code(
                "Enter this code to confirm that it is you, and go on:",
                digits,
                *expires_at,
                "If you are not changing anything in your account right now, somebody else is signed in to it. Set a new password now, and end all sessions in your account's settings.",
            ),
        ),
        Message::PasswordReset { link, expires_at } => (
            "Set a new password",
            vec![
                Part::text("You asked to set a new password. Follow this link to do so:"),
                Part::Link { label: "Set a new password", url: link.clone() },
                Part::text(format!("The link works once, until {}.", time(*expires_at))),
                Part::text("If you did not ask for it, ignore this message: your password stays as it is."),
            ],
        ),
        Message::PasswordChanged { at } => (
            "Your password was changed",
            notice("The password of your account was changed.", vec![when(*at)], NOT_YOU),
        ),
        Message::EmailChangeCode { proves: Proof::NewAddress, code: digits, expires_at } => (
            "Confirm your new e-mail address",
            code(
                "Enter this code to use this e-mail address for your account:",
                digits,
                *expires_at,
                "If you did not ask for it, ignore this message: without the code nothing happens.",
            ),
        ),
        Message::EmailChangeCode { proves: Proof::PresentAddress, code: digits, expires_at } => (
            "Confirm the change of your e-mail address",
            code(
                "Another e-mail address is to be used for your account. Enter this code to allow it:",
                digits,
                *expires_at,
                "If you did not ask for it, somebody is signed in to your account: set a new password now.",
            ),
        ),
        Message::EmailChanged { masked, at } => (
            "Your e-mail address was changed",
            notice(
                "Another e-mail address is used for your account from now on. This is the last message to the old one.",
                vec![("New address", masked.clone()), when(*at)],
                "If this was not you, contact our support at once.",
            ),
        ),
        Message::EmailAdopted { at } => (
            "Your new e-mail address is in use",
            notice(
                "This e-mail address is used for your account from now on. Sign in with it; invoices and messages come here.",
                vec![when(*at)],
                NOT_YOU,
            ),
        ),
        Message::EmailInUse { at } => (
            "This e-mail address has an account already",
            notice(
                "Somebody wanted to use this e-mail address for another account. It belongs to an account already, so nothing was changed.",
                vec![when(*at)],
                "If it was you, sign in with this address, or choose another one for the other account. If not, there is nothing to do.",
            ),
        ),
        Message::ErasureCode { code: digits, expires_at } => (
            "Confirm that your account is to be erased",
            code(
                "Enter this code to erase your account. That cannot be undone:",
                digits,
                *expires_at,
                "If you do not want this, somebody else is signed in to your account. Set a new password now, and end all sessions in your account's settings.",
            ),
        ),
        Message::AccountErased { at } => (
            "Your account is erased",
            notice(
                "Your portal account is erased, with everything that the portal held about you. Books and invoices are kept as long as tax law asks. Our staff will erase what law permits elsewhere, and tell you. Your contracts go on.",
                vec![when(*at)],
                "If this was not you, contact our support at once.",
            ),
        ),
        Message::ExportReady { at, until } => (
            "Your data are ready",
            notice(
                "What you asked to be given of all that we know of you is ready. Sign in and download it in your account's settings.",
                vec![when(*at), ("Available until", time(*until))],
                NOT_YOU,
            ),
        ),
        Message::NewDevice { device, place, at } => {
            let mut facts = vec![("Device", device.clone())];
            facts.extend(place.clone().map(|place| ("Place", place)));
            facts.push(when(*at));
            (
                "New sign-in to your account",
                notice(
                    "Your account was used on a device that we have not seen before.",
                    facts,
                    &format!("If it was you, there is nothing to do. {NOT_YOU}"),
                ),
            )
        }
        Message::AccountLinked { at } => (
            "Your account is linked",
            notice(
                "Your existing contracts and invoices can be seen and managed in the portal from now on.",
                vec![when(*at)],
                "If this was not you, contact our support at once.",
            ),
        ),
        Message::SecondFactorChanged { change, at } => (
            "Your sign-in protection was changed",
            notice(
                match change {
                    SecondFactor::AppAdded => {
                        "An authenticator app was added to your account. Its code is asked for at sign-in from now on."
                    }
                    SecondFactor::AppRemoved => {
                        "The authenticator app was removed from your account. A code is sent by e-mail at sign-in instead."
                    }
                    SecondFactor::PasskeyAdded => "A passkey was added to your account.",
                    SecondFactor::PasskeyRemoved => "A passkey was removed from your account.",
                    SecondFactor::RecoveryCodesMade => {
                        "New recovery codes were made for your account. The old ones are void."
                    }
                    SecondFactor::RecoveryCodeUsed => {
                        "A recovery code of your account was used. It is void now."
                    }
                    SecondFactor::ResetBySupport => {
                        "Our support has removed the authenticator app, the recovery codes and the passkeys from your account, and ended all sessions. A code is sent by e-mail at sign-in instead."
                    }
                },
                vec![when(*at)],
                NOT_YOU,
            ),
        ),
        Message::GrantGiven { partner, allowed, at } => (
            "You gave a partner access to your account",
            notice(
                "You allowed another company's service to use your account from now on.",
                vec![("Service", partner.clone()), ("It may", allowed.join("; ")), when(*at)],
                &format!("You can take this back at any time in your account's settings. {NOT_YOU}"),
            ),
        ),
        Message::GrantTakenBack { partner, at } => (
            "A partner's access to your account has ended",
            notice(
                "What you had allowed another company's service was taken back. It sees nothing more of your account.",
                vec![("Service", partner.clone()), when(*at)],
                NOT_YOU,
            ),
        ),
        Message::SessionRevoked { device, at } => {
            let mut facts: Vec<_> = device.clone().map(|device| ("Device", device)).into_iter().collect();
            facts.push(when(*at));
            (
                "You were signed out for your safety",
                notice(
                    "The proof of one of your sessions was used twice, as when it is copied. We have ended that session.",
                    facts,
                    "Sign in again to go on. If you see sessions in your account's settings that are not yours, end them \
                     and set a new password.",
                ),
            )
        }
    };
    Words { subject, parts }
}
