//! What a look-up finds.

use async_graphql::SimpleObject;
use serde::{Deserialize, Serialize};

use super::PostalCode;
use crate::upstream::japan_post;

/// The country of every address that is found, ISO 3166 alpha-2.
const COUNTRY: &str = "JP";

/// An address, as far as a code tells it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, SimpleObject)]
pub struct PostalAddress {
    /// Its postal code, `150-0041`.
    pub postal_code: String,
    /// The prefecture.
    pub prefecture: PlaceName,
    /// The city, with its ward or its county.
    pub city: PlaceName,
    /// The town. Null where the code stands for all towns of the city that have no code of their own: ask for the town.
    pub town: Option<PlaceName>,
    /// The organisation whose own code it is. Null for the code of a town, and for a digital address.
    pub organisation: Option<PlaceName>,
    /// Block numbers in Japanese, of an organisation or a digital address: `２丁目７－２`. Null where the code does not
    /// tell them: ask for them.
    pub block: Option<String>,
    /// Building and room in Japanese, of a digital address. Null where the code does not tell them.
    pub building: Option<String>,
    /// What follows from it for the romanised address, in the fields of an address.
    pub form: AddressForm,
}

/// A name in its three writings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, SimpleObject)]
pub struct PlaceName {
    /// In Japanese: `渋谷区`.
    pub japanese: String,
    /// In full-width katakana: `シブヤク`. Null when it is not known.
    pub kana: Option<String>,
    /// Romanised: `Shibuya-ku`. Null when it is not known.
    pub romanised: Option<String>,
}

/// The beginning of a romanised address. The person adds block numbers, and building and room of an apartment: line 2 is the
/// town and, for an apartment, the block numbers behind it; line 1 is building and room of an apartment, or the
/// block numbers of a house.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, SimpleObject)]
pub struct AddressForm {
    /// How line 2 begins: the town. Null when the code does not tell it.
    pub line2: Option<String>,
    /// City or ward. Null when its romanised name is not known: the person writes it.
    pub city: Option<String>,
    /// Prefecture. Null when its romanised name is not known: the person writes it.
    pub state: Option<String>,
    /// Postal code, `150-0041`.
    pub postal_code: String,
    /// Country, ISO 3166 alpha-2: `JP`.
    pub country: String,
}

impl PostalAddress {
    /// From what the post says.
    pub(super) fn new(found: japan_post::Address) -> Self {
        let postal_code = PostalCode::parse(&found.zip_code);
        let postal_code = postal_code.map_or(found.zip_code, |code| code.to_string());
        let prefecture = PlaceName::new(found.pref);
        let city = PlaceName::new(found.city);
        let town = found.town.map(PlaceName::new);
        Self {
            form: AddressForm {
                line2: town.as_ref().and_then(|town| town.romanised.clone()),
                city: city.romanised.clone(),
                state: prefecture.romanised.clone(),
                postal_code: postal_code.clone(),
                country: COUNTRY.to_owned(),
            },
            postal_code,
            prefecture,
            city,
            town,
            organisation: found.biz.map(PlaceName::new),
            block: found.block_name,
            building: found.other_name,
        }
    }
}

impl PlaceName {
    fn new(found: japan_post::Name) -> Self {
        Self {
            japanese: found.name,
            kana: found.kana,
            romanised: found.roma.map(|capitals| capitalized(&capitals)),
        }
    }
}

/// `YOKOHAMA-SHI NISHI-KU` as addresses write it, `Yokohama-shi Nishi-ku`.
fn capitalized(capitals: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().into_iter().flat_map(char::to_uppercase);
        first.chain(letters.as_str().to_lowercase().chars()).collect::<String>()
    };
    capitals.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str, kana: &str, roma: &str) -> japan_post::Name {
        japan_post::Name { name: name.to_owned(), kana: Some(kana.to_owned()), roma: Some(roma.to_owned()) }
    }

    #[test]
    fn an_address_fills_the_form_in_romanised_writing() {
        let address = PostalAddress::new(japan_post::Address {
            zip_code: "2200012".to_owned(),
            pref: name("神奈川県", "カナガワケン", "KANAGAWA"),
            city: name("横浜市西区", "ヨコハマシニシク", "YOKOHAMA-SHI NISHI-KU"),
            town: Some(name("みなとみらい", "ミナトミライ", "MINATOMIRAI")),
            biz: None,
            block_name: None,
            other_name: None,
        });
        let form = AddressForm {
            line2: Some("Minatomirai".to_owned()),
            city: Some("Yokohama-shi Nishi-ku".to_owned()),
            state: Some("Kanagawa".to_owned()),
            postal_code: "220-0012".to_owned(),
            country: "JP".to_owned(),
        };
        assert_eq!((&address.form, address.postal_code.as_str()), (&form, "220-0012"));
        assert_eq!(address.city.japanese, "横浜市西区");
        assert_eq!(address.prefecture.kana.as_deref(), Some("カナガワケン"));
    }

    #[test]
    fn what_the_post_does_not_tell_is_left_to_the_person() {
        let bare = |text: &str| japan_post::Name { name: text.to_owned(), kana: None, roma: None };
        let address = PostalAddress::new(japan_post::Address {
            zip_code: "4980000".to_owned(),
            pref: name("三重県", "ミエケン", "MIE"),
            city: bare("桑名郡木曽岬町"),
            town: None,
            biz: None,
            block_name: None,
            other_name: None,
        });
        assert_eq!((address.form.line2, address.form.city, address.town), (None, None, None));
        assert_eq!(address.form.state.as_deref(), Some("Mie"));
    }
}
