//! New users: one by one with a password of their own, or many at once for demonstrations.

use uuid::Uuid;

use crate::{
    error::{Error, Result, UserError},
    id::{AccountId, ClientId, UserId},
    identity::{Context, Identity, email::read_email, policy, rejected},
    secret::SecretString,
    store::{
        self, Mapping, NewCustomer, NewUser,
        audit::{Actor, Event},
    },
};

const ALREADY_REGISTERED: UserError = UserError {
    code: "ALREADY_REGISTERED",
    field: Vec::new(),
    message: "This address or customer is registered already.",
};

/// Who is to be registered.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The address, in any spelling.
    pub email: String,
    /// The billing client.
    pub client: ClientId,
    /// The CRM account.
    pub account: AccountId,
    /// The language of mails and messages: `en` or `ja`.
    pub locale: &'static str,
}

/// How a registered person will prove who they are.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A password of 12 to 128 characters that is not easily guessed.
    Password(SecretString),
    /// The PHC string of one that was hashed before: see [`Identity::hash_password`].
    Phc(SecretString),
}

impl Identity {
    /// Registers a person whose client and account exist.
    ///
    /// # Errors
    /// [`Error::BadInput`] for an address that is none; [`Error::Rejected`] with `PASSWORD_LENGTH`,
    /// `PASSWORD_GUESSABLE` or `ALREADY_REGISTERED`.
    pub async fn register(&self, registration: &Registration, credential: Credential) -> Result<UserId> {
        let email = read_email(&registration.email)?;
        let hash = match credential {
            Credential::Password(password) => self.hash_password(&password).await?,
            Credential::Phc(hash) => hash,
        };
        let now = self.0.now();
        let mapping = mapping(registration);
        let user = NewUser {
            id: mapping.user,
            email: email.as_str(),
            password_hash: &hash,
            locale: registration.locale,
            at: now,
        };
        let stored = async {
            let mut tx = self.0.store.begin().await?;
            tx.insert_user(&user).await?;
            tx.insert_mapping(&mapping, now).await?;
            tx.audit(Event::done("user.register", Actor::System, now).about(mapping.user));
            tx.commit().await
        };
        stored.await.map_err(already_registered)?;
        Ok(mapping.user)
    }

    /// Registers many people with one password, for demonstrations and load tests: hashing is meant to be
    /// slow, so it is done once. Those whose client is registered are skipped; gives the number of new ones.
    ///
    /// # Errors
    /// As [`Self::register`]; then none is registered.
    pub async fn register_many(&self, people: &[Registration], phc: &SecretString) -> Result<u64> {
        let customers = people
            .iter()
            .map(|one| {
                let email = read_email(&one.email)?.as_str().to_owned();
                Ok(NewCustomer { mapping: mapping(one), email, locale: one.locale })
            })
            .collect::<Result<Vec<_>>>()?;
        self.0.store.insert_customers(&customers, phc, self.0.now()).await.map_err(already_registered)
    }

    /// Opens a session for an address that is registered, without asking for a proof: for load tests, where hashing
    /// would be all the load. Not in a production build.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] when nobody is registered with the address; [`Error::Internal`] when the store fails.
    #[cfg(feature = "sandbox")]
    pub async fn enter(&self, email: &str) -> Result<super::Grant> {
        let this = &*self.0;
        let user =
            this.store.user_by_email(read_email(email)?.as_str()).await?.ok_or(Error::Unauthenticated)?;
        let now = this.now();
        let issued = this.sessions.open(user.id, &Context::default(), now).await?;
        this.grant(issued, now)
    }

    /// The PHC string of a password.
    ///
    /// # Errors
    /// [`Error::Rejected`] with `PASSWORD_LENGTH` or `PASSWORD_GUESSABLE`; [`Error::RateLimited`] while too many are hashed.
    pub async fn hash_password(&self, password: &SecretString) -> Result<SecretString> {
        policy::check(password, &[], "password")?;
        self.0.passwords.hash(password.clone()).await
    }
}

fn already_registered(error: store::Error) -> Error {
    match error {
        store::Error::Taken => rejected(ALREADY_REGISTERED),
        other => other.into(),
    }
}

fn mapping(registration: &Registration) -> Mapping {
    Mapping { user: UserId(Uuid::now_v7()), client: registration.client, account: registration.account }
}
