//! How often what may be tried (requirement A4, domain reference §7.2): by account, by network address, and over all.

use std::{net::IpAddr, time::Duration};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    error::{Error, Result},
    identity::{
        Context, derive,
        throttle::{Bucket, Outcome, Rule, Throttle},
    },
    store::{Store, audit::Event},
};

/// What is counted for one person's device or session, right ones included, may be so many times a limit: a browser has many
/// tabs, and a person signs in more often than they mistype.
const OF_ONE_PERSON: u32 = 10;
/// Of what a stranger can be refused as often as they like, one from each network is noted in this time.
const NOTED_EVERY: Duration = Duration::from_secs(5 * 60);

/// So many in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub limit: u32,
    /// Within what time.
    pub window: Duration,
}

/// How often what may be tried. Each holds for an account; a network address, behind which many people may sit, may do
/// [`Limits::people_per_address`] times as much.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Wrong passwords: after so many each further try for an account waits, a second at first and twice as long each time,
    /// at most the window. Those of a network address are a rate as all the others are: a wait would grow with the failures
    /// of neighbours, and never end where somebody always mistypes.
    pub sign_in: Rate,
    /// Beginnings of a sign-up.
    pub sign_up: Rate,
    /// Requests of guests for a check of an address.
    pub availability: Rate,
    /// Links to replace a password.
    pub password_reset: Rate,
    /// Exchanges of refresh tokens: of a session ten times as many, since a browser has many tabs; for a network address only
    /// those count that are of no session.
    pub refresh: Rate,
    /// Mails with a code.
    pub code_sends: Rate,
    /// Tries of a code.
    pub code_tries: Rate,
    /// Beginnings of a sign-in with a passkey, by network address alone.
    pub passkeys: Rate,
    /// Solved CAPTCHAs that are shown: by network address, or on a known device by that alone.
    pub captchas: Rate,
    /// Tokens that a partner asks for, from one network address.
    pub partner_tokens: Rate,
    /// For how many people one network address may stand.
    pub people_per_address: u32,
    /// Wrong passwords of everybody together.
    pub failures: Rate,
}

impl Default for Limits {
    fn default() -> Self {
        const MINUTE: u64 = 60;
        let rate = |limit, minutes| Rate { limit, window: Duration::from_secs(minutes * MINUTE) };
        Self {
            sign_in: rate(5, 15),
            sign_up: rate(5, 15),
            availability: rate(5, 15),
            password_reset: rate(5, 15),
            refresh: rate(10, 5),
            code_sends: rate(5, 5),
            code_tries: rate(10, 5),
            passkeys: rate(60, 5),
            captchas: rate(20, 5),
            partner_tokens: rate(30, 1),
            people_per_address: 10,
            failures: rate(3_000, 5),
        }
    }
}

/// What is tried, besides passwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A sign-up begins.
    SignUp,
    /// A guest asks for a check of an address.
    Availability,
    /// A link to replace a password is wanted.
    PasswordReset,
    /// A code is to be mailed to an address that nobody proved to be theirs.
    CodeSend,
    /// A code is to be mailed to the address of an account.
    KnownCodeSend,
    /// A code is tried.
    CodeTry,
    /// A sign-in with a passkey begins.
    Passkey,
    /// A solved CAPTCHA is shown.
    Captcha,
    /// A partner asks for a token.
    PartnerToken,
}

impl Purpose {
    const fn name(self) -> &'static str {
        match self {
            Self::SignUp => "sign-up",
            Self::Availability => "availability",
            Self::PasswordReset => "password-reset",
            Self::CodeSend => "code-send",
            Self::CodeTry => "code-try",
            Self::KnownCodeSend => "known-code-send",
            Self::Passkey => "passkey-begin",
            Self::Captcha => "captcha",
            Self::PartnerToken => "partner-token",
        }
    }

    const fn rate(self, limits: &Limits) -> Rate {
        match self {
            Self::SignUp => limits.sign_up,
            Self::Availability => limits.availability,
            Self::PasswordReset => limits.password_reset,
            Self::CodeSend | Self::KnownCodeSend => limits.code_sends,
            Self::CodeTry => limits.code_tries,
            Self::Passkey => limits.passkeys,
            Self::Captcha => limits.captchas,
            Self::PartnerToken => limits.partner_tokens,
        }
    }
}

