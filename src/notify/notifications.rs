//! What the bell shows: kept in the store, one for each event, and hinted at when it is new.
//!
//! Texts are written when the notification is made, in the language of its person. A title never holds anything
//! personal or the reason of a refusal, since it is shown where others may look (domain reference §25.2).

use std::time::Duration;

use async_graphql::{Enum, SimpleObject};
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    clock::Clock,
    error::Result,
    freshness::{Cache, Tag},
    id::{AccountId, NotificationId, UserId},
    identity::Viewer,
    notify::{Hint, Live, Subject, Topic},
    store::{NewNotification, NotificationRow, Store},
};

/// How long an answer that shows notifications may be kept: one that has expired is gone after so long.
const KEPT: Duration = Duration::from_secs(60);

/// What a notification is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Enum)]
#[graphql(name = "NotificationKind")]
pub enum Kind {
    /// The internet service can be had at the customer's address.
    EligibilityEligible,
    /// The internet service cannot be had at the customer's address.
    EligibilityIneligible,
    /// The identity document was accepted.
    VerificationVerified,
    /// The identity document was not accepted.
    VerificationRejected,
    /// Something else.
    Unknown,
}

impl Kind {
    const ALL: [(Self, &str); 4] = [
        (Self::EligibilityEligible, "ELIGIBILITY_ELIGIBLE"),
        (Self::EligibilityIneligible, "ELIGIBILITY_INELIGIBLE"),
        (Self::VerificationVerified, "VERIFICATION_VERIFIED"),
        (Self::VerificationRejected, "VERIFICATION_REJECTED"),
    ];

    /// The word in the store.
    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("UNKNOWN", |(_, word)| word)
    }

    /// Reads a word of the store; a later release may have written one that is not known here.
    fn read(word: &str) -> Self {
        Self::ALL.iter().find(|(_, known)| *known == word).map_or(Self::Unknown, |(kind, _)| *kind)
    }

    /// Title, message and the page that it leads to, in a language.
    fn text(self, locale: &str) -> (&'static str, &'static str, Option<&'static str>) {
        let is_japanese = locale == "ja";
        let say = |english, japanese| if is_japanese { japanese } else { english };
        match self {
            Self::EligibilityEligible => (
                say("Internet service is available", "インターネットをご利用いただけます"),
                say(
                    "We have checked your address. You can choose a plan now.",
                    "ご住所の確認が完了しました。プランをお選びいただけます。",
                ),
                Some("/account/services/internet"),
            ),
            Self::EligibilityIneligible => (
                say("Your availability check is done", "提供エリアの確認が完了しました"),
                say(
                    "The service is not available at your address yet. Please contact support for other ways.",
                    "現在ご住所ではご利用いただけません。他の方法についてはサポートへお問い合わせください。",
                ),
                Some("/account/services/internet"),
            ),
            Self::VerificationVerified => (
                say("Your identity is verified", "本人確認が完了しました"),
                say("You can place your order now.", "ご注文いただけます。"),
                Some("/account/settings/verification"),
            ),
            Self::VerificationRejected => (
                say("Your identity document needs your attention", "本人確認書類をご確認ください"),
                say(
                    "Please see what is needed and send the document again.",
                    "内容をご確認のうえ、書類を再度お送りください。",
                ),
                Some("/account/settings/verification"),
            ),
            Self::Unknown => (say("News about your account", "アカウントに関するお知らせ"), "", None),
        }
    }
}

/// A notification of the bell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, SimpleObject)]
#[graphql(complex)]
pub struct Notification {
    /// Its row.
    #[graphql(skip)]
    pub key: NotificationId,
    /// What it is about.
    pub kind: Kind,
    /// One line, in the customer's language. Nothing personal stands in it.
    pub title: String,
    /// A sentence or two, in the customer's language.
    pub message: String,
    /// The path of the portal's page that it leads to. Null when it leads nowhere.
    pub link: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was read. Null while it is new.
    pub read_at: Option<DateTime<Utc>>,
}

impl From<NotificationRow> for Notification {
    fn from(row: NotificationRow) -> Self {
        Self {
            key: NotificationId(row.notification_id),
            kind: Kind::read(&row.r#type),
            title: row.title,
            message: row.message,
            link: row.link,
            created_at: row.created_at,
            read_at: row.read_at,
        }
    }
}

/// Makes, reads and changes notifications. Clones share everything.
#[derive(Clone)]
pub struct Notifications {
    store: Store,
    cache: Cache,
    live: Live,
    clock: Clock,
    lifetime: TimeDelta,
}

impl Notifications {
    /// Notifications that are shown for `lifetime`.
    pub fn new(store: Store, cache: Cache, live: Live, clock: Clock, lifetime: Duration) -> Self {
        let lifetime = TimeDelta::from_std(lifetime).unwrap_or(TimeDelta::days(30));
        Self { store, cache, live, clock, lifetime }
    }

    /// Staff decided whether the service can be had at the address of an account. `event` names the report: one that
    /// is delivered again notifies nobody again. False when it did not notify: again, or nobody here
    /// has the account.
    ///
    /// # Errors
    /// [`crate::error::Error::Internal`] when the store fails.
    pub async fn eligibility_changed(
        &self,
        account: AccountId,
        is_eligible: bool,
        event: &str,
    ) -> Result<bool> {
        let kind = if is_eligible { Kind::EligibilityEligible } else { Kind::EligibilityIneligible };
        self.report(account, kind, "account_eligibility", event).await
    }

