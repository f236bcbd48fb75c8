//! What people write about themselves: read, put into one form, and all that is wrong with it told at once.
//!
//! Source: domain reference §6.4, §8, §9.

mod address;
mod person;
mod phone;
mod prefecture;

pub use self::{
    address::{AddressInput, Residence, WrittenAddress},
    person::{Details, Person, PersonInput, ProfileChange, names},
    phone::phone,
};
use crate::error::{Error, Result, UserError};

/// What is wrong with a form.
#[derive(Debug, Default)]
pub struct Faults(Vec<UserError>);

impl Faults {
    /// Notes one.
    pub fn add(&mut self, code: &'static str, field: &[&'static str], message: &'static str) {
        self.0.push(UserError { code, field: field.to_vec(), message });
    }

    /// Notes those that another check found; any other failure is passed on.
    ///
    /// # Errors
    /// What is no fault of the form.
    pub fn take<T>(&mut self, checked: Result<T>) -> Result<Option<T>> {
        match checked {
            Ok(value) => Ok(Some(value)),
            Err(Error::Rejected(errors)) => {
                self.0.extend(errors);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Notes what is wrong with a part, under its name.
    pub fn within<T>(&mut self, part: &'static str, read: impl FnOnce(&mut Self) -> T) -> T {
        let mut faults = Self::default();
        let value = read(&mut faults);
        for fault in &mut faults.0 {
            fault.field.insert(0, part);
        }
        self.0.append(&mut faults.0);
        value
    }

    /// Whether nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Refuses the form when anything is wrong with it.
    ///
    /// # Errors
    /// [`Error::Rejected`] with everything that was noted.
    pub fn refuse(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Rejected(self.0)) }
    }

    /// A line of text that must be there: its space put in order, at most so many characters.
    fn line(&mut self, field: &[&'static str], text: &str, most: usize) -> Option<String> {
        let line = self.optional_line(field, Some(text), most);
        if line.is_none() && !self.0.iter().any(|fault| fault.field == field) {
            self.add("REQUIRED", field, "Please fill this in.");
        }
        line
    }

    /// The same, but it may be left out.
    fn optional_line(&mut self, field: &[&'static str], text: Option<&str>, most: usize) -> Option<String> {
        let words: Vec<_> = text?.split(char::is_whitespace).filter(|word| !word.is_empty()).collect();
        let line = words.join(" ");
        if line.is_empty() {
            return None;
        }
        if line.chars().any(|c| c.is_control() || ('\u{200b}'..='\u{200f}').contains(&c)) {
            self.add("INVALID_CHARACTERS", field, "This holds characters that cannot be printed.");
            return None;
        }
        if line.chars().count() > most {
            self.add("TOO_LONG", field, "This is too long.");
            return None;
        }
        Some(line)
    }
}

/// Full-width digits, letters and signs as plain ones.
fn narrow(c: char) -> char {
    match c {
        '！'..='～' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
        '\u{3000}' => ' ',
        '‐' | '‑' | '–' | '—' | '―' | '−' | 'ー' => '-',
        _ => c,
    }
}
