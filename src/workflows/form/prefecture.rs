//! The 47 prefectures in both writings.

#[rustfmt::skip]
const PREFECTURES: [(&str, &str); 47] = [
    ("Hokkaido", "北海道"), ("Aomori", "青森県"), ("Iwate", "岩手県"), ("Miyagi", "宮城県"), ("Akita", "秋田県"),
    ("Yamagata", "山形県"), ("Fukushima", "福島県"), ("Ibaraki", "茨城県"), ("Tochigi", "栃木県"), ("Gunma", "群馬県"),
    ("Saitama", "埼玉県"), ("Chiba", "千葉県"), ("Tokyo", "東京都"), ("Kanagawa", "神奈川県"), ("Niigata", "新潟県"),
    ("Toyama", "富山県"), ("Ishikawa", "石川県"), ("Fukui", "福井県"), ("Yamanashi", "山梨県"), ("Nagano", "長野県"),
    ("Gifu", "岐阜県"), ("Shizuoka", "静岡県"), ("Aichi", "愛知県"), ("Mie", "三重県"), ("Shiga", "滋賀県"),
    ("Kyoto", "京都府"), ("Osaka", "大阪府"), ("Hyogo", "兵庫県"), ("Nara", "奈良県"), ("Wakayama", "和歌山県"),
    ("Tottori", "鳥取県"), ("Shimane", "島根県"), ("Okayama", "岡山県"), ("Hiroshima", "広島県"), ("Yamaguchi", "山口県"),
    ("Tokushima", "徳島県"), ("Kagawa", "香川県"), ("Ehime", "愛媛県"), ("Kochi", "高知県"), ("Fukuoka", "福岡県"),
    ("Saga", "佐賀県"), ("Nagasaki", "長崎県"), ("Kumamoto", "熊本県"), ("Oita", "大分県"), ("Miyazaki", "宮崎県"),
    ("Kagoshima", "鹿児島県"), ("Okinawa", "沖縄県"),
];

/// A prefecture, romanised and in Japanese, from either: `Tokyo`, `tokyo-to`, `ŌSAKA`, `東京都`, `東京`.
pub(super) fn prefecture(text: &str) -> Option<(&'static str, &'static str)> {
    let text = text.trim().to_lowercase().replace('ō', "o").replace('ū', "u");
    let bare = ["-to", "-fu", "-ken", " prefecture"].iter().find_map(|end| text.strip_suffix(end));
    let bare = bare.unwrap_or(&text);
    PREFECTURES.into_iter().find(|(roman, japanese)| {
        roman.eq_ignore_ascii_case(bare)
            || *japanese == text
            || japanese.strip_suffix(['都', '府', '県']).is_some_and(|short| short == text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefecture_is_read_from_either_writing() {
        for text in ["Tokyo", " tokyo ", "TŌKYŌ", "Tokyo-to", "東京都", "東京"] {
            assert_eq!(prefecture(text), Some(("Tokyo", "東京都")), "{text}");
        }
        assert_eq!(prefecture("京都"), Some(("Kyoto", "京都府")));
        assert_eq!(prefecture("北海道"), Some(("Hokkaido", "北海道")));
        assert_eq!(prefecture("Osaka-fu"), Some(("Osaka", "大阪府")));
        for text in ["", "都", "California", "東京県"] {
            assert_eq!(prefecture(text), None, "{text}");
        }
        assert!(PREFECTURES.iter().all(|(roman, japanese)| prefecture(roman) == prefecture(japanese)));
    }
}