    /// Staff accepted or refused the identity document of an account. As [`Notifications::eligibility_changed`].
    ///
    /// # Errors
    /// [`crate::error::Error::Internal`] when the store fails.
    pub async fn verification_changed(
        &self,
        account: AccountId,
        is_verified: bool,
        event: &str,
    ) -> Result<bool> {
        let kind = if is_verified { Kind::VerificationVerified } else { Kind::VerificationRejected };
        self.report(account, kind, "account_verification", event).await
    }

    async fn report(&self, account: AccountId, kind: Kind, source: &str, event: &str) -> Result<bool> {
        match self.store.mapping_of_account(account).await? {
            Some(mapping) => self.create(mapping.user, kind, source, event).await,
            None => Ok(false),
        }
    }

    /// Notifies a user, and hints at it. False when this report has made one of this kind before.
    async fn create(&self, user: UserId, kind: Kind, source: &str, source_id: &str) -> Result<bool> {
        let Some(locale) = self.store.locale_of_user(user).await? else { return Ok(false) };
        let (title, message, link) = kind.text(&locale);
        let now = self.now();
        let id = NotificationId(Uuid::now_v7());
        let new = NewNotification {
            id,
            user,
            kind: kind.word(),
            title,
            message,
            link,
            source,
            source_id,
            created_at: now,
            expires_at: now + self.lifetime,
        };
        if !self.store.insert_notification(&new).await? {
            return Ok(false);
        }
        self.store.purge_notifications(user, now).await?;
        self.tell(user, Subject::Notification(id)).await;
        Ok(true)
    }

    /// Those of the viewer, newest first.
    ///
    /// # Errors
    /// [`crate::error::Error::Internal`] when the store fails.
    pub async fn list(&self, viewer: &Viewer) -> Result<Vec<Notification>> {
        self.cache.attend(viewer.reader(), vec![tag(viewer.user())], KEPT);
        let rows = self.store.notifications(viewer.user(), self.now()).await?;
        Ok(rows.into_iter().map(Notification::from).collect())
    }

    /// One of the viewer's; `None` when there is none, or it was dismissed or has expired.
    ///
    /// # Errors
    /// [`crate::error::Error::Internal`] when the store fails.
    pub async fn one(&self, viewer: &Viewer, id: NotificationId) -> Result<Option<Notification>> {
        Ok(self.list(viewer).await?.into_iter().find(|notification| notification.key == id))
    }

    /// Marks one as read, and gives it; `None` as in [`Notifications::one`].
    ///
    /// # Errors
    /// [`crate::error::Error::Internal`] when the store fails.
    pub async fn mark_read(&self, viewer: &Viewer, id: NotificationId) -> Result<Option<Notification>> {
        let (user, now) = (viewer.user(), self.now());
        let event = viewer.event("notification.read", now).with("notification", id.0);
        let changed = self.store.read_notifications(user, Some(id), now, event).await?;
        if changed > 0 {
            self.tell(viewer.user(), Subject::Notifications).await;
        }
        self.one(viewer, id).await
    }

    /// Marks all as read. Gives how many were new.
    ///
    /// # Errors
    /// [`crate::error::Error::Internal`] when the store fails.
    pub async fn mark_all_read(&self, viewer: &Viewer) -> Result<u64> {
        let (user, now) = (viewer.user(), self.now());
        let event = viewer.event("notification.read-all", now);
        let changed = self.store.read_notifications(user, None, now, event).await?;
        if changed > 0 {
            self.tell(viewer.user(), Subject::Notifications).await;
        }
        Ok(changed)
    }

    /// Takes one off the list, and gives it as it was; `None` as in [`Notifications::one`].
    ///
    /// # Errors
    /// [`crate::error::Error::Internal`] when the store fails.
    pub async fn dismiss(&self, viewer: &Viewer, id: NotificationId) -> Result<Option<Notification>> {
        let Some(notification) = self.one(viewer, id).await? else { return Ok(None) };
        let (user, now) = (viewer.user(), self.now());
        let event = viewer.event("notification.dismiss", now).with("notification", id.0);
        let was_there = self.store.dismiss_notification(user, id, now, event).await?;
        if was_there {
            self.tell(viewer.user(), Subject::Notifications).await;
        }
        Ok(Some(notification))
    }

    /// Every answer that shows them is old, and the person's devices ask again.
    async fn tell(&self, user: UserId, subject: Subject) {
        if let Err(error) = self.cache.invalidate(&[tag(user)]).await {
            // The change itself is stored, and other replicas show what was for a few seconds at most.
            tracing::warn!(%error, "not every replica confirmed a change of notifications");
        }
        self.live.publish(Hint::new(Topic::User(user), subject)).await;
    }

    /// Now, as precise as both databases keep it.
    fn now(&self) -> DateTime<Utc> {
        self.clock.now().trunc_subsecs(6)
    }
}

/// The notifications of a user.
fn tag(user: UserId) -> Tag {
    Tag::new(format!("user:{}:notifications", user.0))
}
