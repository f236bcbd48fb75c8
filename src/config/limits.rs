//! What one request may ask of us.

use crate::{
    config::reader::Reader,
    page::{DEFAULT_FIRST, MAX_FIRST},
};

/// What one request may ask (requirement S1). The defaults are the product's requirement.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Bytes of the document.
    pub document_bytes: usize,
    /// Lexical tokens of the document; comments and commas are none.
    pub tokens: usize,
    /// Open brackets of any kind at once, in the raw text.
    pub nesting: usize,
    /// Fields below one another.
    pub depth: u32,
    /// Fields below one another under `__schema` or `__type`; the usual client query needs 15.
    pub introspection_depth: u32,
    /// Aliases as written.
    pub aliases: usize,
    /// Fields at the root of one operation, fragments expanded.
    pub root_fields: u64,
    /// Directives at one place.
    pub directives_here: usize,
    /// Directives as written.
    pub directives: usize,
    /// Fragment definitions.
    pub fragments: usize,
    /// Selections (fields, spreads, inline fragments) of all operations, fragments expanded.
    pub selections: u64,
    /// Selections of the operation asked for, each multiplied by the page sizes above it.
    pub cost: u64,
    /// Items a page is counted with when the document does not say.
    pub default_page: u64,
    /// The largest `first` or `last`.
    pub page: i64,
    /// Bytes of the variables' JSON.
    pub variables_bytes: usize,
    /// Open brackets at once in the variables' JSON.
    pub variables_depth: usize,
    /// Mutations of which one operation may hold one, whichever: each guesses at a secret, sends a mail or makes an account.
    pub once: &'static [&'static str],
    /// Mutations that are about a password: while too many are being hashed they are refused before they run. A step-up is
    /// none of them, since it may be by other means.
    pub hashing: &'static [&'static str],
    /// Whether `__schema` and `__type` are answered.
    pub introspection: bool,
    /// Bytes of parsed documents that are kept.
    pub cache_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 128 * 1024,
            document_bytes: 16 * 1024,
            tokens: 2_000,
            nesting: 40,
            depth: 12,
            introspection_depth: 16,
            aliases: 30,
            root_fields: 20,
            directives_here: 5,
            directives: 50,
            fragments: 100,
            selections: 500,
            cost: 10_000,
            default_page: DEFAULT_FIRST as u64,
            page: MAX_FIRST as i64,
            variables_bytes: 64 * 1024,
            variables_depth: 32,
            once: &[
                "sessionCreate",
                "sessionVerify",
                "sessionCodeResend",
                "sessionRefresh",
                "passwordChange",
                "passwordResetRequest",
                "passwordReset",
                "passkeySignInFinish",
                "stepUp",
                "stepUpCodeSend",
                "totpEnrolFinish",
                "signUpBegin",
                "signUpResend",
                "signUpVerify",
                "signUpVerifyByBilling",
                "signUpComplete",
                "accountLink",
                "availabilityRequest",
            ],
            hashing: &["sessionCreate", "passwordChange", "passwordReset", "signUpComplete", "accountLink"],
            introspection: false,
            cache_bytes: 16 * 1024 * 1024,
        }
    }
}

impl Limits {
    pub(super) fn read(env: &mut Reader<'_>, introspection: bool) -> Self {
        env.section("Limits of a document");
        Self {
            body_bytes: 1024
                * env.get("LIMIT_BODY_KIB", "KiB", "The body of a request.").number(128, 1..=16_384),
            document_bytes: 1024
                * env.get("LIMIT_DOCUMENT_KIB", "KiB", "The document.").number(16, 1..=1_024),
            tokens: env.get("LIMIT_TOKENS", "tokens", "Lexical tokens.").number(2_000, 10..=100_000),
            nesting: env
                .get("LIMIT_NESTING", "brackets", "Open brackets at once, in the raw text.")
                .number(40, 5..=200),
            depth: env.get("LIMIT_DEPTH", "fields", "Fields below one another.").number(12, 2..=50),
            introspection_depth: env
                .get(
                    "LIMIT_INTROSPECTION_DEPTH",
                    "fields",
                    "The same below __schema; the usual client asks for 15.",
                )
                .number(16, 2..=50),
            aliases: env.get("LIMIT_ALIASES", "aliases", "Aliases.").number(30, 0..=1_000),
            root_fields: env
                .get("LIMIT_ROOT_FIELDS", "fields", "Fields at the root of an operation.")
                .number(20, 1..=1_000),
            directives_here: env
                .get("LIMIT_DIRECTIVES_PER_PLACE", "directives", "Directives at one place.")
                .number(5, 0..=100),
            directives: env
                .get("LIMIT_DIRECTIVES", "directives", "Directives of a document.")
                .number(50, 0..=1_000),
            fragments: env.get("LIMIT_FRAGMENTS", "fragments", "Fragments.").number(100, 0..=1_000),
            selections: env
                .get("LIMIT_SELECTIONS", "selections", "Fields after expanding fragments.")
                .number(500, 10..=100_000),
            cost: env
                .get("LIMIT_COST", "selections", "Fields, each multiplied by the page sizes above it.")
                .number(10_000, 100..=10_000_000),
            page: env.get("LIMIT_PAGE", "items", "The largest page.").number(100, 1..=100),
            variables_bytes: 1024
                * env.get("LIMIT_VARIABLES_KIB", "KiB", "The variables.").number(64, 1..=16_384),
            variables_depth: env
                .get("LIMIT_VARIABLES_DEPTH", "brackets", "Open brackets at once in the variables.")
                .number(32, 1..=120),
            cache_bytes: 1024
                * 1024
                * env
                    .get("DOCUMENT_CACHE_MB", "MB", "Memory for parsed documents.")
                    .number::<u64>(16, 1..=1_024),
            introspection,
            ..Self::default()
        }
    }
}
