//! The mail server's part of the admin endpoint: mails as JSON for tests, and as pages for people.

use std::sync::Arc;

use askama::Template;
use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};

use crate::sandbox::smtp::{Filter, Mail, Mailbox};

/// Mails that the page lists.
const LISTED: usize = 200;

/// A mail may hold anything: its page runs nothing and loads nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";

#[derive(Template)]
#[template(path = "mailbox/list.html")]
struct List {
    mails: Vec<Arc<Mail>>,
}

#[derive(Template)]
#[template(path = "mailbox/mail.html")]
struct Page {
    mail: Arc<Mail>,
}

/// The routes: `/mail` and `/mailbox`.
pub fn router(mailbox: Arc<Mailbox>) -> Router {
    Router::new()
        .route("/mail", get(find).delete(clear))
        .route("/mail/{id}", get(one))
        .route("/mailbox", get(list))
        .route("/mailbox/{id}", get(page))
        .with_state(mailbox)
}

type Shared = State<Arc<Mailbox>>;

async fn find(State(mailbox): Shared, Query(filter): Query<Filter>) -> Json<Vec<Arc<Mail>>> {
    Json(mailbox.find(&filter))
}

async fn one(State(mailbox): Shared, Path(id): Path<u64>) -> Response {
    match mailbox.one(id) {
        Some(mail) => Json(mail).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn clear(State(mailbox): Shared) -> StatusCode {
    mailbox.clear();
    StatusCode::NO_CONTENT
}

async fn list(State(mailbox): Shared) -> Response {
    let mut mails = mailbox.find(&Filter { limit: Some(LISTED), ..Filter::default() });
    mails.reverse();
    show(&List { mails })
}

async fn page(State(mailbox): Shared, Path(id): Path<u64>) -> Response {
    match mailbox.one(id) {
        Some(mail) => show(&Page { mail }),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn show(template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(html)).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
