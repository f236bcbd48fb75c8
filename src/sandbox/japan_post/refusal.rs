//! How the service refuses: a status, and a body with a code that begins with it.
//!
//! Only `400-1028-0001` is known of the vendor's codes (domain reference §9.3); the others are the sandbox's own.

use axum::{
    Json,
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use serde_json::json;
use uuid::Uuid;

/// Why a call is refused: code and message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal(&'static str, &'static str);

/// A parameter is missing or malformed.
pub(super) const PARAMETER: Refusal = Refusal("400-1028-0001", "リクエストパラメータが不正です。");
/// The header with the caller's address is missing.
pub(super) const SOURCE: Refusal = Refusal("400-1002-0001", "送信元IPアドレスが指定されていません。");
/// Wrong client or secret.
pub(super) const CREDENTIALS: Refusal = Refusal("401-1001-0001", "認証に失敗しました。");
/// The token is missing, unknown or expired.
pub(super) const TOKEN: Refusal = Refusal("401-1002-0001", "トークンが無効です。");
/// Nothing has this code.
pub(super) const NOTHING: Refusal = Refusal("404-1029-0001", "該当するデータがありません。");

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        refuse(self.0, self.1)
    }
}

/// A refusal whose status is what its code begins with; 500 when that is none.
pub(super) fn refuse(code: &str, message: &str) -> Response {
    let status = code.split('-').next().and_then(|status| StatusCode::from_bytes(status.as_bytes()).ok());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = json!({ "request_id": Uuid::new_v4(), "error_code": code, "message": message });
    if status == StatusCode::TOO_MANY_REQUESTS {
        return (status, [(RETRY_AFTER, "1")], Json(body)).into_response();
    }
    (status, Json(body)).into_response()
}
