//! Signing in and out.
//!
//! A sign-in has two steps. What a device leaves for the next one travels as the session does: in a cookie, or in the answer.

use std::time::Duration;

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};

use super::{
    context::Ask,
    cookies::HAND_OFF,
    node::{key_of, opaque},
    refusal::refused,
    viewer::ViewerNode,
};
use crate::{
    error::{Error, Result, UserError},
    identity::{
        CaptchaSettings, Delivery, Entrance, Entry, Grant, SecondStep, SignIn, Verified, Viewer,
        challenge::{Kind, Opened},
    },
    secret::{ExposeSecret, SecretString},
};

/// What a session can change.
#[derive(Default)]
pub struct SessionMutation;

/// How a session reaches the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Enum)]
pub(super) enum SessionDelivery {
    /// As tokens in the answer, for apps and programs, which send `Authorization: Bearer`.
    #[default]
    Tokens,
    /// As cookies that no script can read, for browsers.
    Cookies,
}

impl From<SessionDelivery> for Delivery {
    fn from(delivery: SessionDelivery) -> Self {
        match delivery {
            SessionDelivery::Tokens => Self::Tokens,
            SessionDelivery::Cookies => Self::Cookies,
        }
    }
}

/// An e-mail address and its password.
#[derive(InputObject)]
pub(super) struct SessionCreateInput {
    /// The address that the customer signs in with, in any spelling.
    email: String,
    /// The portal password, 12 to 128 characters.
    password: String,
    /// How the session is to reach the client.
    #[graphql(default)]
    delivery: SessionDelivery,
    /// What an earlier sign-in left on this device. Browsers leave it out: theirs is in the cookie.
    #[graphql(secret)]
    device_token: Option<String>,
    /// What a sign-up gave that found an account to be there: it spares the code once. Browsers leave it out.
    #[graphql(secret)]
    hand_off_token: Option<String>,
    /// What the widget gave: see `Query.captcha`. Asked for after a few wrong passwords, with the error `AUTH_CAPTCHA_REQUIRED`.
    #[graphql(secret)]
    captcha_token: Option<String>,
}

/// The code of the second step.
#[derive(InputObject)]
pub(super) struct SessionVerifyInput {
    /// The id of the challenge that the first step gave.
    challenge_id: ID,
    /// The six digits that were mailed, or that the authenticator app shows, or a recovery code; spaces do not matter.
    #[graphql(secret)]
    code: String,
    /// Whether this device shall be trusted: for a week its sign-ins ask for no code.
    #[graphql(default)]
    remember_device: bool,
    /// How the session is to reach the client, as in the first step.
    #[graphql(default)]
    delivery: SessionDelivery,
    /// What an earlier sign-in left on this device. Browsers leave it out: theirs is in the cookie.
    #[graphql(secret)]
    device_token: Option<String>,
}

/// The challenge whose code did not arrive.
#[derive(InputObject)]
pub(super) struct SessionCodeResendInput {
    /// The id of the challenge that the first step gave.
    challenge_id: ID,
}

/// How a second step can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(super) enum ChallengeMethod {
    /// With a code of six digits that was mailed.
    MailedCode,
    /// With a code of six digits that the customer's authenticator app shows.
    Totp,
    /// With a recovery code, which stands in for a lost app once.
    RecoveryCode,
}

/// The second step of a sign-in.
#[derive(SimpleObject)]
pub(super) struct SessionChallenge {
    /// For `sessionVerify`. Opaque, and only for whoever began the sign-in.
    id: ID,
    /// How it can be taken. Nothing was mailed unless `MAILED_CODE` is among them.
    methods: Vec<ChallengeMethod>,
    /// The customer's address, such as `t***@example.jp`; a code that was mailed went there.
    masked_email: String,
    /// A code is refused from then on.
    expires_at: DateTime<Utc>,
    /// How often a code may be tried; then the sign-in begins anew.
    attempts_left: i32,
}

impl SessionChallenge {
    fn new(opened: Opened, step: SecondStep) -> Self {
        Self {
            id: opaque("Challenge", opened.id),
            methods: match step {
                SecondStep::MailedCode => vec![ChallengeMethod::MailedCode],
                SecondStep::Totp => vec![ChallengeMethod::Totp, ChallengeMethod::RecoveryCode],
            },
            masked_email: opened.masked_address,
            expires_at: opened.expires_at,
            attempts_left: tries(opened.tries_left),
        }
    }
}

