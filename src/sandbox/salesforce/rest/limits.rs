//! `GET /limits`. Source: Salesforce reference §15.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use crate::sandbox::salesforce::{answer::Answer, node::Node, org::Org};

/// Allowances that nothing here uses up.
const OTHERS: [(&str, u64); 17] = [
    ("DailyAsyncApexExecutions", 250_000),
    ("DailyBulkApiBatches", 15_000),
    ("DailyBulkV2QueryJobs", 10_000),
    ("DailyBulkV2QueryFileStorageMB", 976_562),
    ("DailyDeliveredPlatformEvents", 50_000),
    ("HourlyPublishedPlatformEvents", 250_000),
    ("MonthlyPlatformEventsUsageEntitlement", 1_500_000),
    ("DailyStandardVolumePlatformEvents", 25_000),
    ("HourlyPublishedStandardVolumePlatformEvents", 1_000),
    ("DailyStreamingApiEvents", 200_000),
    ("StreamingApiConcurrentClients", 1_000),
    ("DataStorageMB", 10_240),
    ("FileStorageMB", 102_400),
    ("SingleEmail", 5_000),
    ("MassEmail", 5_000),
    ("DailyWorkflowEmails", 80_000),
    ("HourlyTimeBasedWorkflow", 1_000),
];

/// Answers every allowance with what is left of it.
pub fn limits(org: &Org, now: DateTime<Utc>) -> Answer {
    let most = org.settings().daily_limit;
    let used = org.usage().used(now);
    let mut limits: Map<String, Value> = OTHERS
        .iter()
        .map(|(name, max)| ((*name).to_owned(), json!({"Max": max, "Remaining": max})))
        .collect();
    limits
        .insert("DailyApiRequests".to_owned(), json!({"Max": most, "Remaining": most.saturating_sub(used)}));
    Answer::ok(Node::Value(Value::Object(limits)))
}
