//! The postal codes that the emulator knows: a sample of real places, each in three writings, and every place
//! where a customer of the sandbox lives.
//!
//! `places.csv` holds one thing a line, told apart by the length of its code: a prefecture (2 digits), a city of it
//! (5), a town of that (7, with an empty name where the code covers what no other town does), and an organisation
//! with a code of its own (7, with block and name behind the town).

use std::sync::LazyLock;

/// A name in Japanese, in full-width katakana, and romanised in capitals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) japanese: &'static str,
    pub(super) kana: &'static str,
    pub(super) roman: &'static str,
}

/// What a postal code stands for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Seven digits.
    pub(super) code: &'static str,
    /// JIS X 0401, two digits.
    pub(super) prefecture_code: &'static str,
    pub(super) prefecture: Name,
    /// JIS X 0402, five digits.
    pub(super) city_code: &'static str,
    pub(super) city: Name,
    pub(super) town: Name,
    pub(super) organisation: Option<Organisation>,
}

/// Whose own code it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Organisation {
    pub(super) block: &'static str,
    pub(super) name: Name,
}

/// An address that somebody has registered under seven letters and digits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Digital {
    /// Without the hyphen.
    pub(super) code: &'static str,
    pub(super) postal_code: &'static str,
    pub(super) block: &'static str,
    pub(super) other: &'static str,
}

/// Every place, in the order of the file.
pub(super) static PLACES: LazyLock<Vec<Place>> = LazyLock::new(|| read(include_str!("places.csv")));

/// The vendor's own samples.
pub(super) static DIGITAL: [Digital; 3] = [
    Digital {
        code: "A7E2FK2", postal_code: "1000005", block: "２丁目７－２", other: "サンプル１"
    },
    Digital {
        code: "JN4LKS2", postal_code: "5300001", block: "３丁目２－２", other: "サンプル２"
    },
    Digital { code: "QN6GQX1", postal_code: "8120012", block: "９－１", other: "サンプル３" },
];

fn read(text: &'static str) -> Vec<Place> {
    let (mut prefecture, mut city) = (("", Name::default()), ("", Name::default()));
    let mut places = Vec::new();
    for line in text.lines() {
        let fields: Vec<&'static str> = line.split(',').collect();
        let [code, japanese, kana, roman, rest @ ..] = fields.as_slice() else { continue };
        let name = Name { japanese, kana, roman };
        let organisation = match rest {
            [block, japanese, kana, roman] => {
                Some(Organisation { block, name: Name { japanese, kana, roman } })
            }
            _ => None,
        };
        match code.len() {
            2 => prefecture = (code, name),
            5 => city = (code, name),
            _ => places.push(Place {
                code,
                prefecture_code: prefecture.0,
                prefecture: prefecture.1,
                city_code: city.0,
                city: city.1,
                town: name,
                organisation,
            }),
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_whole() {
        let lines = include_str!("places.csv").lines();
        let codes = lines.clone().filter(|line| line.split(',').next().is_some_and(|code| code.len() == 7));
        assert_eq!(PLACES.len(), codes.count());
        assert!(PLACES.len() > 400);
        let is_kana = |text: &str| text.chars().all(|c| ('ァ'..='ー').contains(&c));
        let is_roman = |text: &str| text.chars().all(|c| c.is_ascii_uppercase() || matches!(c, ' ' | '-'));
        for place in PLACES.iter() {
            assert!(place.code.bytes().all(|b| b.is_ascii_digit()) && place.code.len() == 7, "{place:?}");
            assert!(place.city_code.starts_with(place.prefecture_code), "{place:?}");
            let names = [place.prefecture, place.city, place.town];
            for name in names.into_iter().chain(place.organisation.map(|it| it.name)) {
                assert!(is_kana(name.kana) && is_roman(name.roman), "{name:?}");
                let is_empty = [name.japanese, name.kana, name.roman].map(str::is_empty);
                assert!(is_empty == [false; 3] || (is_empty == [true; 3] && name == place.town), "{name:?}");
            }
        }
        for line in lines {
            assert!([4, 8].contains(&line.split(',').count()), "{line}");
        }
    }

    #[test]
    fn digital_addresses_stand_on_known_codes() {
        for digital in &DIGITAL {
            assert!(PLACES.iter().any(|place| place.code == digital.postal_code), "{digital:?}");
        }
    }
}
