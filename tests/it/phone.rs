//! An authenticator in software, as a phone is, and the browser before it: what the specification asks of them, for P-256 keys.
//!
//! The kept crate for that, `passkey`, makes `serde_json` keep the order of objects in all that is built with it, so that
//! tests would run another gateway than the one that is shipped. The answers are judged by a crate that shares nothing
//! with this.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use p256::ecdsa::{Signature, SigningKey, signature::Signer};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

/// The gateway's own pages, as they are reached in tests.
pub const ORIGIN: &str = "http://localhost:4000";
/// Their domain.
pub const DOMAIN: &str = "localhost";

// Flags of authenticator data.
const PRESENT: u8 = 1;
const VERIFIED: u8 = 1 << 2;
const MAY_BE_BACKED_UP: u8 = 1 << 3;
const IS_BACKED_UP: u8 = 1 << 4;
const HAS_CREDENTIAL: u8 = 1 << 6;

/// The authenticator holds a passkey of this person already.
#[derive(Debug)]
pub struct Excluded;

/// A phone with room for one passkey. A clone is what a thief would make of it.
#[derive(Clone, Default)]
pub struct Phone {
    passkey: Option<Passkey>,
    counts: bool,
    /// What it calls a passkey that it makes; at random without.
    name: Option<Vec<u8>>,
}

#[derive(Clone)]
struct Passkey {
    id: Vec<u8>,
    key: SigningKey,
    user: String,
    uses: u32,
}

impl Phone {
    /// A phone whose passkeys are copied to others, so that it does not count their uses.
    pub fn new() -> Self {
        Self::default()
    }

    /// A key that counts how often it is used.
    pub fn counting() -> Self {
        Self { counts: true, ..Self::default() }
    }

    /// One whose owner chose how it calls its passkey.
    pub fn calling_its_passkey(name: &[u8]) -> Self {
        Self { name: Some(name.to_owned()), ..Self::default() }
    }

    /// Makes a passkey on a page.
    pub async fn create(&mut self, origin: &str, options: &Value) -> Result<Value, Excluded> {
        check_domain(origin, &options["rp"]["id"]);
        let held = self.passkey.as_ref().map(|passkey| text(&passkey.id));
        let mut excluded = options["excludeCredentials"].as_array().unwrap().iter();
        if held.is_some_and(|held| excluded.any(|one| one["id"] == held)) {
            return Err(Excluded);
        }
        let es256 = |kind: &Value| *kind == json!({ "type": "public-key", "alg": -7 });
        assert!(options["pubKeyCredParams"].as_array().unwrap().iter().any(es256), "{options}");
        let passkey = Passkey {
            id: self.name.clone().unwrap_or_else(|| rand::random::<[u8; 32]>().to_vec()),
            key: SigningKey::from_slice(&rand::random::<[u8; 32]>()).unwrap(),
            user: options["user"]["id"].as_str().unwrap().to_owned(),
            uses: 0,
        };
        let point = passkey.key.verifying_key().to_encoded_point(false);
        let (x, y) = (point.x().unwrap(), point.y().unwrap());
        // COSE: an elliptic curve key (1: 2) for ES256 (3: -7) on P-256 (-1: 1), with its x and y.
        let head = [0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32];
        let public_key = [&head[..], x, &[0x22, 0x58, 32], y].concat();
        let length = u16::try_from(passkey.id.len()).unwrap().to_be_bytes();
        let credential = [&[0; 16][..], &length, &passkey.id, &public_key].concat();
        let data = self.data(DOMAIN, 0, HAS_CREDENTIAL | PRESENT | VERIFIED, &credential);
        // CBOR: { "fmt": "none", "attStmt": {}, "authData": … }.
        let length = u8::try_from(data.len()).unwrap();
        let head = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58";
        let attestation = [&head[..], &[length], &data].concat();
        let spki = hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").unwrap();
        let answer = json!({
            "id": text(&passkey.id),
            "rawId": text(&passkey.id),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "response": {
                "clientDataJSON": text(client_data("webauthn.create", origin, options).to_string().as_bytes()),
                "attestationObject": text(&attestation),
                "authenticatorData": text(&data),
                "publicKey": text(&[&spki[..], point.as_bytes()].concat()),
                "publicKeyAlgorithm": -7,
                "transports": ["internal", "hybrid"],
            },
            "clientExtensionResults": {},
        });
        self.passkey = Some(passkey);
        Ok(answer)
    }

    /// Uses the passkey on a page.
    pub async fn get(&mut self, origin: &str, options: &Value) -> Value {
        check_domain(origin, &options["rpId"]);
        self.get_unchecked(&client_data("webauthn.get", origin, options), DOMAIN, true).await
    }

    /// Uses the passkey in a browser that checks nothing itself.
    pub async fn get_unchecked(&mut self, client_data: &Value, rp_id: &str, verifies: bool) -> Value {
        let client_data = client_data.to_string();
        let passkey = self.passkey.as_mut().unwrap();
        passkey.uses += 1;
        let passkey = passkey.clone();
        let uses = if self.counts { passkey.uses } else { 0 };
        let data = self.data(rp_id, uses, if verifies { PRESENT | VERIFIED } else { PRESENT }, &[]);
        let signed = [&data[..], &Sha256::digest(&client_data)].concat();
        let signature: Signature = passkey.key.sign(&signed);
        json!({
            "id": text(&passkey.id),
            "rawId": text(&passkey.id),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "response": {
                "clientDataJSON": text(client_data.as_bytes()),
                "authenticatorData": text(&data),
                "signature": text(signature.to_der().as_bytes()),
                "userHandle": passkey.user,
            },
            "clientExtensionResults": {},
        })
    }

    /// What the authenticator says of itself and of the moment.
    fn data(&self, rp_id: &str, uses: u32, flags: u8, credential: &[u8]) -> Vec<u8> {
        let copies = if self.counts { 0 } else { MAY_BE_BACKED_UP | IS_BACKED_UP };
        [&Sha256::digest(rp_id)[..], &[flags | copies], &uses.to_be_bytes(), credential].concat()
    }
}

/// What a browser says of the page.
fn client_data(kind: &str, origin: &str, options: &Value) -> Value {
    json!({ "type": kind, "challenge": options["challenge"], "origin": origin, "crossOrigin": false })
}

/// A browser lets a page use the passkeys of its own domain.
fn check_domain(origin: &str, rp_id: &Value) {
    assert_eq!(Url::parse(origin).unwrap().host_str(), rp_id.as_str());
    assert_eq!(rp_id, DOMAIN);
}

fn text(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
