//! Getting started: signing up, and linking an existing customer.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::{
    context::Ask,
    node::opaque,
    refusal::{parted, refused},
    session::{Session, SessionDelivery, UserErrorNode, can_deliver, enter},
    viewer::ViewerNode,
};
use crate::{
    billing::Gender,
    error::{Error, Result, UserError},
    identity::{
        Entry, HandOff,
        challenge::{Opened, Refusal},
    },
    mail::Language as MailLanguage,
    secret::{ExposeSecret, SecretString},
    workflows::{
        form::{AddressInput, PersonInput, ProfileChange},
        sign_up::{Completion, Ending, LinkForm, Prefill, Route, Routed, SignUpForm, Verified},
    },
};

/// Getting started.
#[derive(Default)]
pub struct SignUpMutation;

/// A language of mails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Enum)]
pub(super) enum Language {
    /// English.
    #[default]
    English,
    /// Japanese.
    Japanese,
}

impl From<Language> for MailLanguage {
    fn from(language: Language) -> Self {
        match language {
            Language::English => Self::English,
            Language::Japanese => Self::Japanese,
        }
    }
}

/// The address that is to be proved.
#[derive(InputObject)]
pub(super) struct SignUpBeginInput {
    /// The e-mail address, in any spelling.
    email: String,
    /// In which language the mails come.
    #[graphql(default)]
    language: Language,
    /// What the widget gave: see `Query.captcha`. Asked for where `isAlwaysOn`, with the error `AUTH_CAPTCHA_REQUIRED`.
    #[graphql(secret)]
    captcha_token: Option<String>,
}

/// The challenge whose code did not arrive.
#[derive(InputObject)]
pub(super) struct SignUpResendInput {
    /// Its id.
    challenge_id: ID,
}

/// The code that arrived.
#[derive(InputObject)]
pub(super) struct SignUpVerifyInput {
    /// The challenge that it answers.
    challenge_id: ID,
    /// Six digits.
    #[graphql(secret)]
    code: String,
    /// How a hand-off is to reach the client: see `SignUpRouting.handOff`.
    #[graphql(default)]
    delivery: SessionDelivery,
}

/// The login of the billing system, checked once.
#[derive(InputObject)]
pub(super) struct SignUpVerifyByBillingInput {
    /// The e-mail address of that login.
    email: String,
    /// Its password.
    #[graphql(secret)]
    password: String,
    /// In which language the mails come.
    #[graphql(default)]
    language: Language,
    /// What the widget gave: see `Query.captcha`. Asked for after a few wrong passwords, with the error `AUTH_CAPTCHA_REQUIRED`.
    #[graphql(secret)]
    captcha_token: Option<String>,
}

/// A verification that was given before.
#[derive(InputObject)]
pub(super) struct SignUpResumeInput {
    /// Its token.
    #[graphql(secret)]
    verification: String,
    /// How a hand-off is to reach the client: see `SignUpRouting.handOff`.
    #[graphql(default)]
    delivery: SessionDelivery,
}

/// Everything that a new customer says.
#[derive(InputObject)]
pub(super) struct SignUpCompleteInput {
    /// The token of the verification.
    #[graphql(secret)]
    verification: String,
    /// The person.
    profile: PersonInput,
    /// Where they live: the whole address.
    address: AddressInput,
    /// The portal password, 12 to 128 characters.
    #[graphql(secret)]
    password: String,
    /// The version of the terms that the person accepted.
    terms_version: String,
    /// Whether advertising is welcome.
    #[graphql(default)]
    accepts_marketing: bool,
    /// Whether staff shall check what internet can be had at the address. The answer comes by e-mail.
    #[graphql(default)]
    availability: bool,
    /// How the session is to reach the client.
    #[graphql(default)]
    delivery: SessionDelivery,
    /// What an earlier sign-in left on this device. Browsers leave it out: theirs is in the cookie.
    #[graphql(secret)]
    device_token: Option<String>,
}

/// What an existing customer says.
#[derive(InputObject)]
pub(super) struct AccountLinkInput {
    /// The token of the verification.
    #[graphql(secret)]
    verification: String,
    /// What the customer corrects of what billing knows.
    #[graphql(default)]
    profile: ProfileChange,
    /// The address, when it is another than billing has.
    address: Option<AddressInput>,
    /// A new password for the portal, 12 to 128 characters, and another than the one of billing that was proved.
    #[graphql(secret)]
    password: String,
    /// The version of the terms that the customer accepted.
    terms_version: String,
    /// Whether advertising is welcome. Left out, it stays as billing has it.
    accepts_marketing: Option<bool>,
    /// How the session is to reach the client.
    #[graphql(default)]
    delivery: SessionDelivery,
    /// What an earlier sign-in left on this device. Browsers leave it out: theirs is in the cookie.
    #[graphql(secret)]
    device_token: Option<String>,
}

