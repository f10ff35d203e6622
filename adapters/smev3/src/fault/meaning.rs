//! What a fault means to the system that gets it, who must act, and how: one table, from which `rsmev probe` speaks and the
//! tables of `docs/connecting.md` are written.
//!
//! The table tells what follows from a fault alone. Which of several reasons it was says the fault's own text.

mod table;

use super::{FaultName, SignatureCause};

/// Who must do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    /// The system that called, and who keeps it.
    Participant,
    /// Who keeps the registry of participants, kinds, grants and routes on the called side.
    Registrar,
    /// Who runs the called gateway.
    Operator,
    /// The system that the message is for, and who keeps it.
    Recipient,
    /// The federal bus, by its support.
    Bus,
}

impl Who {
    /// In English.
    pub fn en(self) -> &'static str {
        match self {
            Self::Participant => "participant",
            Self::Registrar => "registrar",
            Self::Operator => "gateway's operator",
            Self::Recipient => "recipient",
            Self::Bus => "the bus",
        }
    }

    /// In Russian.
    pub fn ru(self) -> &'static str {
        match self {
            Self::Participant => "участник",
            Self::Registrar => "регистратор",
            Self::Operator => "оператор шлюза",
            Self::Recipient => "получатель",
            Self::Bus => "СМЭВ",
        }
    }
}

/// A sentence or two in both languages of the documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words {
    /// English.
    pub en: &'static str,
    /// Russian.
    pub ru: &'static str,
}

/// Whether the same message may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// As it is, under the same MessageID, after a while.
    AsItIs,
    /// When the cause is removed, under the same MessageID: the refused message was not kept.
    Mended,
    /// Under a new MessageID only.
    UnderANewId,
    /// Not at all: it would change nothing, or it was accepted before.
    No,
}

impl Again {
    /// In both languages.
    pub fn words(self) -> Words {
        match self {
            Self::AsItIs => Words {
                en: "yes, as it is, under the same MessageID, after a pause",
                ru: "да, без изменений, с тем же MessageID, после паузы",
            },
            Self::Mended => Words {
                en: "when the cause is removed; the same MessageID may be used",
                ru: "после устранения причины; MessageID может быть тем же",
            },
            Self::UnderANewId => Words {
                en: "under a new MessageID",
                ru: "с новым MessageID",
            },
            Self::No => Words { en: "no", ru: "нет" },
        }
    }
}

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    /// The fault.
    pub fault: FaultName,
    /// Of SignatureVerificationFault, the cause that it names.
    pub cause: Option<SignatureCause>,
    /// What it means.
    pub means: Words,
    /// Who must act, the one to ask first first.
    pub who: &'static [Who],
    /// What they do.
    pub remedy: Words,
    /// Whether the message may be sent again.
    pub again: Again,
}

impl Meaning {
    /// The whole table, in the order of the checks.
    pub fn all() -> &'static [Meaning] {
        table::TABLE
    }

    /// What a fault means whose element has this local name; `cause` is what a SignatureVerificationFault names. `None` for
    /// a fault that the protocol does not have.
    pub fn of(element: &str, cause: Option<&str>) -> Option<&'static Meaning> {
        let mut of_fault = table::TABLE.iter().filter(|row| row.fault.as_str() == element);
        let first = of_fault.clone().next();
        of_fault
            .find(|row| row.cause.map(SignatureCause::as_str) == cause)
            .or(first)
    }

    /// The fault as a heading: its name, and the cause where it has one.
    pub fn title(&self) -> String {
        match self.cause {
            Some(cause) => format!("{}: {}", self.fault, cause.as_str()),
            None => self.fault.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use xmldsig::Cause;

    use super::*;

    const CAUSES: [SignatureCause; 6] = [
        SignatureCause::Signature(Cause::NoSignatureFound),
        SignatureCause::Signature(Cause::IncorrectSignatureTarget),
        SignatureCause::Signature(Cause::SignatureIsInvalid),
        SignatureCause::Signature(Cause::CertificateIsNotFound),
        SignatureCause::Signature(Cause::PoorSOAPEnvelopeFormat),
        SignatureCause::CertificateIsExpired,
    ];

    #[test]
    fn every_fault_of_the_protocol_has_one_row_and_every_cause_of_a_bad_signature() {
        for &fault in FaultName::ALL {
            let rows: Vec<_> = Meaning::all().iter().filter(|row| row.fault == fault).collect();
            if fault == FaultName::SignatureVerificationFault {
                for cause in CAUSES {
                    let of_cause = rows.iter().filter(|row| row.cause == Some(cause)).count();
                    assert_eq!(of_cause, 1, "{}", cause.as_str());
                    assert_eq!(
                        Meaning::of(fault.as_str(), Some(cause.as_str())).unwrap().cause,
                        Some(cause)
                    );
                }
                assert_eq!(rows.len(), CAUSES.len());
            } else {
                assert_eq!(rows.len(), 1, "{fault}");
                assert_eq!(rows[0].cause, None);
                assert_eq!(Meaning::of(fault.as_str(), None), Some(rows[0]));
            }
        }
    }

    #[test]
    fn every_fault_that_the_door_answers_has_a_row() {
        let refusals = include_str!("../../../../docs/refusals.md");
        let rows: BTreeSet<_> = refusals
            .lines()
            .filter(|line| line.starts_with("| `") || line.starts_with("| –"))
            .filter_map(|line| line.split('|').nth(2))
            .map(str::trim)
            .filter(|name| name.starts_with(char::is_uppercase))
            .collect();
        assert!(rows.len() > 12, "the table of refusals is read: {rows:?}");
        for name in rows {
            assert!(Meaning::of(name, None).is_some(), "{name}");
        }
    }

    #[test]
    fn a_cause_that_nobody_knows_is_told_as_the_fault_and_an_unknown_fault_is_not_guessed() {
        let row = Meaning::of("SignatureVerificationFault", Some("SomethingNew")).unwrap();
        assert_eq!(row.fault, FaultName::SignatureVerificationFault);
        assert_eq!(Meaning::of("SomethingNew", None), None);
    }

    #[test]
    fn every_row_names_somebody_and_fits_a_table_of_the_documents() {
        for row in Meaning::all() {
            assert!(!row.who.is_empty(), "{}", row.title());
            for text in [row.means.en, row.means.ru, row.remedy.en, row.remedy.ru] {
                assert!(text.ends_with('.') && !text.contains(['|', '\n']), "{text}");
            }
        }
    }
}
