//! What in a registry is allowed and yet can hardly be meant: for people, before it is applied and afterwards.

use std::fmt;

use engine::names::Party;
use engine::registry::{Grant, Kind, May, Participant, RegistryContent, Route, Scope};
use gost::Certificate;
use jiff::Timestamp;
use serde::Serialize;

use crate::check::{Level, validity};

/// Something that a person should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What it is about, such as `kind gpzu`.
    pub(crate) about: String,
    /// What strikes, and what comes of it.
    pub(crate) text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.about, self.text)
    }
}

/// Looks a registry through; `certificate` reads a certificate by its name.
pub(crate) fn lint(content: &RegistryContent, certificate: impl Fn(&str) -> Option<Certificate>) -> Vec<Finding> {
    let look = Look { content };
    let participants = content.participants.values();
    let kinds = content.kinds.values();
    let of_participants = participants.flat_map(|participant| look.participant(participant, &certificate));
    let of_kinds = kinds.flat_map(|kind| look.kind(kind));
    let of_routes = content.routes.iter().enumerate();
    let of_routes = of_routes.flat_map(|(place, route)| look.route(place, route));
    of_participants.chain(of_kinds).chain(of_routes).collect()
}

struct Look<'a> {
    content: &'a RegistryContent,
}

impl Look<'_> {
    fn participant(
        &self,
        participant: &Participant,
        certificate: &impl Fn(&str) -> Option<Certificate>,
    ) -> Vec<Finding> {
        let mut said = Vec::new();
        let grants = |grant: &Grant| grant.party == Party::Participant(participant.mnemonic.clone());
        if !self.content.grants.iter().any(grants) {
            said.push("has no grant, so that it can neither send requests nor provide anything".to_owned());
        }
        let pinned = participant.certificates.iter();
        let known: Vec<_> = pinned.filter_map(|named| certificate(&named.0.to_string())).collect();
        let valid = known.iter().any(|known| !is_over(known));
        said.extend(known.iter().filter_map(|known| Self::certificate(known, valid)));
        found(format_args!("participant {}", participant.mnemonic), said)
    }

    /// One whose time is over is of no concern as long as another one is valid.
    fn certificate(certificate: &Certificate, another_is_valid: bool) -> Option<String> {
        let (level, text) = validity(certificate, Level::Warning);
        (level != Level::Ok && !(is_over(certificate) && another_is_valid)).then_some(text)
    }

    fn kind(&self, kind: &Kind) -> Vec<Finding> {
        let mut said = Vec::new();
        let granted = |may| {
            let mut grants = self.content.grants.iter();
            grants.any(|grant| grant.kind == kind.name && grant.may.contains(&may))
        };
        if !granted(May::Request) {
            said.push("nobody may send requests of it".to_owned());
        }
        if !granted(May::Provide) {
            said.push("nobody may provide it, so that every request is refused".to_owned());
        }
        let routes: Vec<_> = self.routes(kind).map(|(_, route)| route).collect();
        if routes.is_empty() {
            said.push("no route leads it anywhere, so that every request is refused".to_owned());
        } else if routes.iter().all(|route| route.when.is_some()) {
            said.push("every route has a condition: a request for which none holds is refused".to_owned());
        }
        for grant in self.content.grants.iter().filter(|grant| grant.kind == kind.name) {
            let provides = grant.may.contains(&May::Provide);
            if provides && !routes.is_empty() && routes.iter().all(|route| route.to != grant.party) {
                said.push(format!("{} may provide it, but no route leads there", grant.party));
            }
            if kind.scope == Scope::Local && matches!(grant.party, Party::Upstream(_)) {
                said.push(format!(
                    "it never leaves the region, so that the grant of {} means nothing",
                    grant.party
                ));
            }
        }
        found(format_args!("kind {}", kind.name), said)
    }

    fn route(&self, place: usize, route: &Route) -> Vec<Finding> {
        let mut said = Vec::new();
        let Some(kind) = self.content.kinds.get(&route.kind) else {
            return Vec::new();
        };
        let always = |(earlier, other): (usize, &Route)| earlier < place && other.when.is_none();
        if self.routes(kind).any(always) {
            said.push("is never taken: a route of the kind before it has no condition".to_owned());
        }
        let provides =
            |grant: &Grant| grant.party == route.to && grant.kind == route.kind && grant.may.contains(&May::Provide);
        if kind.scope == Scope::Local && matches!(route.to, Party::Upstream(_)) {
            said.push(format!(
                "leads to {}, but the kind never leaves the region: what takes it is refused",
                route.to
            ));
        } else if !self.content.grants.iter().any(provides) {
            said.push(format!(
                "leads to {}, which may not provide the kind: what takes it is refused",
                route.to
            ));
        }
        found(format_args!("route {route}"), said)
    }

    /// Routes of a kind with their places, in the order in which they are tried.
    fn routes<'s>(&'s self, kind: &'s Kind) -> impl Iterator<Item = (usize, &'s Route)> {
        let routes = self.content.routes.iter().enumerate();
        routes.filter(|(_, route)| route.kind == kind.name)
    }
}

