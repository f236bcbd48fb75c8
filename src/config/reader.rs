//! Reads and declares settings, and collects what is wrong with them.

use std::{
    collections::BTreeMap,
    fmt::{self, Display},
    fs,
    ops::RangeInclusive,
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use url::Url;

use crate::{config::Fault, secret::SecretString};

/// What a setting is: the same text serves the reader of `.env.example` and the message of a fault.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The heading under which it stands.
    pub section: &'static str,
    /// The environment variable.
    pub name: String,
    /// What it is for.
    pub about: String,
    /// What its value is measured in, or its form.
    pub unit: &'static str,
    /// The value when it is not set; `None` when there is none.
    pub default: Option<String>,
    /// Whether the gateway cannot start without it.
    pub is_required: bool,
    /// Whether its value must not be shown.
    pub is_secret: bool,
    /// A value that would do.
    pub example: String,
}

impl Display for Setting {
    /// Its entry in `.env.example`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = if self.is_secret { ", secret" } else { "" };
        let need = if self.is_required { "required" } else { "optional" };
        match &self.default {
            Some(default) => {
                write!(
                    f,
                    "# {} [{}{secret}; default {default}]\n#{}={default}",
                    self.about, self.unit, self.name
                )
            }
            None => {
                let hidden = if self.is_required { "" } else { "#" };
                write!(
                    f,
                    "# {} [{}{secret}; {need}]\n# Example: {}\n{hidden}{}=",
                    self.about, self.unit, self.example, self.name
                )
            }
        }
    }
}

/// Reads settings one after the other.
pub(super) struct Reader<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    section: &'static str,
    settings: Vec<Setting>,
    faults: BTreeMap<usize, Fault>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(variable: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { variable, section: "", settings: Vec::new(), faults: BTreeMap::new() }
    }

    /// Every fault, one per setting, in the order of the settings.
    pub(super) fn faults(self) -> Vec<Fault> {
        self.faults.into_values().collect()
    }

    pub(super) fn settings(self) -> Vec<Setting> {
        self.settings
    }

    /// Begins a section.
    pub(super) fn section(&mut self, section: &'static str) {
        self.section = section;
    }

    /// Declares an optional setting. The other properties follow: see [`Declared`].
    pub(super) fn get(
        &mut self,
        name: impl Into<String>,
        unit: &'static str,
        about: impl Into<String>,
    ) -> Declared<'_, 'a> {
        self.settings.push(Setting {
            section: self.section,
            name: name.into(),
            about: about.into(),
            unit,
            default: None,
            is_required: false,
            is_secret: false,
            example: String::new(),
        });
        Declared { reader: self }
    }

    /// Reports a setting that was read before.
    pub(super) fn refuse(&mut self, name: &str, reason: impl Into<String>) {
        if let Some(at) = self.settings.iter().position(|setting| setting.name == name) {
            let setting = &self.settings[at];
            self.faults.entry(at).or_insert(Fault {
                variable: setting.name.clone(),
                reason: reason.into(),
                example: setting.default.clone().filter(|text| text.is_ascii()).map_or_else(
                    || setting.example.clone(),
                    |default| if setting.example.is_empty() { default } else { setting.example.clone() },
                ),
            });
        }
    }

    /// Whether a variable has a value.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    fn value(&self, name: &str) -> Option<String> {
        (self.variable)(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }
}

/// The setting that was declared last, about to be read.
pub(super) struct Declared<'r, 'a> {
    reader: &'r mut Reader<'a>,
}

impl Declared<'_, '_> {
    /// Its value is not shown anywhere.
    pub(super) fn secret(self) -> Self {
        self.with(|setting| setting.is_secret = true)
    }

    /// A value that would do.
    pub(super) fn example(self, example: impl Into<String>) -> Self {
        self.with(|setting| setting.example = example.into())
    }

    /// The gateway cannot start without it.
    pub(super) fn required(self, example: impl Into<String>) -> Self {
        self.with(|setting| setting.is_required = true).example(example)
    }

    /// Any text; `None` when it is not set.
    pub(super) fn optional(self) -> Option<String> {
        let setting = self.setting();
        let (name, is_required) = (setting.name.clone(), setting.is_required);
        let value = self.reader.value(&name);
        if value.is_none() && is_required {
            self.reader.refuse(&name, "is missing");
        }
        value
    }

    /// Any text; empty when it is not set, which is a fault if it is required.
    pub(super) fn text(self) -> String {
        self.optional().unwrap_or_default()
    }

    /// A secret text.
    pub(super) fn secret_text(self) -> SecretString {
        self.secret().text().into()
    }