/// A code that is on its way.
#[derive(SimpleObject)]
pub(super) struct SignUpChallenge {
    /// For `signUpVerify` and `signUpResend`. Opaque.
    id: ID,
    /// Where the code went, masked: `t***@example.jp`.
    sent_to: String,
    /// The code is good until then.
    expires_at: DateTime<Utc>,
    /// Wrong codes until it is void, and one has to begin again.
    tries_left: u32,
}

impl From<Opened> for SignUpChallenge {
    fn from(opened: Opened) -> Self {
        Self {
            id: opaque("SignUpChallenge", opened.id),
            sent_to: opened.masked_address,
            expires_at: opened.expires_at,
            tries_left: opened.tries_left,
        }
    }
}

/// An address that was proved; whoever has its token may complete the sign-up.
pub(super) struct SignUpVerification {
    verified: Verified,
    delivery: SessionDelivery,
}

/// An address that was proved; whoever has its token may complete the sign-up.
#[Object]
impl SignUpVerification {
    /// For `signUpComplete`, `accountLink` and `signUpResume`. A secret.
    async fn token(&self) -> String {
        self.verified.token.expose_secret().to_owned()
    }

    /// It is good until then.
    async fn expires_at(&self) -> DateTime<Utc> {
        self.verified.verification.expires_at
    }

    /// The terms that are to be accepted.
    async fn terms_version(&self, ctx: &Context<'_>) -> Option<Result<String>> {
        Some(ctx.app().map(|app| app.sign_up.terms_version().to_owned()))
    }

    /// Where the person belongs. Null while a system does not answer: ask again with `signUpResume`.
    async fn routing(&self, ctx: &Context<'_>) -> Option<Result<SignUpRouting>> {
        let routed = async {
            match ctx.app()?.sign_up.route(&self.verified.verification, ctx.budget()?).await {
                Ok(routed) => SignUpRouting::new(ctx, routed, self.delivery),
                Err(Error::Rejected(errors)) => {
                    let user_errors = refused(ctx, "sign-up.route", errors).await?;
                    Ok(SignUpRouting { user_errors, ..SignUpRouting::default() })
                }
                Err(error) => Err(error),
            }
        };
        Some(routed.await)
    }
}

/// Where a person belongs, and what is known of them.
#[derive(Default, SimpleObject)]
pub(super) struct SignUpRouting {
    /// Where. Null when only support can tell.
    route: Option<Route>,
    /// To be filled in for the person to confirm. Null when nothing is known.
    prefill: Option<SignUpPrefill>,
    /// For whoever has an account and proved the address by a code within the last 5 minutes: signs in without another code,
    /// unless an authenticator app is enrolled. Null otherwise.
    hand_off: Option<SignUpHandOff>,
    /// Why there is no route; empty when there is.
    user_errors: Vec<UserErrorNode>,
}

/// A proof of an address, for the sign-in that follows.
#[derive(SimpleObject)]
pub(super) struct SignUpHandOff {
    /// The proof. A secret. Null when it went into a cookie, of which `signInHandOff` tells.
    token: Option<String>,
    /// It is good until then.
    expires_at: DateTime<Utc>,
}

impl SignUpHandOff {
    /// Puts the proof where the client wants it.
    fn new(ctx: &Context<'_>, given: HandOff, delivery: SessionDelivery) -> Result<Self> {
        let expires_at = given.expires_at;
        let token = match delivery {
            SessionDelivery::Tokens => Some(given.token.expose_secret().to_owned()),
            SessionDelivery::Cookies => {
                let lasts = (expires_at - ctx.app()?.clock.now()).to_std().unwrap_or_default();
                ctx.cookies()?.keep_hand_off(given.token, lasts);
                None
            }
        };
        Ok(Self { token, expires_at })
    }
}

/// What is known of a person who has proved the address.
#[derive(SimpleObject)]
pub(super) struct SignUpPrefill {
    /// Given name. Null when it is not known.
    first_name: Option<String>,
    /// Family name. Null when it is not known.
    last_name: Option<String>,
    /// Telephone number. Null when it is not known.
    phone: Option<String>,
    /// Birth date. Null when it is not known.
    birth_date: Option<NaiveDate>,
    /// Gender. Null when it is not known.
    gender: Option<Gender>,
    /// Whether there is an address that can be kept as it is.
    has_address: bool,
}

impl From<Prefill> for SignUpPrefill {
    fn from(known: Prefill) -> Self {
        let Prefill { first_name, last_name, phone, birth_date, gender, has_address } = known;
        Self { first_name, last_name, phone, birth_date, gender, has_address }
    }
}

