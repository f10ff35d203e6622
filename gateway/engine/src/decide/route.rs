//! Where a message goes: the first route whose condition holds (DESIGN §7).

use crate::command::RoutingFacts;
use crate::names::Party;
use crate::registry::{Condition, Kind, Registry, Scope, Test};

/// Finds the receiver of a request, or says why there is none.
pub(crate) fn route(registry: &Registry, kind: &Kind, facts: &RoutingFacts) -> Result<Party, String> {
    let to = registry
        .routes(&kind.name)
        .find(|route| route.when.as_ref().is_none_or(|when| holds(when, facts)));
    let Some(to) = to.map(|route| &route.to) else {
        return Err(format!("no route for kind {}", kind.name));
    };
    match to {
        Party::Participant(mnemonic) if registry.participant(mnemonic).is_none() => {
            Err(format!("participant {mnemonic} is not registered"))
        }
        Party::Upstream(_) if kind.scope == Scope::Local => Err(format!("kind {} never leaves the region", kind.name)),
        Party::Gateway => Err(format!("the gateway does not take requests of kind {}", kind.name)),
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
