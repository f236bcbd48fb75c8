//! Telephone numbers of Japan, as people write them.

use super::narrow;

/// Reads a number of Japan in any of its spellings: `09012345678`, `090-1234-5678`, `+81 90 1234 5678`, `(03) 1234-5678`,
/// full-width. Mobile numbers come out in three groups, others with the hyphens that they were written with. `None` for what
/// is no such number.
pub fn phone(text: &str) -> Option<String> {
    let plain: String = text.trim().chars().map(narrow).collect();
    let national = match plain.strip_prefix("+81") {
        Some(rest) => format!("0{}", rest.trim_start_matches([' ', '-', '.', '(', ')', '0'])),
        None => plain,
    };
    if !national.chars().all(|c| c.is_ascii_digit() || matches!(c, ' ' | '-' | '.' | '(' | ')')) {
        return None;
    }
    let digits: String = national.chars().filter(char::is_ascii_digit).collect();
    // The digit behind the first is 0 only of numbers abroad; a number of eleven digits is a mobile's or like one.
    if !digits.starts_with('0') || digits[1..].starts_with('0') {
        return None;
    }
    let is_mobile = ["020", "050", "060", "070", "080", "090"].contains(&&digits[..3.min(digits.len())]);
    match digits.len() {
        11 if digits.starts_with("0800") => {
            Some(format!("{}-{}-{}", &digits[..4], &digits[4..7], &digits[7..]))
        }
        11 if is_mobile => Some(format!("{}-{}-{}", &digits[..3], &digits[3..7], &digits[7..])),
        10 if !is_mobile => {
            let groups: Vec<_> =
                national.split(|c: char| !c.is_ascii_digit()).filter(|group| !group.is_empty()).collect();
            Some(if groups.len() == 3 { groups.join("-") } else { digits })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::phone;

    #[test]
    fn every_spelling_of_a_number_is_read_and_nothing_else() {
        for (text, read) in [
            ("09012345678", Some("090-1234-5678")),
            (" 090 1234 5678 ", Some("090-1234-5678")),
            ("０９０－１２３４－５６７８", Some("090-1234-5678")),
            ("+81 90-1234-5678", Some("090-1234-5678")),
            ("+81 (0)90-1234-5678", Some("090-1234-5678")),
            ("070ー1234ー5678", Some("070-1234-5678")),
            ("03-1234-5678", Some("03-1234-5678")),
            ("(03) 1234-5678", Some("03-1234-5678")),
            ("+81-3-1234-5678", Some("03-1234-5678")),
            ("0312345678", Some("0312345678")),
            ("0120-123-456", Some("0120-123-456")),
            ("0800-123-4567", Some("0800-123-4567")),
            ("", None),
            ("1234567890", None),
            ("010-1234-5678", None),
            ("090-1234-567", None),
            ("090-1234-56789", None),
            ("0012345678", None),
            ("+1 212 555 0100", None),
            ("090-1234-567x", None),
            ("電話なし", None),
        ] {
            assert_eq!(phone(text).as_deref(), read, "{text}");
        }
    }
}
