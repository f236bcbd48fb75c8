//! Access tokens: short-lived JWTs signed with Ed25519.
//!
//! The algorithm is fixed and the key is found by name among ours: whatever else a token says of
//! algorithms and keys (`jku`, `x5u`, `jwk`) is not looked at. A token that was verified is known by
//! its hash until it expires, so that a signature is checked once and not with every request.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header, encode};
use moka::future::Cache;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    error::{Error, Result},
    id::UserId,
    identity::{Settings, keys::Keys},
    secret::SecretString,
};

/// The type of an access token (RFC 9068).
const TYPE: &str = "at+jwt";
/// Longer texts are refused unread; ours have about 500 bytes.
const MAX_BYTES: usize = 4 * 1024;
/// How far the clocks of two replicas may be apart.
pub(super) const SKEW: TimeDelta = TimeDelta::seconds(30);
/// No access token is good for longer (requirement A5).
const LONGEST: TimeDelta = TimeDelta::minutes(10);
/// Tokens known by hash at most: about 100 bytes each.
const CAPACITY: u64 = 200_000;

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: Uuid,
    sid: Uuid,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// What a verified token says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verified {
    pub(super) user: UserId,
    pub(super) session: Uuid,
    not_before: DateTime<Utc>,
    pub(super) expires_at: DateTime<Utc>,
}

/// Makes and verifies access tokens.
pub(super) struct Tokens {
    keys: Keys,
    issuer: String,
    audience: String,
    lifetime: TimeDelta,
    validation: Validation,
    verified: Cache<[u8; 32], Verified>,
}