    /// Any text, with a default.
    pub(super) fn text_or(self, default: &str) -> String {
        self.parse_or(default, |text| Ok(text.to_owned()))
    }

    /// A whole number within bounds.
    pub(super) fn number<T>(self, default: T, range: RangeInclusive<T>) -> T
    where
        T: Copy + Display + FromStr + PartialOrd,
    {
        self.parse_or(&default.to_string(), |text| {
            text.parse()
                .ok()
                .filter(|number| range.contains(number))
                .ok_or_else(|| format!("must be a number from {} to {}", range.start(), range.end()))
        })
    }

    /// A time, such as `500ms`, `10s`, `15m`, `12h`, `14d`, within bounds that are written alike.
    pub(super) fn duration(self, default: &str, least: &str, most: &str) -> Duration {
        self.parse_or(default, |text| within(text, least, most))
    }

    /// The same without a default; `None` when it is not set or not good.
    pub(super) fn optional_duration(self, least: &str, most: &str) -> Option<Duration> {
        self.parse(|text| within(text, least, most))
    }

    /// `true` or `false`.
    pub(super) fn flag(self, default: bool) -> bool {
        let default = if default { "true" } else { "false" };
        self.choice(default, &[("true", true), ("false", false)])
    }

    /// One of several words.
    pub(super) fn choice<T: Copy>(self, default: &str, words: &[(&'static str, T)]) -> T {
        self.parse_or(default, |text| {
            words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
                let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                format!("must be one of {}", words.join(", "))
            })
        })
    }

    /// Texts separated by commas.
    pub(super) fn list<T>(self, default: &str, read: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let read = |text: &str| {
            text.split(',')
                .map(str::trim)
                .filter(|text| !text.is_empty())
                .map(&read)
                .collect::<Result<_, _>>()
        };
        if default.is_empty() { self.parse(read).unwrap_or_default() } else { self.parse_or(default, read) }
    }

    /// The base address of a service: `http` or `https`, no query.
    pub(super) fn address(self, default: &str) -> Url {
        self.parse_or(default, address)
    }

    /// The same, when it is set.
    pub(super) fn optional_address(self) -> Option<Url> {
        self.parse(address)
    }

    /// The same without a default. When it is missing, what is given instead is never asked.
    #[expect(clippy::expect_used, reason = "a literal of ours")]
    pub(super) fn required_address(self) -> Url {
        self.parse(address).unwrap_or_else(|| Url::parse("http://missing.invalid").expect("an address"))
    }

    /// A path.
    pub(super) fn path_or(self, default: &str) -> PathBuf {
        self.text_or(default).into()
    }

    /// What `read` makes of it; `None` when it is not set or not good.
    pub(super) fn parse<T>(self, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let name = self.setting().name.clone();
        let reader = self.reader;
        let text = Declared { reader: &mut *reader }.optional()?;
        read(&text).map_err(|reason| reader.refuse(&name, reason)).ok()
    }

    /// What `read` makes of it, or of the default.
    #[expect(clippy::expect_used, reason = "a default is a literal of ours, and a test reads them all")]
    pub(super) fn parse_or<T>(self, default: &str, read: impl Fn(&str) -> Result<T, String>) -> T {
        self.with(|setting| setting.default = Some(default.to_owned()))
            .parse(&read)
            .unwrap_or_else(|| read(default).expect("a default is good"))
    }

    fn setting(&self) -> &Setting {
        &self.reader.settings[self.reader.settings.len() - 1]
    }

    fn with(self, change: impl FnOnce(&mut Setting)) -> Self {
        if let Some(setting) = self.reader.settings.last_mut() {
            change(setting);
        }
        self
    }
}

/// What a file holds.
pub(super) fn read_file(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("the file {path:?} cannot be read: {error}"))
}

/// Reads a time within bounds that are written alike.
fn within(text: &str, least: &str, most: &str) -> Result<Duration, String> {
    let (least_time, most_time) = (duration(least), duration(most));
    duration(text)
        .filter(|time| least_time.is_none_or(|least| *time >= least))
        .filter(|time| most_time.is_none_or(|most| *time <= most))
        .ok_or_else(|| format!("must be a time from {least} to {most}, with its unit"))
}

/// Reads a number with its unit.
fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let number: u64 = number.parse().ok()?;
    let seconds = match unit {
        "ms" => return Some(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

fn address(text: &str) -> Result<Url, String> {
    let fault = || "must be an http or https address without user, query and fragment".to_owned();
    let url = Url::parse(text).map_err(|_| fault())?;
    let is_good = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if is_good { Ok(url) } else { Err(fault()) }
}

/// An address as text, without a slash at its end.
pub(super) fn bare(url: &Url) -> &str {
    url.as_str().trim_end_matches('/')
}