/// An account to which a browser may sign in without a code.
#[derive(SimpleObject)]
pub(super) struct SignInHandOff {
    /// Its address, such as `t***@example.jp`.
    pub(super) masked_email: String,
}

/// How somebody shows that they are a person, and no program.
#[derive(SimpleObject)]
pub(super) struct Captcha {
    /// The key of the widget that is to be shown. What the widget gives is the `captchaToken` of an input, once.
    site_key: String,
    /// Whether it is asked of everybody who types a password, signs up, forgot the password or asks for a check of an address. If not, it
    /// is asked only after wrong passwords: when a `userErrors` says `AUTH_CAPTCHA_REQUIRED`.
    is_always_on: bool,
}

impl From<&CaptchaSettings> for Captcha {
    fn from(settings: &CaptchaSettings) -> Self {
        Self { site_key: settings.site_key.clone(), is_always_on: settings.is_always_on }
    }
}

/// The token to be exchanged.
#[derive(Default, InputObject)]
pub(super) struct SessionRefreshInput {
    /// The refresh token. Browsers leave it out: theirs is in the cookie, and so will the next be.
    refresh_token: Option<String>,
}

/// A session. With cookies the tokens are null here.
#[derive(SimpleObject)]
pub(super) struct Session {
    /// For the header `Authorization: Bearer`. Null when it went into a cookie.
    access_token: Option<String>,
    /// The access token is refused from then on.
    access_token_expires_at: DateTime<Utc>,
    /// Gives the next session once. Null when it went into a cookie.
    refresh_token: Option<String>,
    /// The refresh token is refused from then on.
    refresh_token_expires_at: DateTime<Utc>,
}

/// Something that the person can put right.
#[derive(SimpleObject)]
pub(super) struct UserErrorNode {
    /// A stable code.
    pub(super) code: String,
    /// Path of the input field at fault; empty when it is the whole input.
    pub(super) field: Vec<String>,
    /// A sentence for the person.
    pub(super) message: String,
}

/// The answer to the first step of a sign-in.
#[derive(Default, SimpleObject)]
pub(super) struct SessionCreatePayload {
    /// The new session, where the password is enough: on a trusted device. Null otherwise.
    session: Option<Session>,
    /// The second step. Null when none is asked for, or the first was refused.
    challenge: Option<SessionChallenge>,
    /// The customer who signed in. Null without a session.
    viewer: Option<ViewerNode>,
    /// For the next sign-in of this device. Null without a session, and when it went into a cookie.
    device_token: Option<String>,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// The answer to the second step of a sign-in.
#[derive(Default, SimpleObject)]
pub(super) struct SessionVerifyPayload {
    /// The new session. Null when the code does not count.
    session: Option<Session>,
    /// The customer who signed in. Null when the code does not count.
    viewer: Option<ViewerNode>,
    /// For the next sign-in of this device. Null without a session, and when it went into a cookie.
    device_token: Option<String>,
    /// How often a code may still be tried; 0 when the sign-in has to begin anew. Null with a session.
    attempts_left: Option<i32>,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// The answer to asking for another code.
#[derive(Default, SimpleObject)]
pub(super) struct SessionCodeResendPayload {
    /// The second step as it is now. Null when the sign-in has to begin anew.
    challenge: Option<SessionChallenge>,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// The answer to a refresh.
#[derive(Default, SimpleObject)]
pub(super) struct SessionRefreshPayload {
    /// The next session. Null when the token was refused.
    session: Option<Session>,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// The answer to a sign-out.
#[derive(SimpleObject)]
pub(super) struct SessionEndPayload {
    /// Whether a session was ended; false when nobody was signed in.
    ended: bool,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// What a session can change.
#[Object]
impl SessionMutation {
    /// Begins to sign a customer in: gives the second step, or on a trusted device the session at once. At most once per
    /// operation.
    async fn session_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who signs in.")] input: SessionCreateInput,
    ) -> Option<Result<SessionCreatePayload>> {
        let act = async {
            let (app, from) = (ctx.app()?, ctx.origin().solved(input.captcha_token));
            can_deliver(ctx, input.delivery)?;
            let password = SecretString::from(input.password);
            let (device, hand_off) =
                (input.device_token.map(SecretString::from), input.hand_off_token.map(SecretString::from));
            let device = device.as_ref().or(ctx.cookies()?.device());
            let hand_off = hand_off.as_ref().or(ctx.cookies()?.hand_off());
            let entry = Entry { delivery: input.delivery.into(), device, from: &from };
            match app.identity.sign_in(&input.email, &password, hand_off, &entry).await {
                Ok(SignIn::Entered(entrance)) => {
                    let (session, viewer, device_token) = enter(ctx, *entrance, input.delivery).await?;
                    Ok(SessionCreatePayload {
                        session: Some(session),
                        viewer: Some(viewer),
                        device_token,
                        ..Default::default()
                    })
                }
                Ok(SignIn::Challenged(opened, step)) => {
                    let challenge = Some(SessionChallenge::new(opened, step));
                    Ok(SessionCreatePayload { challenge, ..Default::default() })
                }
                Err(Error::Rejected(errors)) => {
                    let user_errors = refused(ctx, "session.create", errors).await?;
                    Ok(SessionCreatePayload { user_errors, ..Default::default() })
                }
                Err(error) => Err(error),
            }
        };
        Some(act.await)
    }

