//! A person: name, telephone, birth date and what else sign-up asks (domain reference §6.4).

use async_graphql::InputObject;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::{Faults, phone::phone};
use crate::billing::Gender;

/// Nobody is older.
const MOST_YEARS: u32 = 120;

/// A person as they describe themselves.
#[derive(Clone, Debug, Serialize, InputObject)]
pub struct PersonInput {
    /// Given name, at most 40 characters.
    pub first_name: String,
    /// Family name, at most 80 characters.
    pub last_name: String,
    /// Telephone number of Japan, in any usual spelling.
    pub phone: String,
    /// Birth date.
    pub birth_date: NaiveDate,
    /// Gender.
    pub gender: Gender,
    /// Nationality.
    pub nationality: Option<String>,
    /// Company, for a business customer.
    pub company: Option<String>,
}

/// What a customer changes of their profile; what is left out stays.
#[derive(Clone, Debug, Default, InputObject)]
pub struct ProfileChange {
    /// Telephone number of Japan, in any usual spelling.
    pub phone: Option<String>,
    /// Birth date.
    pub birth_date: Option<NaiveDate>,
    /// Gender.
    pub gender: Option<Gender>,
    /// Nationality.
    pub nationality: Option<String>,
}

/// What a person says of themselves besides the name, read and found good.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// `090-1234-5678`.
    pub phone: Option<String>,
    /// Birth date.
    pub birth_date: Option<NaiveDate>,
    /// Gender.
    pub gender: Option<Gender>,
    /// Nationality.
    pub nationality: Option<String>,
}

/// A person, read and found good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
    /// Company.
    pub company: Option<String>,
    /// The rest.
    pub details: Details,
}

impl PersonInput {
    /// Reads the description, and notes all that is wrong with it.
    pub fn read(&self, today: NaiveDate, least_age: u32, faults: &mut Faults) -> Option<Person> {
        let names = names(&self.first_name, &self.last_name, faults);
        let company = faults.optional_line(&["company"], self.company.as_deref(), 100);
        let change = ProfileChange {
            phone: Some(self.phone.clone()),
            birth_date: Some(self.birth_date),
            gender: Some(self.gender),
            nationality: self.nationality.clone(),
        };
        let details = change.read(today, least_age, faults);
        let (first_name, last_name) = names?;
        Some(Person { first_name, last_name, company, details })
    }
}

impl ProfileChange {
    /// Reads the change, and notes all that is wrong with it. An empty nationality is none.
    pub fn read(&self, today: NaiveDate, least_age: u32, faults: &mut Faults) -> Details {
        Details {
            phone: self.phone.as_deref().and_then(|text| read_phone(text, faults)),
            birth_date: self.birth_date.and_then(|day| read_birth_date(day, today, least_age, faults)),
            gender: self.gender,
            nationality: faults.optional_line(&["nationality"], self.nationality.as_deref(), 60),
        }
    }
}

/// Given and family name, read; all that is wrong with them is noted.
pub fn names(first: &str, last: &str, faults: &mut Faults) -> Option<(String, String)> {
    let first = faults.line(&["firstName"], first, 40);
    let last = faults.line(&["lastName"], last, 80);
    for (field, name) in [("firstName", &first), ("lastName", &last)] {
        if name.as_deref().is_some_and(|name| !is_name(name)) {
            let message = "A name is made of letters, spaces, hyphens and apostrophes.";
            faults.add("INVALID_NAME", &[field], message);
        }
    }
    first.zip(last)
}

fn read_phone(text: &str, faults: &mut Faults) -> Option<String> {
    let read = phone(text);
    if text.trim().is_empty() {
        faults.add("REQUIRED", &["phone"], "Please fill this in.");
    } else if read.is_none() {
        let message = "This is no telephone number of Japan, such as 090-1234-5678.";
        faults.add("INVALID_PHONE", &["phone"], message);
    }
    read
}

fn read_birth_date(
    day: NaiveDate,
    today: NaiveDate,
    least_age: u32,
    faults: &mut Faults,
) -> Option<NaiveDate> {
    let field = &["birthDate"];
    match today.years_since(day) {
        _ if day >= today => faults.add("INVALID_BIRTH_DATE", field, "A birth date lies in the past."),
        Some(age) if age < least_age => {
            faults.add("TOO_YOUNG", field, "You are too young to sign up yourself.");
        }
        Some(age) if age <= MOST_YEARS => return Some(day),
        _ => faults.add("INVALID_BIRTH_DATE", field, "Nobody is as old as that."),
    }
    None
}

/// Letters of any script with what joins them; at least one letter.
fn is_name(name: &str) -> bool {
    let joins = |c: char| matches!(c, ' ' | '-' | '\'' | '’' | '.' | '・' | 'ー' | '＝' | '々' | 'ヶ');
    name.chars().any(char::is_alphabetic) && name.chars().all(|c| c.is_alphabetic() || joins(c) || is_mark(c))
}

/// Accents that are written as characters of their own.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{3099}' | '\u{309a}' | '\u{94d}' | '\u{e31}'..='\u{e4e}')
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn input() -> PersonInput {
        PersonInput {
            first_name: " Zoë  Anne ".to_owned(),
            last_name: "O'Brien-山田".to_owned(),
            phone: "+81 90 1234 5678".to_owned(),
            birth_date: day("1990-01-31"),
            gender: Gender::Female,
            nationality: Some("Ireland".to_owned()),
            company: Some("  ".to_owned()),
        }
    }

    fn faults(input: &PersonInput) -> Vec<(&'static str, &'static str)> {
        let mut faults = Faults::default();
        let _ = input.read(day("2026-11-20"), 18, &mut faults);
        faults.0.iter().map(|fault| (fault.code, *fault.field.last().unwrap())).collect()
    }

    #[test]
    fn a_good_description_is_put_in_order() {
        let person = input().read(day("2026-11-20"), 18, &mut Faults::default()).unwrap();
        assert_eq!((person.first_name.as_str(), person.company), ("Zoë Anne", None));
        let Details { phone, nationality, .. } = person.details;
        assert_eq!((phone.as_deref(), nationality.as_deref()), (Some("090-1234-5678"), Some("Ireland")));
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let bad = PersonInput {
            first_name: String::new(),
            last_name: "<script>".to_owned(),
            phone: "12".to_owned(),
            birth_date: day("2027-01-01"),
            nationality: Some("x".repeat(61)),
            ..input()
        };
        assert_eq!(
            faults(&bad),
            [
                ("REQUIRED", "firstName"),
                ("INVALID_NAME", "lastName"),
                ("INVALID_PHONE", "phone"),
                ("INVALID_BIRTH_DATE", "birthDate"),
                ("TOO_LONG", "nationality"),
            ]
        );
    }

    #[test]
    fn an_age_is_plausible_to_the_day() {
        for (born, code) in [
            ("2008-11-20", None),
            ("2008-11-21", Some("TOO_YOUNG")),
            ("2026-11-20", Some("INVALID_BIRTH_DATE")),
            ("1906-11-20", None),
            ("1905-11-20", Some("INVALID_BIRTH_DATE")),
        ] {
            let found = faults(&PersonInput { birth_date: day(born), ..input() });
            assert_eq!(found.first().map(|(code, _)| *code), code, "{born}");
        }
    }
}
