//! Values as PHP sees them, and how PHP reads a form body into nested arrays.

use url::form_urlencoded;

/// How many variables PHP reads from one source before it silently drops the rest (`max_input_vars`).
const MAX_INPUT_VARS: usize = 1000;
/// How many brackets deep a form key may go (`max_input_nesting_level`).
const MAX_NESTING: usize = 64;

/// A PHP value: what a form or `unserialize` can produce. Objects are never read.
#[derive(Clone, Debug, PartialEq)]
pub enum Php {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Array(PhpArray),
}

/// An array key. PHP turns integer-looking text into integers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    Int(i64),
    Text(String),
}

/// An ordered PHP array.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PhpArray(Vec<(Key, Php)>);

impl Key {
    /// A key as PHP normalises it: `"7"` is the integer 7; `"07"` and `"7 "` stay text.
    pub fn new(text: &str) -> Self {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let canonical = !digits.is_empty()
            && digits.bytes().all(|b| b.is_ascii_digit())
            && (digits.len() == 1 || !digits.starts_with('0'))
            && text != "-0";
        match text.parse() {
            Ok(number) if canonical => Self::Int(number),
            _ => Self::Text(text.to_owned()),
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Int(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl Php {
    /// The scalar as text, as string conversion in PHP gives it; `None` for arrays and null.
    pub fn to_text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Int(number) => Some(number.to_string()),
            Self::Float(number) => Some(number.to_string()),
            Self::Bool(true) => Some("1".to_owned()),
            Self::Bool(false) => Some(String::new()),
            Self::Null | Self::Array(_) => None,
        }
    }
}

impl PhpArray {
    /// The value at a key.
    pub fn get(&self, key: &Key) -> Option<&Php> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// Sets a key, keeping the position of an existing one.
    pub fn set(&mut self, key: Key, value: Php) {
        *self.slot(key) = value;
    }

    /// Keys and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Php)> {
        self.0.iter().map(|(k, v)| (k, v))
    }

    /// Sets every key of `other`, which wins.
    pub fn merge(&mut self, other: Self) {
        for (key, value) in other.0 {
            self.set(key, value);
        }
    }

    fn next_index(&self) -> i64 {
        let last = self.0.iter().filter_map(|(k, _)| if let Key::Int(i) = k { Some(*i) } else { None }).max();
        last.map_or(0, |i| i.saturating_add(1)).max(0)
    }

    fn slot(&mut self, key: Key) -> &mut Php {
        let at = match self.0.iter().position(|(k, _)| *k == key) {
            Some(at) => at,
            None => {
                self.0.push((key, Php::Null));
                self.0.len() - 1
            }
        };
        &mut self.0[at].1
    }

    /// Puts one form variable where PHP puts it. `None` in the path stands for `[]`.
    fn put(&mut self, path: &[Option<Key>], value: String) {
        let Some((first, rest)) = path.split_first() else { return };
        let key = first.clone().unwrap_or_else(|| Key::Int(self.next_index()));
        let slot = self.slot(key);
        if rest.is_empty() {
            *slot = Php::Text(value);
            return;
        }
        if !matches!(slot, Php::Array(_)) {
            *slot = Php::Array(Self::default());
        }
        if let Php::Array(inner) = slot {
            inner.put(rest, value);
        }
    }
}

/// Reads `application/x-www-form-urlencoded` text (a body or a query string).
pub fn parse_form(encoded: &[u8]) -> PhpArray {
    from_pairs(form_urlencoded::parse(encoded).map(|(k, v)| (k.into_owned(), v.into_owned())))
}

/// Builds the array from decoded names and values, in the order in which they were sent.
pub fn from_pairs(pairs: impl Iterator<Item = (String, String)>) -> PhpArray {
    let mut array = PhpArray::default();
    for (name, value) in pairs.take(MAX_INPUT_VARS) {
        if let Some(path) = key_path(&name) {
            array.put(&path, value);
        }
    }
    array
}

/// The path that a form key names: `a[x][]` is `a`, `x`, append. `None` when PHP ignores the variable.
fn key_path(name: &str) -> Option<Vec<Option<Key>>> {
    let name = name.trim_start_matches(' ');
    let (base, mut rest) = match name.char_indices().find(|(at, c)| *c == '[' && *at > 0) {
        Some((at, _)) if name[at..].contains(']') => name.split_at(at),
        _ => (name, ""),
    };
    let base = base.replace(['.', ' ', '['], "_");
    if base.is_empty() {
        return None;
    }
    let mut path = vec![Some(Key::new(&base))];
    while let Some((key, after)) = rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
        if path.len() > MAX_NESTING {
            return None;
        }
        path.push((!key.is_empty()).then(|| Key::new(key)));
        rest = after;
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The array in PHP's own `print`-like notation, for short assertions.
    fn show(array: &PhpArray) -> String {
        let items: Vec<_> = array
            .iter()
            .map(|(k, v)| {
                let k = match k {
                    Key::Int(i) => i.to_string(),
                    Key::Text(t) => format!("'{t}'"),
                };
                match v {
                    Php::Array(inner) => format!("{k}={}", show(inner)),
                    other => format!("{k}={}", other.to_text().unwrap_or_default()),
                }
            })
            .collect();
        format!("[{}]", items.join(","))
    }

    #[test]
    fn form_keys_follow_php() {
        for (form, expected) in [
            ("a=1&a=2", "['a'=2]"),
            ("a[]=1&a[]=2", "['a'=[0=1,1=2]]"),
            ("a[5]=x&a[]=y", "['a'=[5=x,6=y]]"),
            ("a%5Bk%5D=v", "['a'=['k'=v]]"),
            ("a[k][l][]=v&a[k][m]=w", "['a'=['k'=['l'=[0=v],'m'=w]]]"),
            ("a=1&a[x]=2", "['a'=['x'=2]]"),
            ("a[x]=2&a=1", "['a'=1]"),
            ("a.b=1&c+d=2", "['a_b'=1,'c_d'=2]"),
            ("a[x.y]=1", "['a'=['x.y'=1]]"),
            ("a[07]=1&a[-3]=2", "['a'=['07'=1,-3=2]]"),
            ("a[b=1", "['a_b'=1]"),
            ("a[b]c=1", "['a'=['b'=1]]"),
            ("[a]=1", "['_a]'=1]"),
            ("=1&x", "['x'=]"),
            ("domainrenewals[example.com]=1", "['domainrenewals'=['example.com'=1]]"),
            ("a=%E5%B1%B1+b", "['a'=山 b]"),
        ] {
            assert_eq!(show(&parse_form(form.as_bytes())), expected, "{form}");
        }
    }

    #[test]
    fn the_1001st_variable_is_dropped_without_an_error() {
        let form: Vec<String> = (0..1001).map(|i| format!("v{i}={i}")).collect();
        let array = parse_form(form.join("&").as_bytes());
        assert_eq!(array.iter().count(), 1000);
        assert_eq!(array.get(&Key::new("v1000")), None);
    }
}
