//! A record as it arrives. Its field names are configuration, so it is read by name.

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Map, Value};

/// A record. Names are compared as the CRM's schema spells them.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Row(Map<String, Value>);

impl Row {
    /// Text that is not empty.
    pub(super) fn text(&self, field: &str) -> Option<&str> {
        self.0.get(field)?.as_str().filter(|text| !text.is_empty())
    }

    /// Text, or the empty string.
    pub(super) fn owned(&self, field: &str) -> String {
        self.text(field).unwrap_or_default().to_owned()
    }

    /// A checkbox; one without a value counts as unchecked.
    pub(super) fn is_checked(&self, field: &str) -> bool {
        self.0.get(field).and_then(Value::as_bool).unwrap_or(false)
    }

    /// A number or a string of digits: which of the two an id from another system is, is the
    /// installation's choice.
    pub(super) fn number(&self, field: &str) -> Option<u64> {
        match self.0.get(field)? {
            Value::String(text) => text.trim().parse().ok(),
            // Numbers of the CRM are doubles: 4201 arrives as 4201.0.
            Value::Number(number) => number.to_string().split('.').next()?.parse().ok(),
            _ => None,
        }
    }

    /// A decimal, read from its digits and never through a float.
    pub(super) fn decimal(&self, field: &str) -> Option<Decimal> {
        match self.0.get(field)? {
            Value::String(text) => text.parse().ok(),
            Value::Number(number) => {
                let digits = number.to_string();
                digits.parse().ok().or_else(|| Decimal::from_scientific(&digits).ok())
            }
            _ => None,
        }
    }

    /// A day.
    pub(super) fn date(&self, field: &str) -> Option<NaiveDate> {
        self.text(field)?.parse().ok()
    }

    /// An instant; the CRM writes the zone without a colon (Salesforce reference §3.5).
    pub(super) fn instant(&self, field: &str) -> Option<DateTime<Utc>> {
        let text = self.text(field)?;
        DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z")
            .or_else(|_| DateTime::parse_from_rfc3339(text))
            .ok()
            .map(|at| at.with_timezone(&Utc))
    }

    /// A parent record.
    pub(super) fn parent(&self, relation: &str) -> Self {
        match self.0.get(relation) {
            Some(Value::Object(fields)) => Self(fields.clone()),
            _ => Self::default(),
        }
    }

    /// Child records; null stands for none.
    pub(super) fn children(&self, relation: &str) -> Vec<Self> {
        let records = self.0.get(relation).and_then(|child| child.get("records")).and_then(Value::as_array);
        records
            .into_iter()
            .flatten()
            .filter_map(|record| record.as_object().cloned().map(Self))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn values_are_read_in_the_forms_in_which_they_arrive() {
        let row: Row = serde_json::from_str(
            r#"{"A": 4201.0, "B": "4201", "P": 1200.5, "E": 1.2e3, "T": "2026-11-20T03:04:05.000+0000",
                "D": "2026-11-20", "N": null, "Kids": {"totalSize": 1, "records": [{"X": "y"}]}}"#,
        )
        .unwrap();
        assert_eq!((row.number("A"), row.number("B"), row.number("N")), (Some(4201), Some(4201), None));
        assert_eq!(row.decimal("P").unwrap().to_string(), "1200.5");
        assert_eq!(row.decimal("E").unwrap(), Decimal::from(1200));
        assert_eq!(row.instant("T").unwrap().timestamp(), 1_795_143_845);
        assert_eq!(row.date("D").unwrap().to_string(), "2026-11-20");
        assert_eq!(row.children("Kids")[0].text("X"), Some("y"));
        assert!(row.children("N").is_empty() && !row.is_checked("N"));
    }
}