impl SignUpRouting {
    fn new(ctx: &Context<'_>, routed: Routed, delivery: SessionDelivery) -> Result<Self> {
        let is_known = matches!(routed.route, Route::BillingUnmapped | Route::CrmUnmapped);
        Ok(Self {
            route: Some(routed.route),
            prefill: is_known.then(|| routed.prefill.into()),
            hand_off: routed.hand_off.map(|given| SignUpHandOff::new(ctx, given, delivery)).transpose()?,
            user_errors: Vec::new(),
        })
    }
}

/// The answer to a beginning; the same whether or not the address is known.
#[derive(Default, SimpleObject)]
pub(super) struct SignUpBeginPayload {
    /// The code that is on its way. Null when it was refused.
    challenge: Option<SignUpChallenge>,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// The answer to a proof.
#[derive(Default, SimpleObject)]
pub(super) struct SignUpVerifyPayload {
    /// What was proved. Null when it was refused.
    verification: Option<SignUpVerification>,
    /// Tries that are left, when a code was wrong; 0 when one has to begin again. Null otherwise.
    tries_left: Option<u32>,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// How far a sign-up came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(super) enum SignUpStatus {
    /// The account is there, and its customer is signed in.
    Complete,
    /// It goes on: say the same again, with the same verification, after a moment.
    InProgress,
    /// It was refused; nothing is there. After putting it right it may be said again, with the same verification.
    Refused,
}

/// The answer to the completion of a sign-up.
#[derive(SimpleObject)]
pub(super) struct SignUpCompletePayload {
    /// How far it came.
    status: SignUpStatus,
    /// The session. Null until it is complete.
    session: Option<Session>,
    /// The customer who is signed in. Null until it is complete.
    viewer: Option<ViewerNode>,
    /// For the next sign-in of this device. Null until it is complete, and when it went into a cookie.
    device_token: Option<String>,
    /// Why it was refused, everything at once; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// Getting started.
#[Object]
impl SignUpMutation {
    /// Mails a code to an address, the first step of signing up and of linking an existing customer. The answer is the same
    /// for every address. At most once per operation.
    async fn sign_up_begin(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whose address.")] input: SignUpBeginInput,
    ) -> Option<Result<SignUpBeginPayload>> {
        let begun = async {
            let language = input.language.into();
            let from = ctx.origin().solved(input.captcha_token);
            let opened = ctx.app()?.sign_up.begin(&input.email, language, &from).await;
            let (opened, user_errors) = parted(ctx, "sign-up.begin", opened).await?;
            Ok(SignUpBeginPayload { challenge: opened.map(Into::into), user_errors })
        };
        Some(begun.await)
    }

    /// Mails another code, which replaces the one before; tries are not refilled. At most once per operation.
    async fn sign_up_resend(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which challenge.")] input: SignUpResendInput,
    ) -> Option<Result<SignUpBeginPayload>> {
        let sent = async {
            let challenge = challenge(&input.challenge_id)?;
            Ok(match ctx.app()?.sign_up.resend(challenge, &ctx.origin()).await? {
                Ok(opened) => SignUpBeginPayload { challenge: Some(opened.into()), user_errors: Vec::new() },
                Err(refusal) => {
                    let error = UserError { field: vec!["challengeId"], ..refusal.error };
                    let user_errors = refused(ctx, "code.send", vec![error]).await?;
                    SignUpBeginPayload { challenge: None, user_errors }
                }
            })
        };
        Some(sent.await)
    }

    /// Tries the code that was mailed. At most once per operation.
    async fn sign_up_verify(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The code, and what it answers.")] input: SignUpVerifyInput,
    ) -> Option<Result<SignUpVerifyPayload>> {
        let verified = async {
            // Before the code is used up.
            can_deliver(ctx, input.delivery)?;
            let (challenge, code) = (challenge(&input.challenge_id)?, SecretString::from(input.code));
            Ok(match ctx.app()?.sign_up.verify(challenge, &code, &ctx.origin()).await? {
                Ok(verified) => given(verified, input.delivery),
                Err(Refusal { error, tries_left }) => {
                    let error = UserError { field: vec!["code"], ..error };
                    SignUpVerifyPayload {
                        verification: None,
                        tries_left: Some(tries_left),
                        user_errors: refused(ctx, "verification.create", vec![error]).await?,
                    }
                }
            })
        };
        Some(verified.await)
    }

    /// Proves an existing customer by the login of the billing system, instead of a code. The password is checked once and
    /// kept nowhere; a login with a second factor is refused. At most once per operation.
    async fn sign_up_verify_by_billing(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The login.")] input: SignUpVerifyByBillingInput,
    ) -> Option<Result<SignUpVerifyPayload>> {
        let verified = async {
            let (password, language) = (SecretString::from(input.password), input.language.into());
            let (app, budget, from) = (ctx.app()?, ctx.budget()?, ctx.origin().solved(input.captcha_token));
            let verified =
                app.sign_up.verify_by_billing(&input.email, &password, language, &from, budget).await;
            // No hand-off follows from that.
            told(ctx, "verification.create", verified, SessionDelivery::default()).await
        };
        Some(verified.await)
    }

