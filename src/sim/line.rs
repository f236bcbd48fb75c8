//! The state of a line.

use async_graphql::{Enum, SimpleObject};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::{secret::mask_tail, upstream::freebit};

/// What the mobile network says of a line.
#[derive(Clone, Debug, Deserialize, Serialize, SimpleObject)]
pub struct LineState {
    /// Whether it works.
    pub status: LineStatus,
    /// Generation of the radio network.
    pub network: NetworkType,
    /// Card or profile.
    pub sim_type: SimType,
    /// Which voice options are on. Null on a data-only line.
    pub voice_options: Option<VoiceOptions>,
    /// Card number, masked but for its last four digits. Null when it is not told.
    pub iccid: Option<String>,
    /// Number of the eSIM chip, masked but for its last four digits. Null for a card.
    pub eid: Option<String>,
    /// Day on which the line was opened, Tokyo. Null when it is not told.
    pub started_on: Option<NaiveDate>,
}

/// Whether a line works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, Enum)]
pub enum LineStatus {
    /// Being registered.
    Pending,
    /// In service.
    Active,
    /// Stopped for the time being.
    Suspended,
    /// Ended.
    Ended,
    /// A state that this gateway does not know.
    Unknown,
}

/// Generation of the radio network that a line may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, Enum)]
pub enum NetworkType {
    /// LTE.
    #[graphql(name = "LTE_4G")]
    Lte4g,
    /// 5G.
    #[graphql(name = "NR_5G")]
    Nr5g,
}

/// The kind of SIM in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, Enum)]
pub enum SimType {
    /// A card.
    Physical,
    /// A profile in a device's own chip.
    Esim,
}

/// Which voice options are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, SimpleObject)]
pub struct VoiceOptions {
    /// Voice mail.
    pub voice_mail: bool,
    /// Call waiting.
    pub call_waiting: bool,
    /// Calls and data abroad.
    pub international_roaming: bool,
}

impl LineState {
    /// From the account detail. An absent state is read as pending, an absent network as 4G
    /// (Freebit reference §2.4).
    pub(super) fn new(detail: freebit::Detail) -> Self {
        let on = |flag: Option<bool>| flag.unwrap_or(false);
        // A data-only line has no voice; where the capability is not told, a known option tells it.
        let speaks = detail.talk.unwrap_or(
            detail.voice_mail.is_some() || detail.call_waiting.is_some() || detail.world_wing.is_some(),
        );
        Self {
            status: match detail.state.as_deref() {
                None | Some("waiting") => LineStatus::Pending,
                Some("active") => LineStatus::Active,
                Some("suspended" | "temporary") => LineStatus::Suspended,
                Some("obsolete") => LineStatus::Ended,
                Some(_) => LineStatus::Unknown,
            },
            network: match detail.contract_line.as_deref() {
                Some("5G") => NetworkType::Nr5g,
                _ => NetworkType::Lte4g,
            },
            sim_type: if detail.eid.is_some() || detail.size.as_deref() == Some("esim") {
                SimType::Esim
            } else {
                SimType::Physical
            },
            voice_options: speaks.then(|| VoiceOptions {
                voice_mail: on(detail.voice_mail),
                call_waiting: on(detail.call_waiting),
                international_roaming: on(detail.world_wing),
            }),
            iccid: detail.iccid.as_deref().map(mask_tail),
            eid: detail.eid.as_deref().map(mask_tail),
            started_on: detail.start_date,
        }
    }
}
