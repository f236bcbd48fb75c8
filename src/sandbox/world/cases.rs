//! Support cases and their conversations, as Salesforce keeps them.

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};

use crate::sandbox::world::{
    Dice, Language, ServiceSeed, instant,
    people::{self, Person},
};

/// A support case.
#[derive(Clone, Debug)]
pub struct CaseSeed {
    /// From 1, below 64.
    pub k: u32,
    /// `CaseNumber`, 8 digits: unique over all customers.
    pub number: String,
    /// Subject.
    pub subject: &'static str,
    /// The customer's first words.
    pub description: &'static str,
    /// The org's own status: `New`, `In Progress`, `Awaiting Customer`, `Closed`, and internal ones.
    pub status: &'static str,
    /// `Low`, `Medium`, `High`.
    pub priority: &'static str,
    /// `Portal Support`; a staff-created case has another.
    pub origin: &'static str,
    /// `Technical`, `Billing`, `General`.
    pub kind: &'static str,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub modified_at: DateTime<Utc>,
    /// When it was closed.
    pub closed_at: Option<DateTime<Utc>>,
    /// The service it is about: `WHMCS_Service_ID__c`.
    pub service_k: Option<u32>,
    /// Comments, oldest first; the place (from 0) is `j` of [`crate::sandbox::world::ids::message_k`].
    pub comments: Vec<CommentSeed>,
    /// E-mails, oldest first; the place (from 0) is `j` of [`crate::sandbox::world::ids::message_k`].
    pub emails: Vec<EmailSeed>,
}

/// A comment on a case.
#[derive(Clone, Debug)]
pub struct CommentSeed {
    /// What it says.
    pub body: &'static str,
    /// Whether the customer may see it.
    pub published: bool,
    /// Written by the customer through the portal; otherwise by staff.
    pub by_customer: bool,
    /// When.
    pub at: DateTime<Utc>,
}

/// An e-mail on a case.
#[derive(Clone, Debug)]
pub struct EmailSeed {
    /// From the customer; otherwise from staff.
    pub incoming: bool,
    /// Subject.
    pub subject: String,
    /// Text, in some with a quoted tail.
    pub text_body: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Sender's address.
    pub from: String,
}

/// Address from which the support staff write.
pub const SUPPORT_EMAIL: &str = "support@portal.example.jp";

/// What a case is about, and how its conversation goes: first the customer, then alternating.
struct Topic {
    about: &'static str,
    kind: &'static str,
    subject: [&'static str; 2],
    turns: [&'static [&'static str]; 2],
    note: &'static str,
}