impl Tokens {
    pub(super) fn new(keys: Keys, settings: &Settings) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[&settings.issuer]);
        validation.set_audience(&[&settings.audience]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        // Judged below by our clock, which a test can move.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Self {
            keys,
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            lifetime: TimeDelta::from_std(settings.access_lifetime).map_or(LONGEST, |time| time.min(LONGEST)),
            validation,
            verified: Cache::builder()
                .max_capacity(CAPACITY)
                .time_to_live(Duration::from_secs(LONGEST.num_seconds().unsigned_abs()))
                .build(),
        }
    }

    /// A token for a session, good for the configured time but not beyond the session's end.
    pub(super) fn issue(
        &self,
        user: UserId,
        session: Uuid,
        now: DateTime<Utc>,
        session_ends_at: DateTime<Utc>,
    ) -> Result<(SecretString, DateTime<Utc>)> {
        let expires_at = (now + self.lifetime).min(session_ends_at);
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: user.0,
            sid: session,
            iat: now.timestamp(),
            nbf: now.timestamp(),
            exp: expires_at.timestamp(),
        };
        Ok((self.sign(TYPE, &claims)?, DateTime::from_timestamp(claims.exp, 0).unwrap_or(expires_at)))
    }

    /// Signs claims as a token of a type.
    pub(super) fn sign(&self, of_type: &str, claims: &impl Serialize) -> Result<SecretString> {
        let header = Header {
            typ: Some(of_type.to_owned()),
            kid: Some(self.keys.kid.clone()),
            ..Header::new(Algorithm::EdDSA)
        };
        Ok(encode(&header, claims, &self.keys.signing).map_err(Error::internal)?.into())
    }

    /// The claims of a token of a type that a key of ours signed. Its times are not looked at.
    pub(super) fn open<C: DeserializeOwned>(
        &self,
        token: &str,
        of_type: &str,
        validation: &Validation,
    ) -> Option<C> {
        let header = decode_header(token).ok()?;
        if token.len() > MAX_BYTES || header.typ.as_deref() != Some(of_type) || header.crit.is_some() {
            return None;
        }
        let key = self.keys.verifying.get(header.kid.as_deref()?)?;
        Some(decode::<C>(token, key, validation).ok()?.claims)
    }

    /// What a token says; `None` when it is not one of ours, or not valid now.
    pub(super) async fn verify(&self, token: &str, now: DateTime<Utc>) -> Option<Verified> {
        if token.len() > MAX_BYTES {
            return None;
        }
        let hash = hash(token);
        let verified = match self.verified.get(&hash).await {
            Some(known) => known,
            None => self.read(token)?,
        };
        if now >= verified.expires_at + SKEW {
            self.verified.invalidate(&hash).await;
            return None;
        }
        if now < verified.not_before - SKEW {
            return None;
        }
        if !self.verified.contains_key(&hash) {
            self.verified.insert(hash, verified).await;
        }
        Some(verified)
    }

    /// Forgets a token that was verified.
    pub(super) async fn forget(&self, token: &str) {
        self.verified.invalidate(&hash(token)).await;
    }

    /// Checks everything but the time.
    fn read(&self, token: &str) -> Option<Verified> {
        let claims: Claims = self.open(token, TYPE, &self.validation)?;
        let not_before = DateTime::from_timestamp(claims.nbf, 0)?;
        let expires_at = DateTime::from_timestamp(claims.exp, 0)?;
        (expires_at - not_before <= LONGEST).then_some(Verified {
            user: UserId(claims.sub),
            session: claims.sid,
            not_before,
            expires_at,
        })
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
    use ed25519_dalek::{
        Signer, SigningKey,
        pkcs8::{EncodePrivateKey, EncodePublicKey, spki::der::pem::LineEnding},
    };
    use hmac::{Hmac, Mac};
    use serde_json::{Value, json};

    use super::*;
    use crate::secret::ExposeSecret;

    const SEED: [u8; 32] = [7; 32];

    fn settings(seed: [u8; 32]) -> Settings {
        let pem = SigningKey::from_bytes(&seed).to_pkcs8_pem(LineEnding::LF).unwrap();
        Settings { signing_key: Some(pem.to_string().into()), ..crate::identity::tests::settings() }
    }

    fn tokens() -> Tokens {
        let settings = settings(SEED);
        Tokens::new(Keys::open(&settings).unwrap(), &settings)
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn header(tokens: &Tokens) -> Value {
        json!({"alg": "EdDSA", "typ": "at+jwt", "kid": tokens.keys.kid})
    }

    fn claims() -> Value {
        let now = now().timestamp();
        json!({
            "iss": "https://portal.test", "aud": "portal", "sub": Uuid::nil(), "sid": Uuid::max(),
            "iat": now, "nbf": now, "exp": now + 600,
        })
    }

    fn with(mut value: Value, key: &str, to: impl Into<Value>) -> Value {
        value[key] = to.into();
        value
    }

    fn without(mut value: Value, key: &str) -> Value {
        value.as_object_mut().unwrap().remove(key);
        value
    }

    fn signed(header: &str, claims: &str) -> String {
        let text = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims));
        let signature = SigningKey::from_bytes(&SEED).sign(text.as_bytes());
        format!("{text}.{}", BASE64.encode(signature.to_bytes()))
    }

    fn token(header: &Value, claims: &Value) -> String {
        signed(&header.to_string(), &claims.to_string())
    }

    /// The same signature with the group order added to its second half: it fulfils the equation, too.
    fn respell(signature: &[u8]) -> Vec<u8> {
        const ORDER: [u8; 16] = *b"\xed\xd3\xf5\x5c\x1a\x63\x12\x58\xd6\x9c\xf7\xa2\xde\xf9\xde\x14";
        let mut order = [0; 32];
        order[..16].copy_from_slice(&ORDER);
        order[31] = 0x10;
        let mut respelt = signature.to_vec();
        let mut carry = 0;
        for (byte, add) in respelt[32..].iter_mut().zip(order) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            (*byte, carry) = ((sum & 0xff) as u8, sum >> 8);
        }
        respelt
    }

    #[tokio::test]
    async fn an_issued_token_is_accepted_for_ten_minutes_and_the_skew() {
        let tokens = tokens();
        let (user, session) = (UserId(Uuid::now_v7()), Uuid::now_v7());
        let far = now() + TimeDelta::days(1);
        let (token, expires_at) = tokens.issue(user, session, now(), far).unwrap();
        assert_eq!(expires_at, now() + TimeDelta::minutes(10));
        let token = token.expose_secret();
        let verified = tokens.verify(token, now()).await.unwrap();
        assert_eq!((verified.user, verified.session), (user, session));
        let read_once = tokens.verified.get(&hash(token)).await;
        assert_eq!(read_once.unwrap().session, session, "its signature is not checked again");
        for (at, is_good) in [(-31, false), (-30, true), (0, true), (629, true), (630, false)] {
            let then = now() + TimeDelta::seconds(at);
            assert_eq!(tokens.verify(token, then).await.is_some(), is_good, "{at} s, known");
            let fresh = super::tests::tokens();
            assert_eq!(fresh.verify(token, then).await.is_some(), is_good, "{at} s, new");
        }
        let (_, expires_at) = tokens.issue(user, session, now(), now() + TimeDelta::minutes(2)).unwrap();
        assert_eq!(expires_at, now() + TimeDelta::minutes(2), "not beyond the session");
    }

    #[tokio::test]
    async fn every_other_token_is_refused() {
        let tokens = tokens();
        let good = token(&header(&tokens), &claims());
        assert!(tokens.verify(&good, now()).await.is_some(), "the twin that is right");
        let (start, signature) = good.rsplit_once('.').unwrap();
        let public = SigningKey::from_bytes(&SEED).verifying_key();

        let hmac_with = |key: &[u8]| {
            let text = format!(
                "{}.{}",
                BASE64.encode(with(header(&tokens), "alg", "HS256").to_string()),
                BASE64.encode(claims().to_string())
            );
            let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).unwrap();
            mac.update(text.as_bytes());
            format!("{text}.{}", BASE64.encode(mac.finalize().into_bytes()))
        };
        let pem = public.to_public_key_pem(LineEnding::LF).unwrap();
        let of_header = |key: &str, to: Value| token(&with(header(&tokens), key, to), &claims());
        let of_claims = |key: &str, to: Value| token(&header(&tokens), &with(claims(), key, to));
        let at = |seconds: i64| json!(now().timestamp() + seconds);
        let twice =
            claims().to_string().replacen('{', r#"{"sub":"00000000-0000-0000-0000-000000000001","#, 1);
        let mut flipped = BASE64.decode(signature).unwrap();
        flipped[40] ^= 1;
        let malleable = respell(&BASE64.decode(signature).unwrap());

        let mut cases = vec![
            ("nothing", String::new()),
            ("two dots", "..".to_owned()),
            ("not base64", "a b.c d.e f".to_owned()),
            ("none, unsigned", {
                let header = with(header(&tokens), "alg", "none").to_string();
                format!("{}.{}.", BASE64.encode(header), BASE64.encode(claims().to_string()))
            }),
            ("none, signed", of_header("alg", json!("none"))),
            ("RS256", of_header("alg", json!("RS256"))),
            ("HS256 with the public key", hmac_with(public.as_bytes())),
            ("HS256 with its PEM", hmac_with(pem.as_bytes())),
            ("JWT", of_header("typ", json!("JWT"))),
            ("no type", token(&without(header(&tokens), "typ"), &claims())),
            ("unknown kid", of_header("kid", json!("another"))),
            ("no kid", token(&without(header(&tokens), "kid"), &claims())),
            ("kid as a path", of_header("kid", json!("../../dev/null"))),
            ("critical extension", of_header("crit", json!(["exp"]))),
            ("other issuer", of_claims("iss", json!("https://portal.test.evil"))),
            ("other audience", of_claims("aud", json!("partner"))),
            ("several audiences", of_claims("aud", json!(["portal", "partner"]))),
            ("expired", of_claims("exp", at(-31))),
            ("not yet", of_claims("nbf", at(31))),
            ("an hour", of_claims("exp", at(3600))),
            ("a claim twice", signed(&header(&tokens).to_string(), &twice)),
            ("no subject", token(&header(&tokens), &without(claims(), "sub"))),
            ("subject that is no id", of_claims("sub", json!("1 OR 1=1"))),
            ("no session", token(&header(&tokens), &without(claims(), "sid"))),
            ("no expiry", token(&header(&tokens), &without(claims(), "exp"))),
            ("no beginning", token(&header(&tokens), &without(claims(), "nbf"))),
            ("unsigned", format!("{start}.")),
            ("no signature part", start.to_owned()),
            ("a changed signature", format!("{start}.{}", BASE64.encode(&flipped))),
            ("a malleable signature", format!("{start}.{}", BASE64.encode(&malleable))),
            ("padding", format!("{good}==")),
            ("a fourth part", format!("{good}.e30")),
            ("100 KB", format!("{start}.{}", "A".repeat(100 * 1024))),
            ("100 KB of header", of_header("x", json!("A".repeat(100 * 1024)))),
        ];
        for cut in (0..good.len()).step_by(7) {
            cases.push(("cut off", good[..cut].to_owned()));
        }
        for (name, case) in cases {
            assert!(tokens.verify(&case, now()).await.is_none(), "{name}");
        }
        assert!(tokens.verified.get(&hash(&good)).await.is_some());
    }

    #[tokio::test]
    async fn a_key_that_the_token_brings_is_not_looked_at() {
        let tokens = tokens();
        let attacker = SigningKey::from_bytes(&[9; 32]);
        let x = BASE64.encode(attacker.verifying_key().as_bytes());
        let header = json!({
            "alg": "EdDSA", "typ": "at+jwt", "kid": tokens.keys.kid,
            "jku": "https://evil.test/jwks", "x5u": "https://evil.test/cert",
            "jwk": {"kty": "OKP", "crv": "Ed25519", "x": x},
        });
        let ours = token(&header, &claims());
        assert!(tokens.verify(&ours, now()).await.is_some(), "signed by our key all the same");
        let (text, _) = ours.rsplit_once('.').unwrap();
        let theirs = format!("{text}.{}", BASE64.encode(attacker.sign(text.as_bytes()).to_bytes()));
        assert!(tokens.verify(&theirs, now()).await.is_none());
    }

    #[tokio::test]
    async fn tokens_of_an_earlier_key_are_accepted_while_it_is_listed() {
        let old = tokens();
        let far = now() + TimeDelta::days(1);
        let (token, _) = old.issue(UserId(Uuid::nil()), Uuid::nil(), now(), far).unwrap();
        let public = SigningKey::from_bytes(&SEED).verifying_key().to_public_key_pem(LineEnding::LF).unwrap();
        let mut rotated = settings([8; 32]);
        for (listed, is_good) in [(vec![], false), (vec![public], true)] {
            rotated.verification_keys = listed;
            let new = Tokens::new(Keys::open(&rotated).unwrap(), &rotated);
            assert_ne!(new.keys.kid, old.keys.kid);
            assert_eq!(new.verify(token.expose_secret(), now()).await.is_some(), is_good);
        }
    }
}
