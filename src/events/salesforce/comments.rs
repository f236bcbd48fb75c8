//! Comments on cases, which have no change event: asked for by the time of their last change.
//!
//! The CRM stamps a row before its transaction is visible, so every question goes back a little behind the last
//! answer; what comes twice has the same id and is stored once. Deleted comments are not seen: they go when their
//! answer's fresh time ends.
//!
//! Source: Salesforce reference §16.4, §25.2.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use super::{
    consumer::Inner,
    intake::{Row, fingerprint},
    report::Report,
};
use crate::{
    deadline::{Budget, Lane},
    error::Error,
    id::{AccountId, CaseId},
    store::{
        inbox::{NewEvent, Received, Source},
        leases::Lease,
    },
    upstream::salesforce::{
        Record,
        soql::{Direction, Filter, Select, Value},
    },
};

/// The name of the cursor.
const CHANNEL: &str = "CaseComment";
/// How far each question goes back behind the last answer.
const OVERLAP: TimeDelta = TimeDelta::seconds(60);
/// Comments of one answer; more follow at once.
const PAGE: u32 = 1_000;
/// How long an answer may take.
const WITHIN: Duration = Duration::from_secs(10);

/// Asks for comments, under the lease of the reader.
pub(super) struct Comments<'a> {
    consumer: &'a Inner,
    lease: &'a Lease,
    every: Duration,
}

impl<'a> Comments<'a> {
    pub(super) fn new(consumer: &'a Inner, lease: &'a Lease, every: Duration) -> Self {
        Self { consumer, lease, every }
    }

    /// Asks until the lease is lost.
    pub(super) async fn run(self) {
        loop {
            match self.ask().await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "comments on cases could not be asked for"
                    );
                }
            }
            tokio::time::sleep(self.every).await;
        }
    }

    /// Everything that changed since the last answer. False when the lease is lost.
    async fn ask(&self) -> Result<bool, Error> {
        loop {
            let Some(since) = self.since().await? else {
                return self.keep(&[], self.consumer.clock.now()).await;
            };
            let soql = Select::from("CaseComment")
                .fields(["Id", "ParentId", "Parent.AccountId", "SystemModstamp"])
                .filter(Filter::ge("SystemModstamp", Value::Instant(since - OVERLAP)))
                .order_by("SystemModstamp", Direction::Ascending)
                .order_by("Id", Direction::Ascending)
                .limit(PAGE)
                .build()
                .map_err(Error::internal)?;
            let budget = Budget::new(WITHIN, Lane::Background);
            let found: Vec<Record> = self.consumer.crm.query(budget, soql).await?;
            let rows = found.iter().map(row).collect::<Result<Vec<_>, _>>()?;
            let newest = rows.iter().map(|row| row.occurred_at).max().unwrap_or(since).max(since);
            if !self.keep(&rows, newest).await? {
                return Ok(false);
            }
            // A page of the same instant would come again for ever.
            if rows.len() < PAGE as usize || newest == since {
                return Ok(true);
            }
        }
    }

    async fn since(&self) -> Result<Option<DateTime<Utc>>, Error> {
        let cursor = self.consumer.store.event_cursor(CHANNEL).await?;
        let text = cursor.and_then(|cursor| String::from_utf8(cursor.position?).ok());
        Ok(text.and_then(|text| text.parse().ok()))
    }

    /// Rows and cursor in one transaction, as for the channels of the bus.
    async fn keep(&self, rows: &[Row], newest: DateTime<Utc>) -> Result<bool, Error> {
        let now = self.consumer.clock.now();
        let mut tx = self.consumer.store.begin().await?;
        let mut is_new = 0;
        for row in rows {
            let (payload, record) = (row.payload(), row.report.record());
            let event = NewEvent {
                source: Source::Crm,
                event_id: &row.event_id,
                fingerprint: &fingerprint(&row.event_id),
                topic: &row.topic,
                record: &record,
                payload: &payload,
                occurred_at: row.occurred_at,
                received_at: now,
            };
            is_new += u64::from(tx.receive_event(&event).await? == Received::New);
        }
        let position = newest.to_rfc3339_opts(SecondsFormat::Millis, true);
        let event_at = rows.iter().map(|row| row.occurred_at).max();
        tx.move_cursor(CHANNEL, Some(position.as_bytes()), event_at, now).await?;
        if !tx.holds(self.lease).await? {
            return Ok(false);
        }
        tx.commit().await?;
        if is_new > 0 {
            metrics::counter!("crm_events_total", "channel" => CHANNEL).increment(is_new);
            self.consumer.inbox.wake();
        }
        Ok(true)
    }
}

fn row(comment: &Record) -> Result<Row, Error> {
    let occurred_at = comment.required("SystemModstamp", Record::instant)?;
    let id = comment.required("Id", Record::id)?;
    Ok(Row {
        event_id: format!("CaseComment:{id}:{}", occurred_at.timestamp_millis()),
        topic: CHANNEL.to_owned(),
        report: Report::Comment {
            case: CaseId(comment.required("ParentId", Record::id)?),
            account: comment.id("Parent.AccountId")?.map(AccountId),
        },
        occurred_at,
    })
}
