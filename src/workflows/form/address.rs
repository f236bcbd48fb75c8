//! Addresses of Japan: what a person writes, and the two renderings that are kept of it (domain reference §9.2).

use async_graphql::{Enum, InputObject};
use serde::{Deserialize, Serialize};

use super::{Faults, narrow, prefecture::prefecture};
use crate::{billing::Address, crm::JapaneseAddress, postal::PostalCode};

/// What somebody lives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Enum)]
pub enum Residence {
    /// A house: there is neither building nor room.
    House,
    /// An apartment: building and room are needed.
    Apartment,
}

/// An address as the person wrote it, or as postal look-up filled it in.
#[derive(Clone, Debug, Serialize, InputObject)]
pub struct AddressInput {
    /// Postal code, `150-0041`. Hyphen, `〒` and full-width digits do not matter.
    pub postal_code: String,
    /// Prefecture in either writing: `Tokyo` or `東京都`.
    pub prefecture: String,
    /// City or ward, romanised: `Shibuya-ku`.
    pub city: String,
    /// The same in Japanese: `渋谷区`. Left out when postal look-up was not available.
    pub city_japanese: Option<String>,
    /// Town, romanised: `Jinnan`.
    pub town: String,
    /// The same in Japanese: `神南`. Left out when postal look-up was not available.
    pub town_japanese: Option<String>,
    /// Block numbers: `1-19-11`.
    pub block: String,
    /// House or apartment.
    pub residence: Residence,
    /// Name of the building, romanised. Needed for an apartment.
    pub building: Option<String>,
    /// The same in Japanese.
    pub building_japanese: Option<String>,
    /// Number of the room. Needed for an apartment.
    pub room: Option<String>,
}

/// An address in both renderings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenAddress {
    /// Romanised, for billing.
    pub romanised: Address,
    /// In Japanese, for couriers and the fibre carrier.
    pub japanese: JapaneseAddress,
}

impl AddressInput {
    /// Reads the address, and notes all that is wrong with it.
    pub fn read(&self, faults: &mut Faults) -> Option<WrittenAddress> {
        let code = PostalCode::parse(&self.postal_code);
        if let Err(message) = &code {
            let field = &["postalCode"];
            if self.postal_code.trim().is_empty() {
                faults.add("REQUIRED", field, "Please fill this in.");
            } else {
                faults.add("INVALID_POSTAL_CODE", field, message);
            }
        }
        let prefecture = match faults.line(&["prefecture"], &self.prefecture, 40) {
            Some(text) => {
                let found = prefecture(&text);
                if found.is_none() {
                    let message = "This is no prefecture of Japan.";
                    faults.add("INVALID_PREFECTURE", &["prefecture"], message);
                }
                found
            }
            None => None,
        };
        let city = faults.line(&["city"], &self.city, 40);
        let city_ja = faults.optional_line(&["cityJapanese"], self.city_japanese.as_deref(), 40);
        let town = faults.line(&["town"], &self.town, 80);
        let town_ja = faults.optional_line(&["townJapanese"], self.town_japanese.as_deref(), 80);
        let block = self.block(faults);
        let place = self.place(faults);
        if !faults.is_empty() {
            return None;
        }
        let (code, (state, state_ja)) = (code.ok()?.to_string(), prefecture?);
        let (city, town, block) = (city?, town?, block?);
        let town_ja = town_ja.unwrap_or_else(|| format!("{town} "));
        let (line1, line2, street) = match &place {
            Some(Place { building, building_ja, room }) => (
                format!("{building} {room}"),
                format!("{town} {block}"),
                format!("{town_ja}{block} {building_ja}{}", room_in_japanese(room)),
            ),
            None => (block.clone(), town.clone(), format!("{town_ja}{block}")),
        };
        Some(WrittenAddress {
            japanese: JapaneseAddress {
                street,
                city: city_ja.unwrap_or_else(|| city.clone()),
                prefecture: state_ja.to_owned(),
                postal_code: code.clone(),
            },
            romanised: Address {
                line1,
                line2: Some(line2),
                city,
                state: state.to_owned(),
                postal_code: code,
                country: "JP".to_owned(),
            },
        })
    }

    /// Block numbers, with plain digits and hyphens.
    fn block(&self, faults: &mut Faults) -> Option<String> {
        let plain: String = self.block.chars().map(narrow).collect();
        let block = faults.line(&["block"], &plain, 40)?;
        if !block.contains(|c: char| c.is_numeric() || "一二三四五六七八九十".contains(c)) {
            faults.add("INVALID_BLOCK", &["block"], "Block numbers hold a number, such as 1-19-11.");
            return None;
        }
        Some(block)
    }

