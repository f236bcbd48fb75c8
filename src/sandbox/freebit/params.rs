//! The parameters of a call: how they arrive, and how they are checked.

use axum::{
    RequestExt,
    body::Bytes,
    extract::{FromRequest, Multipart, Request},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
};
use chrono::NaiveDate;
use serde_json::{Map, Value};

use crate::sandbox::freebit::codes::{self, Refusal};

/// The JSON document of a call, or a part of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Params(Map<String, Value>);

/// A body that cannot be taken.
pub(super) enum Unreadable {
    /// Answered by a status: neither a form nor JSON, or too large.
    Status(StatusCode),
    /// Answered by an envelope: no JSON in it.
    Json,
}

impl Params {
    /// Reads the form field `json` (URL-encoded or multipart), or a bare JSON body. The form fields beside it
    /// (`version`) are not needed.
    pub(super) async fn read(request: Request) -> Result<Self, Unreadable> {
        let text = match media(request.headers()).as_str() {
            "application/x-www-form-urlencoded" => {
                let body = bytes(request).await?;
                url::form_urlencoded::parse(&body)
                    .find(|(name, _)| name == "json")
                    .map(|(_, json)| json.into_owned())
            }
            "multipart/form-data" => {
                let mut form = request.extract::<Multipart, _>().await.map_err(|_| Unreadable::Json)?;
                let mut json = None;
                while let Some(field) = form.next_field().await.map_err(|_| Unreadable::Json)? {
                    if field.name() == Some("json") {
                        json = Some(field.text().await.map_err(|_| Unreadable::Json)?);
                    }
                }
                json
            }
            "application/json" => String::from_utf8(bytes(request).await?.to_vec()).ok(),
            _ => return Err(Unreadable::Status(StatusCode::UNSUPPORTED_MEDIA_TYPE)),
        };
        let parsed = text.and_then(|text| serde_json::from_str(&text).ok());
        parsed.map(Self).ok_or(Unreadable::Json)
    }

    /// A text; numbers are taken as their digits, an empty text as absent.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<String>, Refusal> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(_) => Err(codes::FORMAT.of(name)),
        }
    }

    pub(super) fn required(&self, name: &'static str) -> Result<String, Refusal> {
        self.text(name)?.ok_or(codes::MISSING.of(name))
    }

    /// Digits, between so many and so many.
    pub(super) fn digits(
        &self,
        name: &'static str,
        least: usize,
        most: usize,
    ) -> Result<Option<String>, Refusal> {
        let text = self.text(name)?;
        let fits = |text: &String| {
            (least..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        if text.as_ref().is_none_or(fits) { Ok(text) } else { Err(codes::FORMAT.of(name)) }
    }

    /// One of several values.
    pub(super) fn one_of(
        &self,
        name: &'static str,
        values: &[&'static str],
    ) -> Result<Option<&'static str>, Refusal> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        values.iter().find(|value| **value == text).copied().map(Some).ok_or(codes::VALUE.of(name))
    }

    /// A two-digit flag: `10` yes, `20` no.
    pub(super) fn flag(&self, name: &'static str) -> Result<Option<bool>, Refusal> {
        Ok(self.one_of(name, &["10", "20"])?.map(|flag| flag == "10"))
    }

    /// A day, `YYYYMMDD`.
    pub(super) fn date(&self, name: &'static str) -> Result<Option<NaiveDate>, Refusal> {
        self.date_in(name, &["%Y%m%d"])
    }

    /// A day in one of several formats.
    pub(super) fn date_in(&self, name: &'static str, formats: &[&str]) -> Result<Option<NaiveDate>, Refusal> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let read = |format: &&str| {
            NaiveDate::parse_from_str(&text, format).ok().filter(|day| day.format(format).to_string() == text)
        };
        formats.iter().find_map(read).map(Some).ok_or(codes::FORMAT.of(name))
    }

    /// An object.
    pub(super) fn object(&self, name: &'static str) -> Result<Option<Self>, Refusal> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(object)) => Ok(Some(Self(object.clone()))),
            Some(_) => Err(codes::FORMAT.of(name)),
        }
    }

    /// The first element of a list: the service honours no other.
    pub(super) fn first(&self, name: &'static str) -> Result<Self, Refusal> {
        match self.0.get(name) {
            None | Some(Value::Null) => Err(codes::MISSING.of(name)),
            Some(Value::Array(list)) => match list.first() {
                Some(Value::Object(object)) => Ok(Self(object.clone())),
                Some(_) => Err(codes::FORMAT.of(name)),
                None => Err(codes::MISSING.of(name)),
            },
            Some(_) => Err(codes::FORMAT.of(name)),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The phone number that a call is about, wherever it stands: for the journal.
    pub(super) fn subject(&self) -> Option<String> {
        let own = self.text("account").ok().flatten();
        own.or_else(|| self.first("requestDatas").ok()?.text("account").ok().flatten())
    }
}

fn media(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

async fn bytes(request: Request) -> Result<Bytes, Unreadable> {
    Bytes::from_request(request, &()).await.map_err(|_| Unreadable::Status(StatusCode::PAYLOAD_TOO_LARGE))
}
