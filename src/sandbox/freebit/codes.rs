//! Result codes, as data. Those of 9xx are the sandbox's own: the real ones are not known (Freebit reference §5).

use serde_json::{Map, Value, json};

/// Why a call is refused: result code, status code, message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code(pub(super) &'static str, pub(super) &'static str, pub(super) &'static str);

/// JSON missing or unreadable.
pub(super) const UNREADABLE: Code = Code("400", "901", "JSONを読み取れません");
/// Required field missing.
pub(super) const MISSING: Code = Code("400", "902", "必須項目がありません");
/// Bad format or length.
pub(super) const FORMAT: Code = Code("400", "903", "形式または桁数が正しくありません");
/// Value not allowed.
pub(super) const VALUE: Code = Code("400", "904", "指定できない値です");
/// Wrong partner identifier or secret.
pub(super) const CREDENTIALS: Code = Code("400", "910", "OEM認証に失敗しました");
/// Token unknown or expired.
pub(super) const TOKEN: Code = Code("400", "911", "認証キーが無効です");
/// Account not found.
pub(super) const NO_ACCOUNT: Code = Code("400", "920", "アカウントが存在しません");
/// No plan set.
pub(super) const NO_PLAN: Code = Code("400", "922", "プランが設定されていません");
/// The line's state forbids the operation.
pub(super) const STATE: Code = Code("400", "923", "現在の回線状態では実行できません");
/// Operation in progress, account locked.
pub(super) const LOCKED: Code = Code("400", "930", "処理中のためアカウントがロックされています");
/// Spacing rule not met.
pub(super) const SPACING: Code = Code("400", "931", "前回の操作から30分以上あけてください");
/// Cancellation already scheduled.
pub(super) const CANCELLING: Code = Code("400", "932", "解約が予約されています");
/// The card's state forbids the operation.
pub(super) const CARD: Code = Code("400", "941", "カードの状態により実行できません");
/// Port-in data rejected.
pub(super) const PORT_IN: Code = Code("400", "942", "MNP情報が正しくありません");
/// Consent flag not set.
pub(super) const CONSENT: Code = Code("400", "950", "本人の同意が確認されていません");
/// No voice option given.
pub(super) const NO_OPTION: Code = Code("400", "951", "オプションが指定されていません");
/// Registration of a card or number that was not made known beforehand (§2.2).
pub(super) const ABSENT: Code = Code("210", "210", "アカウント不在エラー");
/// Unsupported combination of `aladinOperated` and `addKind` (§2.18).
pub(super) const PATTERN: Code = Code("400", "356", "未対応のパターンです");

/// A refusal, and the field at fault when there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: Code,
    pub(super) field: Option<&'static str>,
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self { code, field: None }
    }
}

impl Code {
    /// The refusal of a field.
    pub(super) fn of(self, field: &'static str) -> Refusal {
        Refusal { code: self, field: Some(field) }
    }
}

impl Refusal {
    pub(super) fn envelope(self) -> Value {
        let Code(result, status, message) = self.code;
        let message = match self.field {
            Some(field) => format!("{message} ({field})"),
            None => message.to_owned(),
        };
        envelope(result, status, &message)
    }
}

/// A failure envelope.
pub(super) fn envelope(result: &str, status: &str, message: &str) -> Value {
    json!({ "resultCode": result, "status": { "message": message, "statusCode": status } })
}

/// A success envelope with an operation's own fields beside it.
pub(super) fn success(fields: Map<String, Value>) -> Value {
    let mut answer = Map::from_iter([
        ("resultCode".to_owned(), json!("100")),
        ("status".to_owned(), json!({ "message": "OK", "statusCode": "200" })),
    ]);
    answer.extend(fields);
    Value::Object(answer)
}