static TOPICS: &[Topic] = &[
    Topic {
        about: "Internet",
        kind: "Technical",
        subject: ["Slow connection every evening", "夜になると回線が遅くなります"],
        turns: [
            &[
                "Since last week my connection drops below 10 Mbps between 20:00 and 23:00. Wired, two devices checked.",
                "Thank you for reporting this. Could you tell us whether you use the rental router or your own?",
                "My own router, connected by IPoE.",
                "We have asked NTT to check the line. We will write again within two working days.",
            ],
            &[
                "先週から20時から23時ごろまで速度が10Mbpsを下回ります。有線で2台とも同じです。",
                "ご連絡ありがとうございます。ルーターはレンタル品でしょうか、お手持ちのものでしょうか。",
                "自分で用意したルーターです。IPoE接続です。",
                "NTTに回線の調査を依頼しました。2営業日以内に改めてご連絡いたします。",
            ],
        ],
        note: "Line test with NTT shows packet loss at the splitter. Ticket raised.",
    },
    Topic {
        about: "SIM",
        kind: "Technical",
        subject: ["No signal after changing phones", "機種変更後に圏外になります"],
        turns: [
            &[
                "I moved my SIM to a new phone and it shows \"No Service\". The old phone still works with it.",
                "Please check the APN settings on the new phone and restart it.",
                "That solved it, thank you!",
            ],
            &[
                "SIMを新しい端末に入れ替えたところ「圏外」と表示されます。古い端末では使えます。",
                "新しい端末のAPN設定をご確認のうえ、再起動をお試しください。",
                "解決しました。ありがとうございました。",
            ],
        ],
        note: "Handset is SIM-free, band support OK.",
    },
    Topic {
        about: "",
        kind: "Billing",
        subject: ["Question about the invoice of this month", "今月の請求書について"],
        turns: [
            &[
                "Why is my invoice higher than last month? I did not order anything new.",
                "Last month's invoice held a credit of 500 yen. The monthly fees have not changed.",
            ],
            &[
                "先月より請求額が高いのはなぜでしょうか。新しい申し込みはしていません。",
                "先月は500円のクレジットが適用されておりました。月額料金に変更はございません。",
            ],
        ],
        note: "Checked in billing, no error.",
    },
    Topic {
        about: "SIM",
        kind: "General",
        subject: ["Porting my number in & timing", "番号の乗り換え（MNP）の時期について"],
        turns: [
            &[
                "I would like to bring my number from another carrier. How long will I be without service?",
                "Usually the switch takes less than an hour. Please get a reservation number valid for 10 more days.",
            ],
            &[
                "他社から番号を移したいです。使えない時間はどのくらいありますか。",
                "通常は1時間以内に切り替わります。有効期限が10日以上残ったMNP予約番号をご用意ください。",
            ],
        ],
        note: "Customer is on another docomo MVNO.",
    },
    Topic {
        about: "VPN",
        kind: "Technical",
        subject: ["VPN router does not connect to <USA-SF>", "VPNルーターが接続できません"],
        turns: [
            &["The router's VPN light has been orange since the power cut."],
            &["停電のあと、ルーターのVPNランプがオレンジのままです。"],
        ],
        note: "Replacement unit in stock.",
    },
];

/// The case that stands for an eligibility request: made by the workflow, not shown to the customer.
static ELIGIBILITY: Topic = Topic {
    about: "Internet",
    kind: "Internet",
    subject: ["Internet availability check", "インターネット提供エリアの確認"],
    turns: [&["Please check whether fibre can be delivered."], &["光回線の提供可否を確認してください。"]],
    note: "",
};

/// `(status, days ago, priority, origin)`: the demo customer's seven cases show every one.
const DEMO: &[(&str, u64, &str, &str)] = &[
    ("Closed", 400, "Medium", "Portal Support"),
    ("Closed", 130, "Low", "Portal Support"),
    ("Escalated to NTT", 21, "High", "Portal Support"),
    ("Awaiting Customer", 12, "Medium", "Portal Support"),
    ("In Progress", 6, "Medium", "Portal Support"),
    ("Pending Eligibility Check", 4, "Medium", "Eligibility Request"),
    ("New", 1, "High", "Portal Support"),
];

const STATUSES: &[&str] = &[
    "New",
    "In Progress",
    "Awaiting Customer",
    "Closed",
    "Closed",
    "Closed",
    "Escalated to NTT",
    "VPN Pending",
];

