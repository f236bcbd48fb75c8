//! The figures at the top of the dashboard.

use async_graphql::{Context, Object};
use chrono::NaiveDate;

use super::context::Ask;
use crate::{
    billing::{Invoice, InvoiceStatus, InvoiceTotals, SubscriptionStatus},
    crm::CaseCounts,
    error::Result,
    money::{Currency, Money},
};

/// The figures at the top of the dashboard. Each stands or fails alone.
pub struct Summary;

/// Counts what a test admits.
fn count<T>(list: &[T], test: impl Fn(&T) -> bool) -> i32 {
    i32::try_from(list.iter().filter(|item| test(item)).count()).unwrap_or(i32::MAX)
}

/// The figures at the top of the dashboard. Each stands or fails alone.
#[Object]
impl Summary {
    /// Subscriptions that run. Null while billing does not answer.
    async fn active_subscriptions(&self, ctx: &Context<'_>) -> Option<Result<i32>> {
        let read = async {
            let all = ctx.see(ctx.app()?.billing.subscriptions(ctx.viewer()?).await?);
            Ok(count(&all, |s| s.status == SubscriptionStatus::Active))
        };
        Some(read.await)
    }

    /// Day of the next payment for a running subscription, Tokyo. Null when none is to come, or while billing does not answer.
    async fn next_renewal_on(&self, ctx: &Context<'_>) -> Option<Result<NaiveDate>> {
        let read = async {
            let all = ctx.see(ctx.app()?.billing.subscriptions(ctx.viewer()?).await?);
            let running = all.iter().filter(|s| s.status == SubscriptionStatus::Active);
            Ok(running.filter_map(|s| s.next_due_on).min())
        };
        read.await.transpose()
    }

    /// Invoices to be paid, overdue ones included. Null while billing does not answer.
    async fn unpaid_invoices(&self, ctx: &Context<'_>) -> Option<Result<i32>> {
        let read = async {
            let all = ctx.see(ctx.app()?.billing.invoices(ctx.viewer()?).await?);
            Ok(count(&all, |i| i.status.is_due()))
        };
        Some(read.await)
    }

    /// Invoices past their due day. Null while billing does not answer.
    async fn overdue_invoices(&self, ctx: &Context<'_>) -> Option<Result<i32>> {
        let read = async {
            let all = ctx.see(ctx.app()?.billing.invoices(ctx.viewer()?).await?);
            Ok(count(&all, |i| matches!(i.status, InvoiceStatus::Overdue | InvoiceStatus::Collections)))
        };
        Some(read.await)
    }

    /// Sum of the invoices to be paid. Null while billing does not answer.
    async fn amount_due(&self, ctx: &Context<'_>) -> Option<Result<Money>> {
        let read = async {
            let all = ctx.see(ctx.app()?.billing.invoices(ctx.viewer()?).await?);
            Ok(InvoiceTotals::of(all.iter(), Currency::JPY).unpaid)
        };
        Some(read.await)
    }

    /// The invoice to be paid first. Null when nothing is due, or while billing does not answer.
    async fn next_invoice(&self, ctx: &Context<'_>) -> Option<Result<Invoice>> {
        let read = async {
            let all = ctx.see(ctx.app()?.billing.invoices(ctx.viewer()?).await?);
            let due = all.iter().filter(|i| i.status.is_due());
            Ok(due.min_by_key(|i| (i.due_on.is_none(), i.due_on, i.key)).cloned())
        };
        read.await.transpose()
    }

    /// Orders that are not done. Null while orders are not answering.
    async fn open_orders(&self, ctx: &Context<'_>) -> Option<Result<i32>> {
        let read = async {
            let all = ctx.see(ctx.app()?.crm.orders(ctx.viewer()?).await?);
            Ok(count(&all, |o| o.status.is_open()))
        };
        Some(read.await)
    }

    /// Support cases that are not closed. Null while support is not answering.
    async fn open_cases(&self, ctx: &Context<'_>) -> Option<Result<i32>> {
        let read = async {
            let all = ctx.see(ctx.app()?.crm.cases(ctx.viewer()?).await?);
            Ok(CaseCounts::of(&all).open)
        };
        Some(read.await)
    }
}
