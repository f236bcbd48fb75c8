//! Finds out whether the log is as it was written.

use std::fmt;

use super::{ANCHOR, Anchor, EventRow, Filter, HEAD, TAMPERED, chain};
use crate::store::{Result, Store, sql, vault::Vault};

/// Events of one question.
const PAGE: u32 = 1_000;
/// Faults that are told; a log with more is not worth reading on.
const TOLD: usize = 100;

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A row that is not what was hashed: it was edited, moved, or forged.
    Edited(i64),
    /// A row whose predecessor is another one than when it was written.
    Detached(i64),
    /// Rows that were there.
    Missing {
        /// The first of them.
        from: i64,
        /// The last of them.
        to: i64,
    },
    /// The note of where the log ends or begins (`head`, `anchor`) is not ours.
    Mark(&'static str),
    /// Before this event the note of where the log ends had been forged: events may have been cut off there.
    Tampered(i64),
    /// The given anchor names another event than the log has there.
    Anchor(i64),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Edited(row) => write!(f, "event {row} is not what was written: it was edited or moved"),
            Self::Detached(row) => {
                write!(f, "event {row} does not follow the event before it: one of them was exchanged")
            }
            Self::Missing { from, to } if from == to => write!(f, "event {from} is missing"),
            Self::Missing { from, to } => write!(f, "events {from} to {to} are missing"),
            Self::Mark(mark) => write!(f, "the {mark} of the log is not what was written"),
            Self::Tampered(row) => {
                write!(f, "before event {row} the head of the log was forged; events may have been cut off")
            }
            Self::Anchor(row) => write!(f, "event {row} is not the one of the anchor"),
        }
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Events that were read.
    pub events: u64,
    /// The last event: to be kept elsewhere, for the next time.
    pub head: Anchor,
    /// What is wrong; empty when nothing is. At most 100.
    pub faults: Vec<Fault>,
}

impl Store {
    /// Reads the whole log and reckons its chain anew. With an anchor of an earlier time, what was cut off from the end
    /// since shows even when the note of the end was put back, too. `progress` is told how many events of how many were
    /// read.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn verify_audit(
        &self,
        known: Option<&Anchor>,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Verdict> {
        let vault = self.vault()?;
        let mut faults = Vec::new();
        let head = self.mark(vault, HEAD, &mut faults).await?;
        let mut last = self.mark(vault, ANCHOR, &mut faults).await?;
        let total = u64::try_from(head.sequence - last.sequence).unwrap_or_default();
        let mut events = 0;
        if let Some(known) = known {
            if known.sequence > head.sequence {
                faults.push(Fault::Missing { from: head.sequence + 1, to: known.sequence });
            } else if known.sequence == last.sequence && known.hash != last.hash {
                faults.push(Fault::Anchor(known.sequence));
            }
        }
        while faults.len() < TOLD {
            let page = self.audit_events(&Filter::default(), last.sequence, PAGE).await?;
            if page.is_empty() {
                break;
            }
            for row in page {
                if row.sequence > last.sequence + 1 {
                    // The beginning may have been purged meanwhile.
                    let anchor = self.mark(vault, ANCHOR, &mut faults).await?;
                    if anchor.sequence > last.sequence {
                        last = anchor;
                    }
                }
                if row.sequence <= last.sequence {
                    continue;
                }
                judge(vault, &row, &last, known, &mut faults);
                last = Anchor { sequence: row.sequence, hash: row.hash };
                events += 1;
            }
            progress(events, total.max(events));
        }
        // What was written while we read lies behind the head that we know.
        if last.sequence < head.sequence && faults.len() < TOLD {
            faults.push(Fault::Missing { from: last.sequence + 1, to: head.sequence });
        }
        faults.truncate(TOLD);
        Ok(Verdict { events, head: last, faults })
    }

    async fn mark(&self, vault: &Vault, mark: &'static str, faults: &mut Vec<Fault>) -> Result<Anchor> {
        let (sequence, hash, mac): (i64, Vec<u8>, Vec<u8>) = sql!(
            self.read(),
            "SELECT sequence, hash, mac FROM audit_marks WHERE mark = $1",
            [mark],
            fetch_one as (i64, Vec<u8>, Vec<u8>)
        )?;
        let anchor = Anchor { sequence, hash };
        if mac != chain::mark_mac(vault, mark, &anchor) && !faults.contains(&Fault::Mark(mark)) {
            faults.push(Fault::Mark(mark));
        }
        Ok(anchor)
    }
}

fn judge(vault: &Vault, row: &EventRow, last: &Anchor, known: Option<&Anchor>, faults: &mut Vec<Fault>) {
    let is_next = row.sequence == last.sequence + 1;
    if !is_next {
        faults.push(Fault::Missing { from: last.sequence + 1, to: row.sequence - 1 });
    }
    if row.hash != chain::hash(vault, row) {
        faults.push(Fault::Edited(row.sequence));
    } else if is_next && row.previous_hash != last.hash {
        faults.push(Fault::Detached(row.sequence));
    }
    if row.act == TAMPERED {
        faults.push(Fault::Tampered(row.sequence));
    }
    if known.is_some_and(|known| known.sequence == row.sequence && known.hash != row.hash) {
        faults.push(Fault::Anchor(row.sequence));
    }
}