/// What is guessed. Each has buckets of its own: what a stranger may choose in one, as the id of a passkey, names nothing in
/// another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secret {
    /// The password of an account.
    Password,
    /// The password that billing judges: whoever knows it is not forgiven for guessing ours.
    BillingPassword,
    /// A code of an authenticator app, or a recovery code.
    SecondFactor,
    /// The answer of a passkey.
    Passkey,
}

impl Secret {
    const fn name(self) -> &'static str {
        match self {
            Self::Password => "sign-in",
            Self::BillingPassword => "billing-login",
            Self::SecondFactor => "second-factor",
            Self::Passkey => "passkey",
        }
    }
}

/// Holds the limits. Names of buckets are keyed hashes: a copy of them names nobody.
///
/// Whoever is turned away leaves a trace in the audit log, but no flood of them fills it: it is the first of an account and of
/// a network within the window of the limit. What was let through before has events of its own.
pub(super) struct Gate {
    throttle: Throttle,
    key: [u8; 32],
    limits: Limits,
    store: Store,
}

/// Something that is being tried: where it counts.
#[derive(Default)]
#[must_use]
pub(super) struct Guess(Vec<Counted>);

/// Where something that is being tried counts as wrong.
#[derive(Clone, Copy)]
struct Counted {
    bucket: Bucket,
    /// What becomes of that when it was right.
    right: Option<Outcome>,
    /// And when it could not be tried.
    untried: Option<Outcome>,
}

impl Counted {
    /// As wrong, unless something else becomes of it when it was right.
    const fn new(bucket: Bucket, right: Option<Outcome>) -> Self {
        Self { bucket, right, untried: Some(Outcome::Withdrawn) }
    }
}

/// Whether so many were wrong that whoever tries another one shall show that they are a person. It counts where that is said
/// until it was right.
pub(super) enum Doubted {
    /// They shall.
    Yes(Guess),
    /// Not yet.
    No(Guess),
}

impl Guess {
    /// Both, of the same try.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }
}

impl Gate {
    pub(super) fn new(throttle: Throttle, key: [u8; 32], limits: Limits, store: Store) -> Self {
        Self { throttle, key, limits, store }
    }

    /// Counts something for an account and for where it comes from, or refuses it.
    ///
    /// # Errors
    /// [`crate::error::Error::RateLimited`].
    pub(super) async fn pass(
        &self,
        purpose: Purpose,
        account: Option<&[u8]>,
        from: &Context,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let (name, rate) = (purpose.name(), purpose.rate(&self.limits));
        let account = account.unwrap_or_default();
        let mut buckets = Vec::with_capacity(2);
        if !account.is_empty() {
            buckets.push(self.bucket(name, "account", account, Rule::rate(rate.limit, rate.window)));
        }
        buckets.extend(self.of_network(name, rate, from));
        self.admit(&buckets, Try { of: name, account, from, window: rate.window }, now).await
    }

    /// The same for the account alone: who has a session, or sits at a device of theirs, does not wait for neighbours.
    ///
    /// # Errors
    /// [`crate::error::Error::RateLimited`].
    pub(super) async fn pass_account(
        &self,
        purpose: Purpose,
        account: &[u8],
        from: &Context,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let (name, Rate { limit, window }) = (purpose.name(), purpose.rate(&self.limits));
        let bucket = self.bucket(name, "account", account, Rule::rate(limit, window));
        self.admit(&[bucket], Try { of: name, account, from, window }, now).await
    }