pub(super) fn make(
    n: u64,
    today: NaiveDate,
    person: &Person,
    services: &[ServiceSeed],
    dice: &mut Dice,
) -> Vec<CaseSeed> {
    let mut plan: Vec<(&str, u64, &str, &str)> = if n == 1 {
        DEMO.to_vec()
    } else {
        let count = if n <= 3 { 2 } else { dice.below(4) };
        let case = |_| {
            let origin = if dice.chance(85) { "Portal Support" } else { "Phone" };
            (
                *dice.pick(STATUSES),
                1 + dice.below(300),
                *dice.pick(&["Low", "Medium", "Medium", "High"]),
                origin,
            )
        };
        (0..count).map(case).collect()
    };
    plan.sort_by_key(|(_, days_ago, ..)| std::cmp::Reverse(*days_ago));
    let first_topic = dice.below(TOPICS.len() as u64);
    let case = |(k, (status, days_ago, priority, origin)): (
        u32,
        (&'static str, u64, &'static str, &'static str),
    )| {
        let topic = match origin {
            "Eligibility Request" => &ELIGIBILITY,
            _ => &TOPICS[(first_topic as usize + k as usize) % TOPICS.len()],
        };
        let by_email = if n == 1 { k == 1 || k == 3 } else { dice.chance(40) };
        // The demo customer writes now in English, now in Japanese.
        let language = match person.language {
            Language::Japanese => 1,
            Language::English if n == 1 && k % 3 == 0 => 1,
            Language::English => 0,
        };
        let turns = topic.turns[language];
        let created_at = instant(today - Days::new(days_ago), 9 + dice.small(7), dice.small(60));
        let said = match status {
            "New" => 1,
            // The last word is the staff's.
            "Awaiting Customer" => turns.len() / 2 * 2,
            _ => turns.len(),
        };
        let (comments, emails, last) =
            conversation(n, person, topic, language, &turns[..said.max(1)], created_at, by_email, dice);
        let closed_at = (status == "Closed").then(|| (last + TimeDelta::hours(30)).min(instant(today, 0, 0)));
        CaseSeed {
            k,
            number: format!("{:08}", n * 8 + u64::from(k)),
            subject: topic.subject[language],
            description: turns[0],
            status,
            priority,
            origin,
            kind: topic.kind,
            created_at,
            modified_at: closed_at.unwrap_or(last),
            closed_at,
            service_k: services
                .iter()
                .find(|service| !topic.about.is_empty() && service.product.category == topic.about)
                .map(|service| service.k),
            comments,
            emails,
        }
    };
    (1..).zip(plan).map(case).collect()
}

#[expect(clippy::too_many_arguments, reason = "the parts of a conversation, once")]
/// The first words are the case's description; later ones are comments, and in some cases e-mails.
fn conversation(
    n: u64,
    person: &Person,
    topic: &Topic,
    language: usize,
    turns: &[&'static str],
    created_at: DateTime<Utc>,
    by_email: bool,
    dice: &mut Dice,
) -> (Vec<CommentSeed>, Vec<EmailSeed>, DateTime<Utc>) {
    let subject = format!("Re: {}", topic.subject[language]);
    let customer = people::email(person, n);
    let (mut comments, mut emails) = (Vec::new(), Vec::new());
    let mut at = created_at;
    for (turn, body) in turns.iter().enumerate().skip(1) {
        at += TimeDelta::minutes(45 + i64::from(dice.small(90)));
        let by_customer = turn % 2 == 0;
        if !by_customer && turn == 1 {
            let at = at - TimeDelta::minutes(10);
            comments.push(CommentSeed { body: topic.note, published: false, by_customer: false, at });
        }
        if by_email && (turn >= 2 || turns.len() == 2) {
            emails.push(EmailSeed {
                incoming: by_customer,
                subject: subject.clone(),
                text_body: format!("{body}\n\n{}", quoted(turns[turn - 1], at, language)),
                at,
                from: if by_customer { customer.clone() } else { SUPPORT_EMAIL.to_owned() },
            });
        } else {
            comments.push(CommentSeed { body, published: true, by_customer, at });
        }
    }
    (comments, emails, at)
}

/// The tail that mail programs add, in the manner of the language.
fn quoted(before: &str, at: DateTime<Utc>, language: usize) -> String {
    let day = at.with_timezone(&crate::clock::TOKYO);
    if language == 1 {
        format!("{} サポート窓口 <{SUPPORT_EMAIL}>:\n> {before}", day.format("%Y年%-m月%-d日 %H:%M"))
    } else {
        format!("On {}, Support <{SUPPORT_EMAIL}> wrote:\n> {before}", day.format("%a, %b %-d, %Y at %H:%M"))
    }
}
