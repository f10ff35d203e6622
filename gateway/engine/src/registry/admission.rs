//! Whether a request may be sent, and where it goes: the first route whose condition holds (DESIGN §7).

use super::{Condition, Direction, Kind, May, Registry, Scope, Test};
use crate::command::{NoRecipient, PayloadRoot, Refusal, RoutingFacts};
use crate::names::Party;

impl Registry {
    /// What becomes of a request with this root element: its kind and its receiver.
    ///
    /// # Errors
    /// [`Refusal::UnknownKind`], [`Refusal::AccessDenied`], [`Refusal::RecipientNotFound`].
    pub fn admit(&self, sender: &Party, root: &PayloadRoot, facts: &RoutingFacts) -> Result<(&Kind, Party), Refusal> {
        let Some((kind, Direction::Request)) = self.kind_by_root(&root.namespace, &root.local) else {
            return Err(Refusal::UnknownKind {
                namespace: root.namespace.clone(),
                local: root.local.clone(),
            });
        };
        let denied = |party: &Party, direction| Refusal::AccessDenied {
            party: party.clone(),
            kind: kind.name.clone(),
            direction,
        };
        if !self.allows(sender, &kind.name, May::Request) {
            return Err(denied(sender, Direction::Request));
        }
        let recipient = self.receiver(kind, facts)?;
        if !self.allows(&recipient, &kind.name, May::Provide) {
            return Err(denied(&recipient, Direction::Response));
        }
        Ok((kind, recipient))
    }

    fn receiver(&self, kind: &Kind, facts: &RoutingFacts) -> Result<Party, NoRecipient> {
        let to = self
            .routes(&kind.name)
            .find(|route| route.when.as_ref().is_none_or(|when| when.holds(facts)));
        let Some(to) = to.map(|route| &route.to) else {
            return Err(NoRecipient::NoRoute(kind.name.clone()));
        };
        match to {
            Party::Participant(mnemonic) if self.participant(mnemonic).is_none() => {
                Err(NoRecipient::NotRegistered(mnemonic.clone()))
            }
            Party::Upstream(_) if kind.scope == Scope::Local => Err(NoRecipient::LocalKind(kind.name.clone())),
            Party::Gateway => Err(NoRecipient::Gateway(kind.name.clone())),
            to => Ok(to.clone()),
        }
    }
}

impl Condition {
    /// Whether one of the values that it asks about passes its test.
    pub fn holds(&self, facts: &RoutingFacts) -> bool {
        let (Self::Payload { test, .. } | Self::Dynamic(test) | Self::Identifier(test)) = self;
        self.values(facts).iter().any(|value| test.passes(value))
    }

    /// The values that it asks about.
    pub fn values<'f>(&self, facts: &'f RoutingFacts) -> &'f [String] {
        match self {
            Self::Payload { path, .. } => facts.payload.get(path).map_or(&[], std::slice::from_ref),
            Self::Dynamic(_) => &facts.dynamic,
            Self::Identifier(_) => &facts.identifier,
        }
    }
}

impl Test {
    fn passes(&self, value: &str) -> bool {
        match self {
            Self::Present => true,
            Self::Prefix(prefix) => value.starts_with(prefix.as_str()),
            Self::Equals(text) => value == text,
        }
    }
}
