//! The mails in Japanese.

use chrono::{DateTime, Utc};

use crate::{
    clock::TOKYO,
    mail::{
        letter::{Part, Words},
        message::{Message, Proof, SecondFactor},
    },
};

pub(super) const FOOTER: &str = "このメールは自動的に送信されています。";

const NEVER_TELL: &str = "当社の担当者がコードをお尋ねすることはありません。";
const NOT_YOU: &str = "お心当たりがない場合は、すぐに新しいパスワードを設定し、アカウント設定ですべてのセッションを終了のうえ、\
                       サポートまでご連絡ください。";

fn time(at: DateTime<Utc>) -> String {
    at.with_timezone(&TOKYO).format("%Y年%-m月%-d日 %H:%M（日本時間）").to_string()
}

fn code(what_for: &str, code: &str, expires_at: DateTime<Utc>, otherwise: &str) -> Vec<Part> {
    vec![
        Part::text(what_for),
        Part::Code(code.to_owned()),
        Part::text(format!("コードの有効期限は{}です。{NEVER_TELL}", time(expires_at))),
        Part::text(otherwise),
    ]
}

fn notice(what: &str, facts: Vec<(&'static str, String)>, otherwise: &str) -> Vec<Part> {
    vec![Part::text(what), Part::Facts(facts), Part::text(otherwise)]
}

fn when(at: DateTime<Utc>) -> (&'static str, String) {
    ("日時", time(at))
}

pub(super) fn words(message: &Message) -> Words {
    let (subject, parts) = match message {
        Message::SignUpCode { code: digits, expires_at } => (
            "メールアドレスの確認",
            code(
                "メールアドレスを確認して手続きを続けるには、次のコードを入力してください。",
                digits,
                *expires_at,
                "お心当たりがない場合は、このメールを破棄してください。コードが入力されないかぎり、手続きは行われません。",
            ),
        ),
        Message::SignInCode { code: digits, expires_at } => (
            "ログイン用コード",
            code(
                "ログインするには、次のコードを入力してください。",
                digits,
                *expires_at,
                "ログインの操作をしていない場合は、パスワードが第三者に知られています。パスワードを変更してください。",
            ),
        ),
        Message::StepUpCode { code: digits, expires_at } => (
            "ご本人確認用コード",
            code(
                "ご本人であることを確認して手続きを続けるには、次のコードを入力してください。",
                digits,
                *expires_at,
                "アカウントの操作をしていない場合は、第三者がログインしています。すぐに新しいパスワードを設定し、アカウントの設定からすべてのセッションを終了してください。",
            ),
        ),
        Message::PasswordReset { link, expires_at } => (
            "パスワードの再設定",
            vec![
                Part::text(
                    "パスワードの再設定を受け付けました。次のリンクから新しいパスワードを設定してください。",
                ),
                Part::Link { label: "新しいパスワードを設定する", url: link.clone() },
                Part::text(format!("リンクは一度だけ使用でき、有効期限は{}です。", time(*expires_at))),
                Part::text(
                    "お心当たりがない場合は、このメールを破棄してください。パスワードは変更されません。",
                ),
            ],
        ),
        Message::PasswordChanged { at } => (
            "パスワードが変更されました",
            notice("お客様のアカウントのパスワードが変更されました。", vec![when(*at)], NOT_YOU),
        ),
        Message::EmailChangeCode { proves: Proof::NewAddress, code: digits, expires_at } => (
            "新しいメールアドレスの確認",
            code(
                "このメールアドレスをアカウントに登録するには、次のコードを入力してください。",
                digits,
                *expires_at,
                "お心当たりがない場合は、このメールを破棄してください。コードが入力されないかぎり、手続きは行われません。",
            ),
        ),
        Message::EmailChangeCode { proves: Proof::PresentAddress, code: digits, expires_at } => (
            "メールアドレス変更の確認",
            code(
                "アカウントのメールアドレスの変更を受け付けました。変更を許可するには、次のコードを入力してください。",
                digits,
                *expires_at,
                "お心当たりがない場合は、第三者がログインしています。すぐに新しいパスワードを設定してください。",
            ),
        ),
        Message::EmailChanged { masked, at } => (
            "メールアドレスが変更されました",
            notice(
                "お客様のアカウントのメールアドレスが変更されました。変更前のアドレスへのご連絡はこれが最後です。",
                vec![("新しいアドレス", masked.clone()), when(*at)],
                "お心当たりがない場合は、すぐにサポートまでご連絡ください。",
            ),
        ),
        Message::EmailAdopted { at } => (
            "新しいメールアドレスが有効になりました",
            notice(
                "今後、お客様のアカウントではこのメールアドレスを使用します。ログインにもこのアドレスをご利用ください。請求書やお知らせもこちらにお送りします。",
                vec![when(*at)],
                NOT_YOU,
            ),
        ),
        Message::EmailInUse { at } => (
            "このメールアドレスはすでに使用されています",
            notice(
                "このメールアドレスを別のアカウントで使用する手続きがありましたが、すでにアカウントで使用されているため、変更は行われませんでした。",
                vec![when(*at)],
                "ご本人の場合は、このアドレスでログインするか、別のアドレスをご指定ください。お心当たりがない場合、お手続きは不要です。",
            ),
        ),
        Message::ErasureCode { code: digits, expires_at } => (
            "アカウント削除の確認",
            code(
                "アカウントを削除するには、次のコードを入力してください。削除は取り消せません。",
                digits,
                *expires_at,
                "削除をご希望でない場合は、第三者がログインしています。すぐに新しいパスワードを設定し、アカウントの設定からすべてのセッションを終了してください。",
            ),
        ),
        Message::AccountErased { at } => (
            "アカウントが削除されました",
            notice(
                "お客様のポータルアカウントと、ポータルが保有していたお客様の情報を削除しました。帳簿と請求書は税法で定められた期間保存されます。その他の情報は、法令で認められる範囲で担当者が削除し、お客様にご連絡します。ご契約は継続します。",
                vec![when(*at)],
                "お心当たりがない場合は、すぐにサポートまでご連絡ください。",
            ),
        ),
        Message::ExportReady { at, until } => (
            "お客様のデータの準備ができました",
            notice(
                "ご請求いただいたお客様のデータの準備ができました。ログインのうえ、アカウント設定からダウンロードしてください。",
                vec![when(*at), ("ダウンロード期限", time(*until))],
                NOT_YOU,
            ),
        ),
        Message::NewDevice { device, place, at } => {
            let mut facts = vec![("端末", device.clone())];
            facts.extend(place.clone().map(|place| ("場所", place)));
            facts.push(when(*at));
            (
                "新しい端末からのログイン",
                notice(
                    "これまでに使用されたことのない端末から、お客様のアカウントへのログインがありました。",
                    facts,
                    &format!("ご本人の場合、お手続きは不要です。{NOT_YOU}"),
                ),
            )
        }
        Message::AccountLinked { at } => (
            "アカウントの連携が完了しました",
            notice(
                "ご契約内容と請求書を、ポータルで確認および管理いただけるようになりました。",
                vec![when(*at)],
                "お心当たりがない場合は、すぐにサポートまでご連絡ください。",
            ),
        ),
        Message::SecondFactorChanged { change, at } => (
            "ログインの保護設定が変更されました",
            notice(
                match change {
                    SecondFactor::AppAdded => {
                        "アカウントに認証アプリが追加されました。今後、ログイン時に認証アプリのコードが必要です。"
                    }
                    SecondFactor::AppRemoved => {
                        "アカウントから認証アプリが削除されました。今後、ログイン時のコードはメールで送信されます。"
                    }
                    SecondFactor::PasskeyAdded => "アカウントにパスキーが追加されました。",
                    SecondFactor::PasskeyRemoved => "アカウントからパスキーが削除されました。",
                    SecondFactor::RecoveryCodesMade => {
                        "新しいリカバリーコードが発行されました。以前のコードは無効です。"
                    }
                    SecondFactor::RecoveryCodeUsed => {
                        "リカバリーコードが使用されました。使用されたコードは無効です。"
                    }
                    SecondFactor::ResetBySupport => {
                        "サポートにより、アカウントから認証アプリ、リカバリーコード、パスキーが削除され、すべてのセッションが終了しました。今後、ログイン時のコードはメールで送信されます。"
                    }
                },
                vec![when(*at)],
                NOT_YOU,
            ),
        ),
        Message::GrantGiven { partner, allowed, at } => (
            "外部サービスへのアクセスを許可しました",
            notice(
                "お客様のアカウントへのアクセスを、外部サービスに許可しました。",
                vec![("サービス", partner.clone()), ("許可した内容", allowed.join("、")), when(*at)],
                &format!("許可は、アカウント設定からいつでも取り消すことができます。{NOT_YOU}"),
            ),
        ),
        Message::GrantTakenBack { partner, at } => (
            "外部サービスへのアクセス許可を取り消しました",
            notice(
                "外部サービスに対するアクセスの許可を取り消しました。今後、このサービスがお客様の情報を閲覧することはありません。",
                vec![("サービス", partner.clone()), when(*at)],
                NOT_YOU,
            ),
        ),
        Message::SessionRevoked { device, at } => {
            let mut facts: Vec<_> = device.clone().map(|device| ("端末", device)).into_iter().collect();
            facts.push(when(*at));
            (
                "安全のためログアウトしました",
                notice(
                    "お客様のセッションの認証情報が二重に使用されました。複製されたおそれがあるため、そのセッションを終了しました。",
                    facts,
                    "続けてご利用になるには、もう一度ログインしてください。アカウント設定に見覚えのないセッションがある場合は、\
                     終了のうえ、新しいパスワードを設定してください。",
                ),
            )
        }
    };
    Words { subject, parts }
}
