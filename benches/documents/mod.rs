//! Documents made to exhaust a server, each by its name; used by the guard's tests and its bench.

/// The hostile set: name, document.
pub fn hostile() -> Vec<(&'static str, String)> {
    vec![
        ("10k aliases", many("{", 10_000, |n| format!("a{n}:viewer{{id}} "), "}")),
        ("400 aliases", many("{", 400, |n| format!("a{n}:viewer "), "}")),
        ("10k repeated fields", many("{", 10_000, |_| "x ".to_owned(), "}")),
        ("depth 13", nested(13)),
        ("depth 38", nested(38)),
        ("depth 50", nested(50)),
        ("depth 500", nested(500)),
        ("circular, direct", "{...A} fragment A on Query{x ...A}".to_owned()),
        ("circular, mutual", "{...A} fragment A on Query{...B} fragment B on Query{...A}".to_owned()),
        ("doubling 12", spreads(2, 12)),
        ("doubling 18", spreads(2, 18)),
        ("doubling 28", spreads(2, 28)),
        ("doubling 90", spreads(2, 90)),
        ("8-way 6", spreads(8, 6)),
        ("8-way 10", spreads(8, 10)),
        ("8-way 20", spreads(8, 20)),
        ("10k unknown directives", many("{x ", 10_000, |n| format!("@d{n} "), "}")),
        ("10k known directives", many("{x ", 10_000, |_| "@include(if:true) ".to_owned(), "}")),
        ("900 known directives", many("{x ", 900, |_| "@skip ".to_owned(), "}")),
        ("1 MB comment", format!("#{}\n{{x}}", "c".repeat(1 << 20))),
        ("1 MB fields", many("{", 1 << 19, |_| "x ".to_owned(), "}")),
        ("10k nested list", format!("{{x(a:{}{})}}", "[".repeat(10_000), "]".repeat(10_000))),
        (
            "38 nested list, unclosed string",
            format!("{{x(a:{}\"\"\"{}", "[".repeat(38), "\\\"\"\"".repeat(3_000)),
        ),
        ("spread chain, no fields", spreads(1, 100)),
        ("2k tokens that fail at the end", format!("{}!", many("{", 990, |_| "x,".to_owned(), "}"))),
        (
            "comments that fail at the end",
            format!("{}!", many("{", 900, |_| "x#cccccccccccc\n".to_owned(), "}")),
        ),
    ]
}

/// Fragments that each spread the next one `ways` times, `levels` deep.
pub fn spreads(ways: usize, levels: usize) -> String {
    let mut text = "{...F0}".to_owned();
    for level in 0..levels {
        let next = format!("...F{}", level + 1).repeat(ways);
        text += &format!("fragment F{level} on Query{{{next}}}");
    }
    text + &format!("fragment F{levels} on Query{{x}}")
}

/// A field inside a field, `depth` of them.
pub fn nested(depth: usize) -> String {
    format!("{{{}x{}}}", "x{".repeat(depth - 1), "}".repeat(depth - 1))
}

fn many(open: &str, count: usize, item: impl Fn(usize) -> String, close: &str) -> String {
    open.to_owned() + &(0..count).map(item).collect::<String>() + close
}

/// A portal's first screen.
pub const DASHBOARD: &str = "query Dashboard($services: Int = 10) {
  viewer {
    profile { firstName lastName email phone company language }
    address { line1 line2 city prefecture postalCode country }
    summary { activeSubscriptions unpaidInvoices openCases nextRenewal amountDue { amount currency } }
    subscriptions(first: $services) { totalCount nodes { id name status registeredOn nextDueOn billingCycle
      amount { amount currency } line { phoneNumber status usage { todayBytes monthBytes quotaBytes } options { voicemail callWaiting roaming } } }
      pageInfo { hasNextPage endCursor } }
    invoices(first: 10) { totalCount nodes { id number status issuedOn dueOn total { amount currency } balance { amount currency } }
      pageInfo { hasNextPage endCursor } }
    orders(first: 5) { nodes { id number status orderedAt type lines { name quantity unitPrice { amount currency } } } }
    cases(first: 5) { nodes { id number subject status priority createdAt updatedAt } }
  }
}";
