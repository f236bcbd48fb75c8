//! What was said in a case: public comments and e-mails in one row, by time.

use std::collections::HashMap;

use async_graphql::{Enum, SimpleObject};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::FieldMap;
use crate::{
    error::{Error, Result},
    id::{CaseId, RecordId},
    upstream::{
        self,
        salesforce::{
            Record,
            soql::{Direction, Filter, Select, Soql, Value},
        },
    },
};

/// A message in a case.
#[derive(Clone, Debug, Deserialize, Serialize, SimpleObject)]
#[graphql(complex)]
pub struct CaseMessage {
    /// Its record.
    #[graphql(skip)]
    pub key: RecordId,
    /// Who wrote it.
    pub author: MessageAuthor,
    /// How it was sent.
    pub channel: MessageChannel,
    /// The text, without what it quotes.
    pub body: String,
    /// When it was sent.
    pub sent_at: DateTime<Utc>,
}

/// Who wrote a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, Enum)]
pub enum MessageAuthor {
    /// The customer.
    Customer,
    /// Support staff.
    Support,
}

/// How a message was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, Enum)]
pub enum MessageChannel {
    /// Written in the portal or in the support desk.
    Comment,
    /// By e-mail.
    Email,
}

fn ids(cases: &[CaseId]) -> impl Iterator<Item = Value> {
    cases.iter().map(|case| Value::Id(case.0))
}

/// The query for the public comments of some cases.
pub(super) fn select_comments(fields: &FieldMap, cases: &[CaseId]) -> Result<Soql> {
    Select::from("CaseComment")
        .fields(["Id", "ParentId", "CommentBody", "CreatedDate"])
        .fields([&fields.comment_author])
        .filter(Filter::one_of("ParentId", ids(cases)).and(Filter::eq("IsPublished", true)))
        .order_by("CreatedDate", Direction::Ascending)
        .build()
        .map_err(Error::internal)
}

/// The query for the e-mails of some cases, drafts left out.
pub(super) fn select_mails(cases: &[CaseId]) -> Result<Soql> {
    Select::from("EmailMessage")
        .fields(["Id", "ParentId", "TextBody", "Incoming", "MessageDate", "CreatedDate"])
        // 5 is a draft (Salesforce reference §16.5).
        .filter(Filter::one_of("ParentId", ids(cases)).and(Filter::ne("Status", "5")))
        .order_by("MessageDate", Direction::Ascending)
        .build()
        .map_err(Error::internal)
}

/// Puts comments and e-mails of each case in one row, oldest first.
///
/// # Errors
/// When a record lacks what was asked for, with the path.
pub(super) fn merge(
    comments: &[Record],
    mails: &[Record],
    fields: &FieldMap,
) -> Result<HashMap<CaseId, Vec<CaseMessage>>, upstream::Error> {
    let mut conversations: HashMap<CaseId, Vec<CaseMessage>> = HashMap::new();
    let mut add = |row: &Record, author, channel, body: &str, sent_at| {
        let body = without_quote(row.text(body)?.unwrap_or_default());
        if !body.is_empty() {
            let case = CaseId(row.required("ParentId", Record::id)?);
            let key = row.required("Id", Record::id)?;
            conversations.entry(case).or_default().push(CaseMessage { key, author, channel, body, sent_at });
        }
        Ok(())
    };
    for row in comments {
        let author = match row.text(&fields.comment_author)? {
            Some(author) if author.eq_ignore_ascii_case("customer") => MessageAuthor::Customer,
            _ => MessageAuthor::Support,
        };
        let sent_at = row.required("CreatedDate", Record::instant)?;
        add(row, author, MessageChannel::Comment, "CommentBody", sent_at)?;
    }
    for row in mails {
        let author = if row.flag("Incoming")? { MessageAuthor::Customer } else { MessageAuthor::Support };
        let sent_at = match row.instant("MessageDate")? {
            Some(sent_at) => sent_at,
            None => row.required("CreatedDate", Record::instant)?,
        };
        add(row, author, MessageChannel::Email, "TextBody", sent_at)?;
    }
    for messages in conversations.values_mut() {
        messages.sort_by_key(|message| (message.sent_at, message.key));
    }
    Ok(conversations)
}

/// The text without the quoted tail of an earlier mail (domain reference §24).
///
/// The tail begins at the first line that mail programs put above a quotation, or at the block of
/// `>` lines that runs to the end. Above such a block, the line that says whose words follow goes too.
fn without_quote(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let is_quoted = |line: &str| line.starts_with('>');
    let tail = lines.iter().rev().take_while(|line| is_quoted(line) || line.is_empty()).count();
    let rest = lines.len() - tail;
    let names_author = |line: &&str| line.ends_with([':', '：']) && line.contains('@');
    let above = lines[..rest].last().filter(|_| lines[rest..].iter().any(|line| is_quoted(line)));
    let end = rest - usize::from(above.is_some_and(names_author));
    let end = (0..end).find(|n| opens_quote(&lines[*n..])).unwrap_or(end);
    text.lines().take(end).collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// Whether the first of the lines stands above a quotation. The English one may be broken in two.
fn opens_quote(lines: &[&str]) -> bool {
    let Some(line) = lines.first() else { return false };
    (line.starts_with("On ") && lines.iter().take(2).any(|line| line.ends_with("wrote:")))
        || line.starts_with("-----Original Message-----")
        || line.starts_with("-----元のメッセージ-----")
        || line.ends_with("のメール:")
        || (line.starts_with("20") && line.ends_with("書きました:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_tail_is_cut_off_and_a_quote_in_the_middle_stays() {
        for (text, kept) in [
            ("Thank you.\n\nOn Mon, Nov 16, 2026 Support wrote:\n> Hello", "Thank you."),
            (
                "ありがとうございます。\n\n-----元のメッセージ-----\n差出人: サポート",
                "ありがとうございます。",
            ),
            ("Yes.\n> Is it on?\n", "Yes."),
            (
                "解決しました。\n\n2026年10月30日 16:41 サポート窓口 <support@portal.example.jp>:\n> お試しください。",
                "解決しました。",
            ),
            (
                "Yes.\n\nOn Mon, Nov 16, 2026 Support <support@\nportal.example.jp> wrote:\n\n> Is it on?",
                "Yes.",
            ),
            ("It shows this:\n> Is it on?", "It shows this:"),
            ("Please write to me@example.jp:", "Please write to me@example.jp:"),
            ("> Is it on?\nYes.", "> Is it on?\nYes."),
            ("", ""),
        ] {
            assert_eq!(without_quote(text), kept);
        }
    }
}