    /// Counts a secret as wrong until [`Gate::right`] or [`Gate::untried`] says otherwise, or refuses to try it.
    ///
    /// # Errors
    /// [`crate::error::Error::RateLimited`].
    pub(super) async fn guess(
        &self,
        secret: Secret,
        account: &[u8],
        from: &Context,
        now: DateTime<Utc>,
    ) -> Result<Guess> {
        let Limits { sign_in, failures, .. } = self.limits;
        let (of, window) = (secret.name(), sign_in.window);
        let all = self.bucket("sign-in", "all", b"", Rule::rate(failures.limit, failures.window));
        let network = self.of_network("sign-in", sign_in, from);
        // A success is no failure of its network, but does not forgive those of its neighbours.
        let withdrawn = |bucket| Counted::new(bucket, Some(Outcome::Withdrawn));
        let mut guess: Vec<_> = network.into_iter().chain([all]).map(withdrawn).collect();
        let bucket = self.bucket(of, "account", account, Rule::delay(sign_in.limit, window));
        guess.push(Counted::new(bucket, Some(Outcome::Forgiven)));
        let buckets: Vec<_> = guess.iter().map(|counted| counted.bucket).collect();
        self.admit(&buckets, Try { of, account, from, window }, now).await?;
        Ok(Guess(guess))
    }

    /// The same on a device where the account signed in before, or in a session of it: that has a bucket of its own, and
    /// whoever guesses elsewhere does not fill it. Right ones count there, too: their number is a person's, so that nobody
    /// keeps all others waiting behind hashes of their own password.
    ///
    /// # Errors
    /// [`crate::error::Error::RateLimited`].
    pub(super) async fn guess_on_device(
        &self,
        secret: Secret,
        account: &[u8],
        device: &[u8],
        from: &Context,
        now: DateTime<Utc>,
    ) -> Result<Guess> {
        let (of, Rate { limit, window }) = (secret.name(), self.limits.sign_in);
        let who = [device, account].concat();
        let wrong = self.bucket(of, "device", &who, Rule::delay(limit, window));
        let all =
            self.bucket(of, "device-all", &who, Rule::rate(limit.saturating_mul(OF_ONE_PERSON), window));
        self.admit(&[wrong, all], Try { of, account, from, window }, now).await?;
        Ok(Guess(vec![Counted::new(wrong, Some(Outcome::Forgiven)), Counted::new(all, None)]))
    }

    /// The one on a device, where there is one, or the other.
    ///
    /// # Errors
    /// [`crate::error::Error::RateLimited`].
    pub(super) async fn guess_at(
        &self,
        secret: Secret,
        account: &[u8],
        device: Option<&[u8]>,
        from: &Context,
        now: DateTime<Utc>,
    ) -> Result<Guess> {
        match device {
            Some(device) => self.guess_on_device(secret, account, device, from, now).await,
            None => self.guess(secret, account, from, now).await,
        }
    }

    /// Counts a secret among the first few after which a person is asked for: of an account on its device, or of an account
    /// and its network. Nobody waits for it.
    pub(super) async fn doubt(
        &self,
        secret: Secret,
        account: &[u8],
        device: Option<&[u8]>,
        after: u32,
        from: &Context,
        now: DateTime<Utc>,
    ) -> Doubted {
        let (of, rate) = (secret.name(), Rate { limit: after, ..self.limits.sign_in });
        let rule = Rule::rate(rate.limit, rate.window);
        let mut counted = Vec::with_capacity(2);
        match device {
            Some(device) => {
                let who = [device, account].concat();
                let bucket = self.bucket(of, "doubted-device", &who, rule);
                counted.push(Counted::new(bucket, Some(Outcome::Forgiven)));
            }
            None => {
                let bucket = self.bucket(of, "doubted-account", account, rule);
                counted.push(Counted::new(bucket, Some(Outcome::Forgiven)));
                let network = self.of_network("doubted", rate, from);
                counted.extend(network.map(|network| Counted::new(network, Some(Outcome::Withdrawn))));
            }
        }
        let buckets: Vec<_> = counted.iter().map(|counted| counted.bucket).collect();
        if self.throttle.admit(&buckets, now).await.is_ok() {
            return Doubted::No(Guess(counted));
        }
        // It did not count, but if it is right, the account or the device begins anew.
        counted.retain(|counted| counted.right == Some(Outcome::Forgiven));
        Doubted::Yes(Guess(counted.into_iter().map(|counted| Counted { untried: None, ..counted }).collect()))
    }