    /// Building and room of an apartment; those of a house are left aside.
    fn place(&self, faults: &mut Faults) -> Option<Place> {
        if self.residence == Residence::House {
            return None;
        }
        let building = faults.line(&["building"], self.building.as_deref().unwrap_or_default(), 80);
        let building_ja = faults.optional_line(&["buildingJapanese"], self.building_japanese.as_deref(), 80);
        let room: String = self.room.as_deref().unwrap_or_default().chars().map(narrow).collect();
        let room = faults.line(&["room"], &room, 20);
        let (building, room) = (building?, room?);
        Some(Place { building_ja: building_ja.unwrap_or_else(|| building.clone()), building, room })
    }
}

struct Place {
    building: String,
    building_ja: String,
    room: String,
}

/// `203号室`; a room that is no number stands as it is.
fn room_in_japanese(room: &str) -> String {
    if room.chars().all(|c| c.is_ascii_digit()) { format!("{room}号室") } else { format!(" {room}") }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn apartment() -> AddressInput {
        AddressInput {
            postal_code: "１５０－００４１".to_owned(),
            prefecture: "東京都".to_owned(),
            city: "Shibuya-ku".to_owned(),
            city_japanese: Some("渋谷区".to_owned()),
            town: "Jinnan".to_owned(),
            town_japanese: Some("神南".to_owned()),
            block: "１－１９－１１".to_owned(),
            residence: Residence::Apartment,
            building: Some("Sunny  Heights".to_owned()),
            building_japanese: Some("サニーハイツ".to_owned()),
            room: Some("203".to_owned()),
        }
    }

    fn faults(input: &AddressInput) -> Vec<(&'static str, &'static str)> {
        let mut faults = Faults::default();
        let read = input.read(&mut faults);
        assert_eq!(read.is_some(), faults.is_empty());
        faults.0.iter().map(|fault| (fault.code, *fault.field.last().unwrap())).collect()
    }

    #[test]
    fn an_apartment_stands_in_both_renderings() {
        let written = apartment().read(&mut Faults::default()).unwrap();
        let Address { line1, line2, city, state, postal_code, country } = &written.romanised;
        assert_eq!((line1.as_str(), line2.as_deref()), ("Sunny Heights 203", Some("Jinnan 1-19-11")));
        assert_eq!((city.as_str(), state.as_str()), ("Shibuya-ku", "Tokyo"));
        assert_eq!((postal_code.as_str(), country.as_str()), ("150-0041", "JP"));
        let JapaneseAddress { street, city, prefecture, postal_code } = &written.japanese;
        assert_eq!((street.as_str(), city.as_str()), ("神南1-19-11 サニーハイツ203号室", "渋谷区"));
        assert_eq!((prefecture.as_str(), postal_code.as_str()), ("東京都", "150-0041"));
    }

    #[test]
    fn a_house_has_its_block_first_and_what_japanese_lacks_is_romanised() {
        let house = AddressInput {
            residence: Residence::House,
            city_japanese: None,
            town_japanese: None,
            ..apartment()
        };
        let written = house.read(&mut Faults::default()).unwrap();
        assert_eq!(written.romanised.line1, "1-19-11");
        assert_eq!(written.romanised.line2.as_deref(), Some("Jinnan"));
        assert_eq!(
            (written.japanese.street.as_str(), written.japanese.city.as_str()),
            ("Jinnan 1-19-11", "Shibuya-ku")
        );
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let bad = AddressInput {
            postal_code: "150".to_owned(),
            prefecture: "Atlantis".to_owned(),
            city: " ".to_owned(),
            town: "x".repeat(81),
            block: "somewhere".to_owned(),
            building: None,
            room: Some("\u{7}".to_owned()),
            ..apartment()
        };
        assert_eq!(
            faults(&bad),
            [
                ("INVALID_POSTAL_CODE", "postalCode"),
                ("INVALID_PREFECTURE", "prefecture"),
                ("REQUIRED", "city"),
                ("TOO_LONG", "town"),
                ("INVALID_BLOCK", "block"),
                ("REQUIRED", "building"),
                ("INVALID_CHARACTERS", "room"),
            ]
        );
        let house = AddressInput { residence: Residence::House, building: None, room: None, ..apartment() };
        assert_eq!(faults(&house), []);
    }
}
