//! The notifications of the bell.

use async_graphql::{ComplexObject, Context, ID, InputObject, Object, SimpleObject};

use super::{connection::Counted, context::Ask, node::NodeId, refusal::refused, session::UserErrorNode};
use crate::{
    error::{Result, UserError},
    id::NotificationId,
    notify::Notification,
};

/// What the list of notifications says of the whole list.
#[derive(SimpleObject)]
pub struct NotificationList {
    /// How many items the whole list has.
    pub total_count: i32,
    /// How many of them are new.
    pub unread_count: i32,
}

impl NotificationList {
    /// Counts.
    pub(super) fn of(all: &[Notification]) -> Self {
        let unread = all.iter().filter(|notification| notification.read_at.is_none()).count();
        Self {
            total_count: Counted::new(all.len()).total_count,
            unread_count: Counted::new(unread).total_count,
        }
    }
}

#[ComplexObject]
impl Notification {
    /// Names the object everywhere and for good. Opaque: give it back as it is.
    pub(super) async fn id(&self) -> ID {
        NodeId::Notification(self.key).encode()
    }
}

/// The notification that was read.
#[derive(InputObject)]
pub(super) struct NotificationMarkReadInput {
    /// Its id.
    id: ID,
}

/// The notification to be taken off the list.
#[derive(InputObject)]
pub(super) struct NotificationDismissInput {
    /// Its id.
    id: ID,
}

/// The answer to marking a notification as read.
#[derive(SimpleObject)]
pub(super) struct NotificationMarkReadPayload {
    /// The notification as it is now. Null when it was refused.
    notification: Option<Notification>,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// The answer to marking all notifications as read.
#[derive(SimpleObject)]
pub(super) struct NotificationMarkAllReadPayload {
    /// How many were new.
    marked_count: i32,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// The answer to dismissing a notification.
#[derive(SimpleObject)]
pub(super) struct NotificationDismissPayload {
    /// The notification that is gone from the list. Null when it was refused.
    notification: Option<Notification>,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

const NOT_FOUND: UserError =
    UserError { code: "NOT_FOUND", field: Vec::new(), message: "This notification is no longer there." };

/// What the bell can change.
#[derive(Default)]
pub struct NotificationMutation;

/// What the bell can change.
#[Object]
impl NotificationMutation {
    /// Marks a notification as read. One that is read already stays as it is.
    async fn notification_mark_read(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which one.")] input: NotificationMarkReadInput,
    ) -> Option<Result<NotificationMarkReadPayload>> {
        let act = async {
            let (notifications, viewer) = (&ctx.app()?.notifications, ctx.viewer()?);
            let notification = notifications.mark_read(viewer, key("input.id", &input.id)?).await?;
            let user_errors = missing(ctx, "notification.read", notification.as_ref()).await?;
            Ok(NotificationMarkReadPayload { user_errors, notification })
        };
        Some(act.await)
    }

    /// Marks all notifications as read.
    async fn notification_mark_all_read(
        &self,
        ctx: &Context<'_>,
    ) -> Option<Result<NotificationMarkAllReadPayload>> {
        let act = async {
            let marked = ctx.app()?.notifications.mark_all_read(ctx.viewer()?).await?;
            let marked_count = i32::try_from(marked).unwrap_or(i32::MAX);
            Ok(NotificationMarkAllReadPayload { marked_count, user_errors: Vec::new() })
        };
        Some(act.await)
    }

    /// Takes a notification off the list.
    async fn notification_dismiss(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which one.")] input: NotificationDismissInput,
    ) -> Option<Result<NotificationDismissPayload>> {
        let act = async {
            let (notifications, viewer) = (&ctx.app()?.notifications, ctx.viewer()?);
            let notification = notifications.dismiss(viewer, key("input.id", &input.id)?).await?;
            let user_errors = missing(ctx, "notification.dismiss", notification.as_ref()).await?;
            Ok(NotificationDismissPayload { user_errors, notification })
        };
        Some(act.await)
    }
}

/// The key behind an id. The id of something else names no notification.
fn key(argument: &'static str, id: &ID) -> Result<NotificationId> {
    match NodeId::decode(argument, id)? {
        NodeId::Notification(key) => Ok(key),
        _ => Ok(NotificationId(uuid::Uuid::nil())),
    }
}

async fn missing(
    ctx: &Context<'_>,
    act: &'static str,
    found: Option<&Notification>,
) -> Result<Vec<UserErrorNode>> {
    match found {
        Some(_) => Ok(Vec::new()),
        None => refused(ctx, act, vec![UserError { field: vec!["id"], ..NOT_FOUND }]).await,
    }
}