    /// Counts a refresh token: for its session, or, if it is of none, for where it comes from.
    ///
    /// # Errors
    /// [`crate::error::Error::RateLimited`].
    pub(super) async fn pass_refresh(
        &self,
        session: Option<Uuid>,
        from: &Context,
        now: DateTime<Utc>,
    ) -> Result<()> {
        const OF: &str = "refresh";
        let rate = self.limits.refresh;
        let rule = Rule::rate(rate.limit.saturating_mul(OF_ONE_PERSON), rate.window);
        let account = session.as_ref().map_or(&[][..], |session| &session.as_bytes()[..]);
        let bucket = match session {
            Some(_) => Some(self.bucket(OF, "session", account, rule)),
            None => self.of_network(OF, rate, from),
        };
        self.admit(bucket.as_slice(), Try { of: OF, account, from, window: rate.window }, now).await
    }

    /// What a network address may do, behind which many people sit.
    fn of_network(&self, name: &str, rate: Rate, from: &Context) -> Option<Bucket> {
        let rule = Rule::rate(self.shared(rate.limit), rate.window);
        from.address.map(|address| self.bucket(name, "address", &network_of(address), rule))
    }

    async fn admit(&self, buckets: &[Bucket], tried: Try<'_>, now: DateTime<Utc>) -> Result<()> {
        let admitted = self.throttle.admit(buckets, now).await;
        if let Err(refused @ Error::RateLimited { .. }) = &admitted {
            let Try { of, account, from, window } = tried;
            let mut event = from.event("attempt", from.actor(), now).refused(refused.code()).with("of", of);
            let mut noted = vec![self.bucket(of, "noted-address", &network(from), Rule::rate(1, window))];
            if !account.is_empty() {
                let bucket = self.bucket(of, "noted-account", account, Rule::rate(1, window));
                event = event.with("account", hex::encode(&bucket.key[..8]));
                noted.push(bucket);
            }
            self.note_first(&noted, event, now).await;
        }
        admitted
    }

    /// Notes in the audit log that somebody who is not known was refused something that no limit counts: of its kind, once a
    /// network and a few minutes.
    pub(super) async fn note_stranger(&self, event: Event, from: &Context, now: DateTime<Utc>) {
        let noted = self.bucket("refused", &event.kind(), &network(from), Rule::rate(1, NOTED_EVERY));
        self.note_first(&[noted], event, now).await;
    }

    /// Writes an event, if it is the first that these buckets take.
    async fn note_first(&self, noted: &[Bucket], event: Event, now: DateTime<Utc>) {
        if self.throttle.admit(noted, now).await.is_err() {
            // The first of them is on record, and stands for it.
            event.settle();
            return;
        }
        // They were refused all the same.
        if let Err(error) = self.store.audit(event).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a refusal is missing in the audit log");
        }
    }

    /// It was right.
    pub(super) async fn right(&self, Guess(counted): Guess) {
        self.settle(&counted, |counted| counted.right).await;
    }

    /// It could not be tried.
    pub(super) async fn untried(&self, Guess(counted): Guess) {
        self.settle(&counted, |counted| counted.untried).await;
    }

    async fn settle(&self, counted: &[Counted], outcome: impl Fn(&Counted) -> Option<Outcome>) {
        let outcomes: Vec<_> =
            counted.iter().filter_map(|counted| Some((counted.bucket, outcome(counted)?))).collect();
        self.throttle.settle(&outcomes).await;
    }

    fn shared(&self, limit: u32) -> u32 {
        limit.saturating_mul(self.limits.people_per_address.max(1))
    }

    fn bucket(&self, purpose: &str, scope: &str, who: &[u8], rule: Rule) -> Bucket {
        let name = [purpose.as_bytes(), b":", scope.as_bytes(), b":", who].concat();
        Bucket { key: derive(&self.key, &name), rule }
    }
}

/// What is tried when it is turned away.
struct Try<'a> {
    of: &'static str,
    /// As its bucket knows it; empty when none is.
    account: &'a [u8],
    from: &'a Context,
    /// How long the limit remembers.
    window: Duration,
}

fn network(from: &Context) -> Vec<u8> {
    from.address.map(network_of).unwrap_or_default()
}

/// The network that counts as one client: an IPv4 address, or the /64 of an IPv6 address.
pub fn network_of(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets()[..8].to_vec(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn an_ipv6_client_is_its_network() {
        let network = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::9"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
    }
}