    /// Ends a sign-in with a code: the one that was mailed, that of the authenticator app, or a recovery code. At most once
    /// per operation.
    async fn session_verify(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The code, and for what.")] input: SessionVerifyInput,
    ) -> Option<Result<SessionVerifyPayload>> {
        let act = async {
            let (app, from) = (ctx.app()?, ctx.origin());
            can_deliver(ctx, input.delivery)?;
            let challenge = key_of("input.challengeId", "Challenge", &input.challenge_id)?;
            let code = SecretString::from(input.code);
            let device = input.device_token.map(SecretString::from);
            let device = device.as_ref().or(ctx.cookies()?.device());
            let entry = Entry { delivery: input.delivery.into(), device, from: &from };
            match app.identity.verify(challenge, &code, input.remember_device, &entry).await {
                Ok(Verified::Entered(entrance)) => {
                    let (session, viewer, device_token) = enter(ctx, *entrance, input.delivery).await?;
                    Ok(SessionVerifyPayload {
                        session: Some(session),
                        viewer: Some(viewer),
                        device_token,
                        ..Default::default()
                    })
                }
                Ok(Verified::Refused(refusal)) => {
                    let errors = vec![UserError { field: vec!["code"], ..refusal.error }];
                    Ok(SessionVerifyPayload {
                        attempts_left: Some(tries(refusal.tries_left)),
                        user_errors: refused(ctx, "session.create", errors).await?,
                        ..Default::default()
                    })
                }
                Err(Error::Rejected(errors)) => {
                    let user_errors = refused(ctx, "session.create", errors).await?;
                    Ok(SessionVerifyPayload { user_errors, ..Default::default() })
                }
                Err(error) => Err(error),
            }
        };
        Some(act.await)
    }

    /// Mails another code for a sign-in that has begun with one; the one before is void, the tries stay. At most once per
    /// operation.
    async fn session_code_resend(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "For which sign-in.")] input: SessionCodeResendInput,
    ) -> Option<Result<SessionCodeResendPayload>> {
        let act = async {
            let challenge = key_of("input.challengeId", "Challenge", &input.challenge_id)?;
            let challenges = ctx.app()?.identity.challenges();
            Ok(match challenges.resend(Kind::SignIn, challenge, &ctx.origin()).await? {
                Ok(opened) => SessionCodeResendPayload {
                    challenge: Some(SessionChallenge::new(opened, SecondStep::MailedCode)),
                    ..Default::default()
                },
                Err(refusal) => {
                    let errors = vec![UserError { field: vec!["challengeId"], ..refusal.error }];
                    let user_errors = refused(ctx, "code.send", errors).await?;
                    SessionCodeResendPayload { user_errors, ..Default::default() }
                }
            })
        };
        Some(act.await)
    }

