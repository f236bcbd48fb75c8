//! Names and persons.

use chrono::{Days, NaiveDate};

use crate::sandbox::world::Dice;

/// Sex, as Freebit and Salesforce spell it differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sex {
    /// Male.
    M,
    /// Female.
    F,
}

/// The language a customer prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// Japanese.
    Japanese,
}

impl Language {
    /// WHMCS language name: `english`, `japanese`.
    pub const fn whmcs(self) -> &'static str {
        match self {
            Self::English => "english",
            Self::Japanese => "japanese",
        }
    }
}

/// A name in its writings. A foreigner's has no kanji.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    pub(super) roman: &'static str,
    kanji: &'static str,
    pub(super) kana: &'static str,
    pub(super) sex: Sex,
}

impl Name {
    pub(super) fn written(&self) -> String {
        if self.kanji.is_empty() { self.roman.to_uppercase() } else { self.kanji.to_owned() }
    }
}

/// Who a customer is.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) family: Name,
    pub(super) given: Name,
    pub(super) phone: String,
    pub(super) birth_date: NaiveDate,
    pub(super) language: Language,
    pub(super) company: Option<&'static str>,
    pub(super) nationality: &'static str,
}

const fn name(sex: Sex, roman: &'static str, kanji: &'static str, kana: &'static str) -> Name {
    Name { roman, kanji, kana, sex }
}

use Sex::{F, M};

#[rustfmt::skip]
static FAMILIES: &[Name] = &[
    name(M, "Sato", "佐藤", "サトウ"), name(M, "Suzuki", "鈴木", "スズキ"), name(M, "Takahashi", "高橋", "タカハシ"),
    name(M, "Tanaka", "田中", "タナカ"), name(M, "Ito", "伊藤", "イトウ"), name(M, "Watanabe", "渡辺", "ワタナベ"),
    name(M, "Yamamoto", "山本", "ヤマモト"), name(M, "Nakamura", "中村", "ナカムラ"), name(M, "Kobayashi", "小林", "コバヤシ"),
    name(M, "Kato", "加藤", "カトウ"), name(M, "Yoshida", "吉田", "ヨシダ"), name(M, "Yamada", "山田", "ヤマダ"),
    name(M, "Sasaki", "佐々木", "ササキ"), name(M, "Matsumoto", "松本", "マツモト"), name(M, "Inoue", "井上", "イノウエ"),
    name(M, "Kimura", "木村", "キムラ"), name(M, "Hayashi", "林", "ハヤシ"), name(M, "Shimizu", "清水", "シミズ"),
    name(M, "Saito", "齋藤", "サイトウ"), name(M, "Hashimoto", "橋本", "ハシモト"), name(M, "Mori", "森", "モリ"),
    name(M, "Okada", "岡田", "オカダ"), name(M, "Endo", "遠藤", "エンドウ"), name(M, "Takasaki", "髙﨑", "タカサキ"),
];

#[rustfmt::skip]
static GIVEN: &[Name] = &[
    name(M, "Haruto", "陽翔", "ハルト"), name(M, "Ren", "蓮", "レン"), name(M, "Yuto", "悠斗", "ユウト"),
    name(M, "Kenji", "健二", "ケンジ"), name(M, "Takumi", "拓海", "タクミ"), name(M, "Daiki", "大輝", "ダイキ"),
    name(M, "Shota", "翔太", "ショウタ"), name(M, "Kazuo", "和夫", "カズオ"), name(M, "Hiroshi", "浩", "ヒロシ"),
    name(M, "Jun", "純", "ジュン"), name(F, "Hanako", "花子", "ハナコ"), name(F, "Yui", "結衣", "ユイ"),
    name(F, "Aoi", "葵", "アオイ"), name(F, "Sakura", "さくら", "サクラ"), name(F, "Misaki", "美咲", "ミサキ"),
    name(F, "Keiko", "恵子", "ケイコ"), name(F, "Yoko", "陽子", "ヨウコ"), name(F, "Nanami", "七海", "ナナミ"),
    name(F, "Emi", "絵美", "エミ"), name(F, "Rin", "凛", "リン"),
];

#[rustfmt::skip]
static FOREIGN_FAMILIES: &[(Name, &str)] = &[
    (name(M, "Smith", "", "スミス"), "United States"), (name(M, "O'Brien", "", "オブライエン"), "Ireland"),
    (name(M, "Johnson", "", "ジョンソン"), "United States"), (name(M, "Nguyen", "", "グエン"), "Vietnam"),
    (name(M, "Fernandes", "", "フェルナンデス"), "Portugal"), (name(M, "Müller", "", "ミュラー"), "Germany"),
    (name(M, "Dubois", "", "デュボワ"), "France"), (name(M, "Kim", "", "キム"), "Korea"),
    (name(M, "Patel", "", "パテル"), "India"), (name(M, "Santos", "", "サントス"), "Philippines"),
    (name(M, "de la Cruz", "", "デラクルス"), "Philippines"), (name(M, "Wilson", "", "ウィルソン"), "United Kingdom"),
];

#[rustfmt::skip]
static FOREIGN_GIVEN: &[Name] = &[
    name(M, "John", "", "ジョン"), name(M, "Liam", "", "リアム"), name(M, "David", "", "デイビッド"),
    name(M, "Minh", "", "ミン"), name(M, "José", "", "ホセ"), name(M, "Thomas", "", "トーマス"),
    name(F, "Anna", "", "アンナ"), name(F, "Maria", "", "マリア"), name(F, "Zoë", "", "ゾーイ"),
    name(F, "Priya", "", "プリヤ"), name(F, "Emily", "", "エミリー"), name(F, "Claire", "", "クレア"),
];

static COMPANIES: &[&str] = &[
    "Smith & Sons K.K.",
    "O'Reilly's Pub Roppongi",
    "Bar \"Kodama\"",
    "株式会社サンプル商事",
    "Sakura Design LLC",
    "R&D Laboratory <Tokyo>",
];

pub(super) fn make(n: u64, dice: &mut Dice) -> Person {
    // Two in three come from abroad: it is an English-friendly provider. The demo customer is a Japanese bilingual.
    let is_foreign = n != 1 && (n == 2 || dice.chance(65));
    let (family, given, nationality) = if is_foreign {
        let (family, nationality) = *dice.pick(FOREIGN_FAMILIES);
        (family, *dice.pick(FOREIGN_GIVEN), nationality)
    } else if n == 1 {
        (FAMILIES[11], GIVEN[10], "Japan")
    } else {
        (*dice.pick(FAMILIES), *dice.pick(GIVEN), "Japan")
    };
    let born = NaiveDate::from_ymd_opt(1950, 1, 1).unwrap_or_default();
    Person {
        family,
        given,
        phone: format!("0{}0-{}-{}", 8 + dice.below(2), dice.digits(4), dice.digits(4)),
        birth_date: born + Days::new(dice.below(55 * 365)),
        language: if is_foreign || n == 1 || dice.chance(10) {
            Language::English
        } else {
            Language::Japanese
        },
        company: (n > 3 && dice.chance(8)).then(|| *dice.pick(COMPANIES)),
        nationality,
    }
}

/// `given.family.n@example.jp`, of plain letters only.
pub(super) fn email(person: &Person, n: u64) -> String {
    let plain = |name: &str| -> String {
        name.chars()
            .map(|c| match c {
                'ü' => 'u',
                'é' => 'e',
                'ë' => 'e',
                other => other.to_ascii_lowercase(),
            })
            .filter(char::is_ascii_lowercase)
            .collect()
    };
    format!("{}.{}.{n}@example.jp", plain(person.given.roman), plain(person.family.roman))
}
