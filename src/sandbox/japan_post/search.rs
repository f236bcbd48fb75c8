//! `GET /api/v1/searchcode/{code}`: the places that a code stands for.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::sandbox::japan_post::{
    places::{DIGITAL, Digital, PLACES, Place},
    refusal::{self, Refusal},
};

/// The fewest digits of a postal code by which the service searches.
const SHORTEST: usize = 3;
/// The length of a whole postal code, and of a digital address.
const WHOLE: usize = 7;
/// The most addresses of one page, and how many there are unless the caller says.
const LIMIT: usize = 1_000;

/// What may stand behind the code.
#[derive(Debug)]
struct Options {
    page: usize,
    limit: usize,
    /// Whether codes of organisations are left out (`searchtype=2`).
    leaves_organisations: bool,
}

impl Options {
    fn read(query: &HashMap<String, String>) -> Result<Self, Refusal> {
        let number = |name: &str, default: usize, most: usize| match query.get(name) {
            None => Ok(default),
            Some(text) => {
                text.parse().ok().filter(|number| (1..=most).contains(number)).ok_or(refusal::PARAMETER)
            }
        };
        // The sample has no towns with notes in brackets, so both forms of towns are the same.
        number("choikitype", 1, 2)?;
        Ok(Self {
            page: number("page", 1, usize::MAX)?,
            limit: number("limit", LIMIT, LIMIT)?,
            leaves_organisations: number("searchtype", 1, 2)? == 2,
        })
    }
}

/// The answer to one search. Hyphens in the code do not matter.
pub(super) fn search(code: &str, query: &HashMap<String, String>) -> Result<Value, Refusal> {
    let options = Options::read(query)?;
    let code = code.replace('-', "").to_ascii_uppercase();
    if is_digits(&code) && (SHORTEST..=WHOLE).contains(&code.len()) {
        let found: Vec<_> = PLACES
            .iter()
            .filter(|place| place.code.starts_with(&code))
            .filter(|place| !(options.leaves_organisations && place.organisation.is_some()))
            .collect();
        let is_organisation = code.len() == WHOLE && found.iter().any(|place| place.organisation.is_some());
        let kind = if is_organisation { "bizzipcode" } else { "zipcode" };
        return page(
            &options,
            kind,
            &found.into_iter().map(|place| describe(place, None)).collect::<Vec<_>>(),
        );
    }
    if code.len() != WHOLE || !code.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(refusal::PARAMETER);
    }
    let digital = DIGITAL.iter().find(|digital| digital.code == code).ok_or(refusal::NOTHING)?;
    let place = PLACES.iter().find(|place| place.code == digital.postal_code).ok_or(refusal::NOTHING)?;
    page(&options, "dgacode", &[describe(place, Some(digital))])
}

/// Whether a code stands for places, not for somebody's address.
pub(super) fn is_digits(code: &str) -> bool {
    code.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

fn page(options: &Options, kind: &str, found: &[Value]) -> Result<Value, Refusal> {
    if found.is_empty() {
        return Err(refusal::NOTHING);
    }
    let skipped = (options.page - 1).saturating_mul(options.limit);
    let shown: Vec<_> = found.iter().skip(skipped).take(options.limit).collect();
    Ok(json!({
        "page": options.page,
        "limit": options.limit,
        "count": found.len(),
        "searchtype": kind,
        "addresses": shown,
    }))
}

fn describe(place: &Place, digital: Option<&Digital>) -> Value {
    let organisation = place.organisation;
    let block = digital.map(|digital| digital.block).or(organisation.map(|it| it.block));
    json!({
        "dgacode": digital.map(|digital| digital.code),
        "zip_code": place.code,
        "pref_code": place.prefecture_code,
        "pref_name": place.prefecture.japanese,
        "pref_kana": place.prefecture.kana,
        "pref_roma": place.prefecture.roman,
        "city_code": place.city_code,
        "city_name": place.city.japanese,
        "city_kana": place.city.kana,
        "city_roma": place.city.roman,
        "town_name": place.town.japanese,
        "town_kana": place.town.kana,
        "town_roma": place.town.roman,
        "biz_name": organisation.map(|it| it.name.japanese),
        "biz_kana": organisation.map(|it| it.name.kana),
        "biz_roma": organisation.map(|it| it.name.roman),
        "block_name": block,
        "other_name": digital.map(|digital| digital.other),
        "address": null,
        "longitude": null,
        "latitude": null,
    })
}
