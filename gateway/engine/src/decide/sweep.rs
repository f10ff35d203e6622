//! Forgetting where rules give messages different times ([`RetentionRule`](crate::settings::RetentionRule)).
//!
//! The rows of a family lie in the order of the moments from which they count, and each message belongs to one of a few
//! ages. For each age the sweep remembers how far it has looked: what lies before was forgotten, or belongs to a longer
//! age, so that what is kept long is not looked at every second. That memory is no state of the engine's: a new sweep
//! begins from the front, with the rules as they are then.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::apply::family;
use crate::error::IndexError;
use crate::event::{Event, Forgotten};
use crate::keys::{self, Key};
use crate::message::Micros;
use crate::settings::Settings;

use super::{Context, Planned, earlier};

/// Rows of a family that are looked at in one tick.
const AT_ONCE: usize = 500;

/// How far the rows have been looked at, by family and age.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    reached: BTreeMap<(u8, SignedDuration), Vec<u8>>,
    latest: Timestamp,
}

impl Sweep {
    /// Takes note of the time of a batch: what is written after the clock was set back may lie before what was reached.
    pub(crate) fn at(&mut self, now: Timestamp) {
        if now < self.latest {
            self.again();
        }
        self.latest = now;
    }

    /// Looks at everything again, because what was found came to nothing.
    pub(crate) fn again(&mut self) {
        self.reached.clear();
    }

    /// What is due of a family whose rows end with a message's number, and whether there is more.
    pub(super) fn due(
        &mut self,
        context: &Context<'_, '_>,
        what: Forgotten,
    ) -> Result<(Option<Planned>, bool), IndexError> {
        let family = family(what);
        let prefix = Key::new(family);
        let (mut found, mut looked_at, mut more) = (Vec::new(), 0, false);
        for age in ages(context.settings, what) {
            let limit = Micros::from(earlier(context.now, age));
            let reached = self.reached.entry((family, age)).or_default();
            for row in context.state.scan(&prefix, reached.as_slice()) {
                let (key, _) = row?;
                if keys::moment_of(&key).is_none_or(|since| since > limit) {
                    break;
                }
                if looked_at >= AT_ONCE {
                    more = true;
                    break;
                }
                looked_at += 1;
                let message = keys::last_number(&key)
                    .map(|seq| context.state.message(seq))
                    .transpose()?;
                let own = message.flatten().map(|message| {
                    let bodies = context.settings.bodies_of(&message);
                    age_of(context.settings, what, bodies)
                });
                if own.is_none_or(|own| own == age) {
                    found.push(hex::encode(&key));
                }
                *reached = [key.as_slice(), &[0]].concat();
            }
        }
        // A row without a message belongs to every age.
        found.sort_unstable();
        found.dedup();
        let event = (!found.is_empty()).then(|| Event::ForgottenEach { what, keys: found }.into());
        Ok((event, more))
    }
}

/// All ages that messages can have.
fn ages(settings: &Settings, what: Forgotten) -> BTreeSet<SignedDuration> {
    let rules = settings.retention_rules.iter().map(|rule| rule.bodies);
    rules
        .chain([settings.retention_bodies])
        .map(|bodies| age_of(settings, what, bodies))
        .collect()
}

/// How long after its end a message whose bodies are kept so long loses what the family stands for.
pub(super) fn age_of(settings: &Settings, what: Forgotten, bodies: SignedDuration) -> SignedDuration {
    let message = settings.grace.max(bodies);
    match what {
        Forgotten::Bodies => bodies,
        Forgotten::Messages => message,
        Forgotten::Unanswered => settings.exchange_ttl.max(message),
        Forgotten::Identifiers | Forgotten::UpstreamIdentifiers => settings.grace,
    }
}
