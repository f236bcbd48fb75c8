//! Reads the tokens that a request carries.

use axum::http::{
    HeaderMap,
    header::{AUTHORIZATION, COOKIE},
};

use crate::{
    schema::cookies::{ACCESS, DEVICE, HAND_OFF, REFRESH, Received},
    secret::SecretString,
};

/// The longest token that is looked at, in bytes.
const LONGEST: usize = 8 * 1024;

/// What a request says about who sent it.
#[derive(Default)]
pub(super) struct Credentials<'a> {
    /// The access token, from the header or, without one, from the cookie.
    pub access: Option<&'a str>,
    /// The other cookies of ours.
    pub cookies: Received,
    /// Whether the browser added them by itself, so that its user may not have meant it.
    pub are_ambient: bool,
    /// Whether there is an `Authorization` header that is no bearer token, or more than one.
    pub are_malformed: bool,
}

impl<'a> Credentials<'a> {
    pub(super) fn read(headers: &'a HeaderMap) -> Self {
        let mut cookies = Self::default();
        let values = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        for (name, value) in values.flat_map(|v| v.split(';')).filter_map(|pair| pair.trim().split_once('='))
        {
            match name {
                ACCESS => cookies.access = Some(value),
                REFRESH => cookies.cookies.refresh = Some(SecretString::from(value)),
                // These two sign nobody in by themselves.
                DEVICE => cookies.cookies.device = Some(SecretString::from(value)),
                HAND_OFF => cookies.cookies.hand_off = Some(SecretString::from(value)),
                _ => {}
            }
        }
        let Some(header) = headers.get(AUTHORIZATION) else {
            cookies.are_ambient = cookies.access.is_some() || cookies.cookies.refresh.is_some();
            cookies.are_malformed = cookies.access.is_some_and(|token| !is_token(token));
            return cookies;
        };
        // Only a page that may send this header can have sent it: the cookies beside it are meant too.
        let is_only = headers.get_all(AUTHORIZATION).iter().nth(1).is_none();
        let access = header.to_str().ok().and_then(bearer).filter(|_| is_only);
        Self { are_malformed: access.is_none(), access, cookies: cookies.cookies, are_ambient: false }
    }
}

/// The token of an `Authorization` header; `None` when it is no bearer token.
pub(super) fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && is_token(token)).then_some(token)
}

fn is_token(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
