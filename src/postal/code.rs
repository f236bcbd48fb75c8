//! What is looked up, as a person writes it.

use std::fmt;

/// Why a text is no code.
const MALFORMED: &str =
    "must be a postal code of seven digits, such as 150-0041, or a digital address, such as A7E-2FK2";
/// Why a text is no postal code.
const NOT_POSTAL: &str = "must be a postal code of seven digits, such as 150-0041";
/// Why a text is no digital address.
const NOT_DIGITAL: &str = "must be a digital address of seven letters and digits, such as A7E-2FK2";

/// The length of both.
const LENGTH: usize = 7;
/// Where the hyphen stands.
const HYPHEN: usize = 3;

/// A Japanese postal code, also one of an organisation's own: seven digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PostalCode(String);

/// A digital address: seven letters and digits under which somebody has registered an address. At least one is a
/// letter, since seven digits are a postal code. Personal data.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DigitalAddress(String);

/// Either of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// A postal code.
    Postal(PostalCode),
    /// A digital address.
    Digital(DigitalAddress),
}

impl PostalCode {
    /// Reads a postal code as people write it: `1500041`, `150-0041`, `〒150-0041`, `１５０－００４１`.
    ///
    /// # Errors
    /// A sentence for the person.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        let text = text.strip_prefix(['〒', '〶']).unwrap_or(text).trim_start();
        let bare = bare(text).filter(|code| code.bytes().all(|byte| byte.is_ascii_digit()));
        bare.map(Self).ok_or(NOT_POSTAL)
    }

    /// The seven digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PostalCode {
    /// With its hyphen: `150-0041`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (area, rest) = self.0.split_at(HYPHEN);
        write!(f, "{area}-{rest}")
    }
}

impl DigitalAddress {
    /// Reads a digital address as people write it: `A7E2FK2`, `a7e-2fk2`, `Ａ７Ｅ－２ＦＫ２`.
    ///
    /// # Errors
    /// A sentence for the person.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let bare = bare(text.trim()).filter(|code| code.bytes().any(|byte| byte.is_ascii_alphabetic()));
        bare.map(Self).ok_or(NOT_DIGITAL)
    }

    /// The seven letters and digits, in capitals.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DigitalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigitalAddress(…)")
    }
}

impl Code {
    /// Reads either.
    ///
    /// # Errors
    /// A sentence for the person.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let postal = PostalCode::parse(text).map(Self::Postal);
        postal.or_else(|_| DigitalAddress::parse(text).map(Self::Digital)).map_err(|_| MALFORMED)
    }

    /// Its seven letters or digits.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Postal(code) => code.as_str(),
            Self::Digital(code) => code.as_str(),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Seven letters and digits without the hyphen behind the third, in plain capitals.
fn bare(text: &str) -> Option<String> {
    let mut bare = String::with_capacity(LENGTH);
    let mut is_split = false;
    for c in text.chars() {
        let plain = match c {
            '０'..='９' | 'Ａ'..='Ｚ' | 'ａ'..='ｚ' => char::from_u32(c as u32 - 0xFEE0)?,
            // Every dash that a keyboard of the country makes of the key.
            '-' | '‐' | '‑' | '‒' | '–' | '—' | '―' | '−' | '－' | 'ー' | 'ｰ' => {
                if is_split || bare.len() != HYPHEN {
                    return None;
                }
                is_split = true;
                continue;
            }
            other => other,
        };
        if !plain.is_ascii_alphanumeric() || bare.len() == LENGTH {
            return None;
        }
        bare.push(plain.to_ascii_uppercase());
    }
    (bare.len() == LENGTH).then_some(bare)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_postal_code_is_read_as_people_write_it() {
        for text in [
            "1500041",
            "150-0041",
            " 150-0041\n",
            "〒150-0041",
            "〒 150-0041",
            "〒\u{3000}１５０－００４１",
            "１５０ー００４１",
            "150−0041",
            "150–0041",
            "15０-0０41",
        ] {
            let code = PostalCode::parse(text).map(|code| (code.as_str().to_owned(), code.to_string()));
            assert_eq!(code, Ok(("1500041".to_owned(), "150-0041".to_owned())), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_postal_code_is_refused() {
        for text in [
            "",
            "〒",
            "150",
            "150004",
            "15000411",
            "1500-041",
            "15-00041",
            "150--0041",
            "-1500041",
            "1500041-",
            "150 0041",
            "150.0041",
            "〒〒1500041",
            "15０００4x",
            "一五〇〇〇四一",
            "150-004\u{0}",
            "١٥٠٠٠٤١",
            "A7E2FK2",
        ] {
            assert_eq!(PostalCode::parse(text), Err(NOT_POSTAL), "{text:?}");
        }
    }

    #[test]
    fn a_digital_address_has_a_letter_and_is_not_shown() {
        for text in ["A7E2FK2", "a7e-2fk2", " Ａ７Ｅ－２ｆｋ２ "] {
            let code = Code::parse(text);
            assert_eq!(code.as_ref().map(Code::as_str), Ok("A7E2FK2"), "{text:?}");
            assert!(matches!(code, Ok(Code::Digital(_))) && !format!("{code:?}").contains("A7E"));
        }
        assert!(matches!(Code::parse("1500041"), Ok(Code::Postal(_))));
        assert_eq!(DigitalAddress::parse("1500041"), Err(NOT_DIGITAL));
        for text in ["", "A7E2FK", "A7E2FK22", "A7-E2FK2", "〒A7E2FK2", "A7E_FK2", "ÄBCDEF1"] {
            assert_eq!(Code::parse(text), Err(MALFORMED), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_to_one_form_or_refused(text in "\\PC{0,12}") {
            if let Ok(code) = Code::parse(&text) {
                prop_assert_eq!(code.as_str().len(), LENGTH);
                prop_assert!(code.as_str().bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase()));
                prop_assert_eq!(Code::parse(code.as_str()), Ok(code.clone()));
                let (head, tail) = code.as_str().split_at(HYPHEN);
                prop_assert_eq!(Code::parse(&format!("{head}-{tail}")), Ok(code.clone()));
            }
        }

        #[test]
        fn every_spelling_of_seven_digits_is_the_same_code(
            digits in "[0-9]{7}",
            wide in proptest::collection::vec(any::<bool>(), 7),
            dash in proptest::option::of("[-－ー−‐]"),
            mark in "〒? ?",
        ) {
            let mut text = mark;
            for (at, (digit, is_wide)) in digits.chars().zip(wide).enumerate() {
                if at == HYPHEN {
                    text.extend(dash.iter().map(String::as_str));
                }
                let digit = if is_wide { char::from_u32(digit as u32 + 0xFEE0) } else { Some(digit) };
                text.extend(digit);
            }
            let code = PostalCode::parse(&text);
            prop_assert_eq!(code.as_ref().map(PostalCode::as_str), Ok(digits.as_str()));
        }
    }
}
