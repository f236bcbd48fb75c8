//! What a domain declares once for a kind of read.

use std::time::Duration;

use super::{Cache, Owner};
use crate::error::Service;

/// How old an answer may be while its system does not answer, unless the configuration says otherwise.
pub const STALE_WITHIN: Duration = Duration::from_secs(24 * 3600);

/// How long answers of a kind are of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// How long one counts as fresh when nothing invalidates it. Jittered by ±10 %.
    pub fresh: Duration,
    /// How old one may be while its system does not answer.
    pub stale: Duration,
}

impl Lifetime {
    /// Fresh for that long, and of use for [`STALE_WITHIN`].
    pub const fn fresh_for(fresh: Duration) -> Self {
        Self { fresh, stale: STALE_WITHIN }
    }
}

/// A kind of read.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its name in keys and metrics, such as `invoices`.
    pub name: &'static str,
    /// The system that is asked when nothing fresh is at hand.
    pub service: Service,
    /// How long an answer counts as fresh, and how old it may be when its system does not answer.
    pub lifetime: Lifetime,
    /// Whether it must never be shown older than fresh, such as a balance before a charge. Answers that
    /// contain it are not kept whole.
    pub never_stale: bool,
    /// See [`super::Settings::plant_lost_owner`].
    #[cfg(any(test, feature = "sandbox"))]
    lost_owner: bool,
}

impl Kind {
    /// A kind of read, which may be shown old for as long as its lifetime says.
    pub const fn new(name: &'static str, service: Service, lifetime: Lifetime) -> Self {
        Self {
            name,
            service,
            lifetime,
            never_stale: false,
            #[cfg(any(test, feature = "sandbox"))]
            lost_owner: false,
        }
    }

    /// The same, never to be shown old.
    #[must_use]
    pub const fn never_stale(self) -> Self {
        Self { never_stale: true, ..self }
    }

    /// Whose a key of this kind is.
    #[cfg(any(test, feature = "sandbox"))]
    pub(super) const fn owned(&self, owner: Owner) -> Owner {
        if self.lost_owner { Owner::Public } else { owner }
    }

    /// Whose a key of this kind is.
    #[cfg(not(any(test, feature = "sandbox")))]
    pub(super) const fn owned(&self, owner: Owner) -> Owner {
        owner
    }
}

impl Cache {
    /// A kind of read of this cache: see [`Kind::new`].
    pub fn kind(&self, name: &'static str, service: Service, lifetime: Lifetime) -> Kind {
        Kind {
            #[cfg(any(test, feature = "sandbox"))]
            lost_owner: self.0.settings.plant_lost_owner,
            ..Kind::new(name, service, lifetime)
        }
    }
}