    /// Exchanges a refresh token for the next session. At most once per operation.
    async fn session_refresh(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The token to be exchanged; left out by browsers.")] input: Option<
            SessionRefreshInput,
        >,
    ) -> Option<Result<SessionRefreshPayload>> {
        let read = async {
            let (token, delivery) = match input.unwrap_or_default().refresh_token {
                Some(token) => (SecretString::from(token), SessionDelivery::Tokens),
                None => match ctx.cookies()?.refresh() {
                    Some(token) => (token.clone(), SessionDelivery::Cookies),
                    None => return Err(Error::Unauthenticated),
                },
            };
            let identity = &ctx.app()?.identity;
            match identity.refresh(&token, &ctx.origin()).await {
                Ok(grant) => Ok(SessionRefreshPayload {
                    session: Some(deliver(ctx, grant, delivery)?),
                    user_errors: Vec::new(),
                }),
                Err(Error::Rejected(errors)) => {
                    let user_errors = refused(ctx, "session.refresh", errors).await?;
                    Ok(SessionRefreshPayload { session: None, user_errors })
                }
                Err(Error::Unauthenticated) => {
                    ctx.cookies()?.sign_out();
                    Err(Error::Unauthenticated)
                }
                Err(error) => Err(error),
            }
        };
        Some(read.await)
    }

    /// Ends the session with which this is asked, on every device that shares it.
    async fn session_end(&self, ctx: &Context<'_>) -> Option<Result<SessionEndPayload>> {
        let read = async {
            ctx.cookies()?.sign_out();
            let ended = match ctx.viewer() {
                Ok(viewer) => {
                    ctx.app()?.identity.sign_out(viewer).await?;
                    true
                }
                Err(_) => false,
            };
            Ok(SessionEndPayload { ended, user_errors: Vec::new() })
        };
        Some(read.await)
    }
}

/// Whether a session can reach the client as it wishes.
pub(super) fn can_deliver(ctx: &Context<'_>, delivery: SessionDelivery) -> Result<()> {
    if delivery == SessionDelivery::Cookies && !ctx.cookies()?.are_writable() {
        let reason = "COOKIES needs a POST with the header x-portal-csrf from an allowed origin";
        return Err(Error::BadInput { argument: "input.delivery", reason });
    }
    Ok(())
}

/// Puts what a sign-in gave where the client wants it: the session, its customer, and what is left on the device.
pub(super) async fn enter(
    ctx: &Context<'_>,
    Entrance { grant, device }: Entrance,
    delivery: SessionDelivery,
) -> Result<(Session, ViewerNode, Option<String>)> {
    let app = ctx.app()?;
    let principal = app.identity.authenticate(grant.access_token.expose_secret()).await?;
    let viewer = ViewerNode(Viewer::new(principal, ctx.budget()?).from(ctx.origin()));
    let device_token = match delivery {
        SessionDelivery::Tokens => Some(device.token.expose_secret().to_owned()),
        SessionDelivery::Cookies => {
            let lasts = device.expires_at - app.clock.now();
            ctx.cookies()?.know_device(device.token, lasts.to_std().unwrap_or(Duration::ZERO));
            None
        }
    };
    if ctx.cookies()?.hand_off().is_some() {
        ctx.cookies()?.forget(HAND_OFF);
    }
    Ok((deliver(ctx, grant, delivery)?, viewer, device_token))
}

fn tries(left: u32) -> i32 {
    i32::try_from(left).unwrap_or(i32::MAX)
}

/// Puts the tokens where the client wants them.
pub(super) fn deliver(ctx: &Context<'_>, grant: Grant, delivery: SessionDelivery) -> Result<Session> {
    let (access_token, refresh_token) = match delivery {
        SessionDelivery::Tokens => (
            Some(grant.access_token.expose_secret().to_owned()),
            Some(grant.refresh_token.expose_secret().to_owned()),
        ),
        SessionDelivery::Cookies => {
            let now = ctx.app()?.clock.now();
            let lasts = |until: DateTime<Utc>| (until - now).to_std().unwrap_or(Duration::ZERO);
            ctx.cookies()?.sign_in(
                grant.access_token,
                lasts(grant.access_expires_at),
                grant.refresh_token,
                lasts(grant.refresh_expires_at),
            );
            (None, None)
        }
    };
    Ok(Session {
        access_token,
        access_token_expires_at: grant.access_expires_at,
        refresh_token,
        refresh_token_expires_at: grant.refresh_expires_at,
    })
}
