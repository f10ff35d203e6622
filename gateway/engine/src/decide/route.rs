//! Where a message goes: the first route whose condition holds (DESIGN §7).

use crate::command::{NoRecipient, RoutingFacts};
use crate::names::Party;
use crate::registry::{Condition, Kind, Registry, Scope, Test};

/// Finds the receiver of a request, or says why there is none.
pub(crate) fn route(registry: &Registry, kind: &Kind, facts: &RoutingFacts) -> Result<Party, NoRecipient> {
    let to = registry
        .routes(&kind.name)
        .find(|route| route.when.as_ref().is_none_or(|when| holds(when, facts)));
    let Some(to) = to.map(|route| &route.to) else {
        return Err(NoRecipient::NoRoute(kind.name.clone()));
    };
    match to {
        Party::Participant(mnemonic) if registry.participant(mnemonic).is_none() => {
            Err(NoRecipient::NotRegistered(mnemonic.clone()))
        }
        Party::Upstream(_) if kind.scope == Scope::Local => Err(NoRecipient::LocalKind(kind.name.clone())),
        Party::Gateway => Err(NoRecipient::Gateway(kind.name.clone())),
        to => Ok(to.clone()),
    }
}

fn holds(condition: &Condition, facts: &RoutingFacts) -> bool {
    match condition {
        Condition::Payload { path, test } => facts.payload.get(path).is_some_and(|value| passes(test, value)),
        Condition::Dynamic(test) => facts.dynamic.iter().any(|value| passes(test, value)),
        Condition::Identifier(test) => facts.identifier.iter().any(|value| passes(test, value)),
    }
}

fn passes(test: &Test, value: &str) -> bool {
    match test {
        Test::Present => true,
        Test::Prefix(prefix) => value.starts_with(prefix.as_str()),
        Test::Equals(text) => value == text,
    }
}
