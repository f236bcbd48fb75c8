//! Addresses in both renderings: romanised for WHMCS, Japanese for Salesforce.

use crate::sandbox::world::Dice;

/// A Japanese address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// `150-0041`.
    pub postal_code: &'static str,
    /// `Tokyo`.
    pub prefecture: &'static str,
    /// `Shibuya-ku`.
    pub city: &'static str,
    /// `Jinnan`.
    pub town: &'static str,
    /// Chōme, banchi, gō: `1-19-11`.
    pub block: String,
    /// Building, for an apartment: `Sunny Heights`.
    pub building: Option<&'static str>,
    /// Room, for an apartment: `203`.
    pub room: Option<String>,
    /// `東京都`.
    pub prefecture_ja: &'static str,
    /// `渋谷区`.
    pub city_ja: &'static str,
    /// `神南`.
    pub town_ja: &'static str,
    /// `サニーハイツ`.
    pub building_ja: Option<&'static str>,
}

impl Address {
    /// WHMCS `address1`: building and room of an apartment, block of a house.
    pub fn address1(&self) -> String {
        match (self.building, &self.room) {
            (Some(building), Some(room)) => format!("{building} {room}"),
            _ => self.block.clone(),
        }
    }

    /// WHMCS `address2`: town, and the block of an apartment.
    pub fn address2(&self) -> String {
        if self.building.is_some() { format!("{} {}", self.town, self.block) } else { self.town.to_owned() }
    }

    /// Salesforce street, in Japanese: `神南1-19-11 サニーハイツ203号室`.
    pub fn street_ja(&self) -> String {
        match (self.building_ja, &self.room) {
            (Some(building), Some(room)) => format!("{}{} {building}{room}号室", self.town_ja, self.block),
            _ => format!("{}{}", self.town_ja, self.block),
        }
    }
}

type Place = (&'static str, [&'static str; 3], [&'static str; 3]);

#[rustfmt::skip]
static PLACES: &[Place] = &[
    ("150-0041", ["Tokyo", "Shibuya-ku", "Jinnan"], ["東京都", "渋谷区", "神南"]),
    ("106-0032", ["Tokyo", "Minato-ku", "Roppongi"], ["東京都", "港区", "六本木"]),
    ("160-0022", ["Tokyo", "Shinjuku-ku", "Shinjuku"], ["東京都", "新宿区", "新宿"]),
    ("171-0022", ["Tokyo", "Toshima-ku", "Minamiikebukuro"], ["東京都", "豊島区", "南池袋"]),
    ("180-0004", ["Tokyo", "Musashino-shi", "Kichijoji Honcho"], ["東京都", "武蔵野市", "吉祥寺本町"]),
    ("220-0012", ["Kanagawa", "Yokohama-shi Nishi-ku", "Minatomirai"], ["神奈川県", "横浜市西区", "みなとみらい"]),
    ("210-0007", ["Kanagawa", "Kawasaki-shi Kawasaki-ku", "Ekimaehoncho"], ["神奈川県", "川崎市川崎区", "駅前本町"]),
    ("330-0854", ["Saitama", "Saitama-shi Omiya-ku", "Sakuragicho"], ["埼玉県", "さいたま市大宮区", "桜木町"]),
    ("260-0013", ["Chiba", "Chiba-shi Chuo-ku", "Chuo"], ["千葉県", "千葉市中央区", "中央"]),
    ("530-0001", ["Osaka", "Osaka-shi Kita-ku", "Umeda"], ["大阪府", "大阪市北区", "梅田"]),
    ("604-8006", ["Kyoto", "Kyoto-shi Nakagyo-ku", "Shimomaruyacho"], ["京都府", "京都市中京区", "下丸屋町"]),
    ("650-0021", ["Hyogo", "Kobe-shi Chuo-ku", "Sannomiyacho"], ["兵庫県", "神戸市中央区", "三宮町"]),
    ("460-0008", ["Aichi", "Nagoya-shi Naka-ku", "Sakae"], ["愛知県", "名古屋市中区", "栄"]),
    ("810-0001", ["Fukuoka", "Fukuoka-shi Chuo-ku", "Tenjin"], ["福岡県", "福岡市中央区", "天神"]),
    ("060-0042", ["Hokkaido", "Sapporo-shi Chuo-ku", "Odorinishi"], ["北海道", "札幌市中央区", "大通西"]),
    ("980-0021", ["Miyagi", "Sendai-shi Aoba-ku", "Chuo"], ["宮城県", "仙台市青葉区", "中央"]),
    ("900-0015", ["Okinawa", "Naha-shi", "Kumoji"], ["沖縄県", "那覇市", "久茂地"]),
    ("730-0011", ["Hiroshima", "Hiroshima-shi Naka-ku", "Motomachi"], ["広島県", "広島市中区", "基町"]),
];

static BUILDINGS: &[(&str, &str)] = &[
    ("Sunny Heights", "サニーハイツ"),
    ("Park Side Tower", "パークサイドタワー"),
    ("Maison Sakura", "メゾン桜"),
    ("Green Court", "グリーンコート"),
    ("Coop \"Hikari\"", "コーポ光"),
];

pub(super) fn make(n: u64, dice: &mut Dice) -> Address {
    let (postal_code, [prefecture, city, town], [prefecture_ja, city_ja, town_ja]) =
        if n == 1 { PLACES[0] } else { *dice.pick(PLACES) };
    let building = (n == 1 || dice.chance(65)).then(|| *dice.pick(BUILDINGS));
    Address {
        postal_code,
        prefecture,
        city,
        town,
        block: format!("{}-{}-{}", 1 + dice.below(6), 1 + dice.below(30), 1 + dice.below(20)),
        building: building.map(|(roman, _)| roman),
        room: building.map(|_| format!("{}0{}", 1 + dice.below(12), 1 + dice.below(8))),
        prefecture_ja,
        city_ja,
        town_ja,
        building_ja: building.map(|(_, ja)| ja),
    }
}
