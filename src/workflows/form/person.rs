//! A person: name, telephone, birth date and what else sign-up asks (domain reference §6.4).

use async_graphql::InputObject;
use chrono::{Datelike, NaiveDate};
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

/// The same, read and found good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
    /// `090-1234-5678`.
    pub phone: String,
    /// Birth date.
    pub birth_date: NaiveDate,
    /// Gender.
    pub gender: Gender,
    /// Nationality.
    pub nationality: Option<String>,
    /// Company.
    pub company: Option<String>,
}

impl PersonInput {
    /// Reads the description, and notes all that is wrong with it under `profile`.
    pub fn read(&self, today: NaiveDate, least_age: u32, faults: &mut Faults) -> Option<Person> {
        let first_name = faults.line(&["profile", "firstName"], &self.first_name, 40);
        let last_name = faults.line(&["profile", "lastName"], &self.last_name, 80);
        for (field, name) in [("firstName", &first_name), ("lastName", &last_name)] {
            if name.as_deref().is_some_and(|name| !is_name(name)) {
                let message = "A name is made of letters, spaces, hyphens and apostrophes.";
                faults.add("INVALID_NAME", &["profile", field], message);
            }
        }
        let phone = read_phone(&self.phone, &["profile", "phone"], faults);
        let birth_date =
            read_birth_date(self.birth_date, today, least_age, &["profile", "birthDate"], faults);
        let nationality = faults.optional_line(&["profile", "nationality"], self.nationality.as_deref(), 60);
        let company = faults.optional_line(&["profile", "company"], self.company.as_deref(), 100);
        Some(Person {
            first_name: first_name?,
            last_name: last_name?,
            phone: phone?,
            birth_date: birth_date?,
            gender: self.gender,
            nationality,
            company,
        })
    }
}

/// Reads a telephone number, or notes what is wrong with it.
pub fn read_phone(text: &str, field: &[&'static str], faults: &mut Faults) -> Option<String> {
    let read = phone(text);
    if text.trim().is_empty() {
        faults.add("REQUIRED", field, "Please fill this in.");
    } else if read.is_none() {
        faults.add("INVALID_PHONE", field, "This is no telephone number of Japan, such as 090-1234-5678.");
    }
    read
}

/// Reads a birth date, or notes what is wrong with it.
pub fn read_birth_date(
    day: NaiveDate,
    today: NaiveDate,
    least_age: u32,
    field: &[&'static str],
    faults: &mut Faults,
) -> Option<NaiveDate> {
    match today.years_since(day) {
        _ if day >= today => faults.add("INVALID_BIRTH_DATE", field, "A birth date lies in the past."),
        Some(age) if age < least_age => {
            faults.add("TOO_YOUNG", field, "You are too young to sign up yourself.")
        }
        Some(age) if age <= MOST_YEARS && day.year() > 0 => return Some(day),
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
        assert_eq!((person.first_name.as_str(), person.phone.as_str()), ("Zoë Anne", "090-1234-5678"));
        assert_eq!((person.nationality.as_deref(), person.company), (Some("Ireland"), None));
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