    /// Gives a verification again, for whoever comes back to it, or to ask for its routing once more.
    async fn sign_up_resume(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which verification.")] input: SignUpResumeInput,
    ) -> Option<Result<SignUpVerifyPayload>> {
        let resumed = async {
            can_deliver(ctx, input.delivery)?;
            let resumed = ctx.app()?.sign_up.resume(input.verification.into()).await;
            told(ctx, "verification.resume", resumed, input.delivery).await
        };
        Some(resumed.await)
    }

    /// Makes a new customer: account, billing, portal user. Saying it again with the same verification makes no second one.
    /// At most once per operation.
    async fn sign_up_complete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Everything about the customer.")] input: SignUpCompleteInput,
    ) -> Option<Result<SignUpCompletePayload>> {
        let completed = async {
            can_deliver(ctx, input.delivery)?;
            let form = SignUpForm {
                profile: input.profile,
                address: input.address,
                availability: input.availability,
                ending: Ending {
                    password: input.password.into(),
                    terms_version: input.terms_version,
                    marketing: Some(input.accepts_marketing),
                },
            };
            let (token, budget, from) = (input.verification.into(), ctx.budget()?, ctx.origin());
            let device = input.device_token.map(SecretString::from);
            let device = device.as_ref().or(ctx.cookies()?.device());
            let entry = Entry { delivery: input.delivery.into(), device, from: &from };
            let completed = ctx.app()?.sign_up.complete(token, form, &entry, budget).await;
            payload(ctx, completed, input.delivery).await
        };
        Some(completed.await)
    }

    /// Gives an existing customer of billing a portal user with a password of its own. Saying it again with the same
    /// verification makes no second one. At most once per operation.
    async fn account_link(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What the customer confirms.")] input: AccountLinkInput,
    ) -> Option<Result<SignUpCompletePayload>> {
        let linked = async {
            can_deliver(ctx, input.delivery)?;
            let form = LinkForm {
                profile: input.profile,
                address: input.address,
                ending: Ending {
                    password: input.password.into(),
                    terms_version: input.terms_version,
                    marketing: input.accepts_marketing,
                },
            };
            let (token, budget, from) = (input.verification.into(), ctx.budget()?, ctx.origin());
            let device = input.device_token.map(SecretString::from);
            let device = device.as_ref().or(ctx.cookies()?.device());
            let entry = Entry { delivery: input.delivery.into(), device, from: &from };
            let linked = ctx.app()?.sign_up.link(token, form, &entry, budget).await;
            payload(ctx, linked, input.delivery).await
        };
        Some(linked.await)
    }
}

fn given(verified: Verified, delivery: SessionDelivery) -> SignUpVerifyPayload {
    SignUpVerifyPayload {
        verification: Some(SignUpVerification { verified, delivery }),
        ..Default::default()
    }
}

async fn told(
    ctx: &Context<'_>,
    act: &'static str,
    verified: Result<Verified>,
    delivery: SessionDelivery,
) -> Result<SignUpVerifyPayload> {
    let (verified, user_errors) = parted(ctx, act, verified).await?;
    Ok(match verified {
        Some(verified) => given(verified, delivery),
        None => SignUpVerifyPayload { user_errors, ..Default::default() },
    })
}

async fn payload(
    ctx: &Context<'_>,
    completed: Result<Completion>,
    delivery: SessionDelivery,
) -> Result<SignUpCompletePayload> {
    let bare = |status| SignUpCompletePayload {
        status,
        session: None,
        viewer: None,
        device_token: None,
        user_errors: Vec::new(),
    };
    match completed {
        Ok(Completion::InProgress) => Ok(bare(SignUpStatus::InProgress)),
        Ok(Completion::SignedIn(entrance)) => {
            let (session, viewer, device_token) = enter(ctx, *entrance, delivery).await?;
            Ok(SignUpCompletePayload {
                session: Some(session),
                viewer: Some(viewer),
                device_token,
                ..bare(SignUpStatus::Complete)
            })
        }
        Err(Error::Rejected(errors)) => {
            let user_errors = refused(ctx, "user.register", errors).await?;
            Ok(SignUpCompletePayload { user_errors, ..bare(SignUpStatus::Refused) })
        }
        Err(error) => Err(error),
    }
}

/// Reads the id of a challenge.
fn challenge(id: &ID) -> Result<Uuid> {
    let text =
        BASE64_URL_SAFE_NO_PAD.decode(id.as_str()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.and_then(|text| Uuid::parse_str(text.strip_prefix("SignUpChallenge:")?).ok())
        .ok_or(Error::BadInput { argument: "input.challengeId", reason: "is not an id of this graph" })
}