fn is_over(certificate: &Certificate) -> bool {
    certificate.not_after() < Timestamp::now().as_second()
}

fn found(about: fmt::Arguments<'_>, said: Vec<String>) -> Vec<Finding> {
    let finding = |text| Finding {
        about: about.to_string(),
        text,
    };
    said.into_iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use gost::{Curve, KeyAlgorithm, SoftwareKey};
    use jiff::SignedDuration;

    use super::*;
    use crate::registry_file::Collected;

    /// The findings of a registry whose participants have a certificate that is valid for so many days.
    fn findings(text: &str, days: i64) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let now = Timestamp::now();
        let key = SoftwareKey::generate(Curve::CryptoProA, KeyAlgorithm::Gost2012_256).unwrap();
        let end = now + SignedDuration::from_hours(24 * days) + SignedDuration::from_mins(1);
        let begin = now - SignedDuration::from_hours(24 * 400);
        let subject = gost::SubjectName::new("A").unwrap();
        let certificate = gost::self_signed(&key, &subject, begin.as_second(), end.as_second()).unwrap();
        std::fs::write(folder.path().join("a.crt"), certificate.to_pem()).unwrap();
        let mut collected = Collected::default();
        collected.add_text("region.toml", text, folder.path()).unwrap();
        let (content, blobs) = collected.conclude(&RegistryContent::default()).unwrap();
        let read = |name: &str| Certificate::from_der(blobs.get(name)?).ok();
        let found = lint(&content, read);
        found.iter().map(ToString::to_string).collect()
    }

    const KIND: &str =
        "[[kind]]\nname = \"gpzu\"\nnamespace = \"urn:gpzu\"\nrequest = \"Request\"\nresponse = \"Response\"\n";

    fn participant(mnemonic: &str) -> String {
        format!("[[participant]]\nmnemonic = \"{mnemonic}\"\nname = \"{mnemonic}\"\ncertificates = [\"a.crt\"]\n")
    }

    fn grant(party: &str, may: &str) -> String {
        format!("[[grant]]\nparticipant = \"{party}\"\nkind = \"gpzu\"\nmay = [\"{may}\"]\n")
    }

    #[test]
    fn nothing_is_said_of_a_registry_in_order() {
        let text = [
            participant("A"),
            KIND.to_owned(),
            grant("A", "request\", \"provide"),
            "[[route]]\nkind = \"gpzu\"\nto = \"A\"\n".to_owned(),
        ];
        assert_eq!(findings(&text.concat(), 400), [""; 0]);
    }

    #[test]
    fn a_certificate_is_told_of_before_it_ends_and_afterwards() {
        let text = [
            participant("A"),
            KIND.to_owned(),
            grant("A", "request\", \"provide"),
            "[[route]]\nkind = \"gpzu\"\nto = \"A\"\n".to_owned(),
        ]
        .concat();
        let [soon] = &findings(&text, 29)[..] else { panic!() };
        assert!(
            soon.contains("participant A: ") && soon.contains("expires in"),
            "{soon}"
        );
        let [over] = &findings(&text, -2)[..] else { panic!() };
        assert!(over.contains("expired 1d 23h ago"), "{over}");
    }

    #[test]
    fn what_leads_nowhere_is_named() {
        let alone = findings(&[participant("A"), KIND.to_owned()].concat(), 400);
        assert_eq!(
            alone,
            [
                "participant A: has no grant, so that it can neither send requests nor provide anything",
                "kind gpzu: nobody may send requests of it",
                "kind gpzu: nobody may provide it, so that every request is refused",
                "kind gpzu: no route leads it anywhere, so that every request is refused",
            ]
        );
        let text = [
            participant("A"),
            KIND.replace("\nrequest", "\nscope = \"local\"\nrequest"),
            grant("A", "request\", \"provide"),
            "[[route]]\nkind = \"gpzu\"\nupstream = \"federal\"\n".to_owned(),
            "[[route]]\nkind = \"gpzu\"\nwhen = { path = \"//A\", prefix = \"7\" }\nto = \"A\"\n".to_owned(),
        ];
        assert_eq!(
            findings(&text.concat(), 400),
            [
                "route gpzu: leads to upstream/federal, but the kind never leaves the region: what takes it is refused",
                "route gpzu when //A prefix 7: is never taken: a route of the kind before it has no condition",
            ]
        );
    }
}
