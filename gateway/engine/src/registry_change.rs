//! Changing the registry: merging what the files say into what there is, and refusing contradictions (DESIGN §10).

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::command::RegistryDiff;
use crate::names::{KindName, Party};
use crate::registry::{Grant, RegistryContent, Route};

/// The content after a change, and what the change does: a refusal aside, what applying it would come to.
pub fn preview(current: &RegistryContent, change: RegistryContent, prune: bool) -> (RegistryContent, RegistryDiff) {
    let after = merge(current, change, prune);
    let diff = diff(current, &after);
    (after, diff)
}

/// The content after a change: adds and replaces by key; removes what is not named only with `prune`.
pub(crate) fn merge(current: &RegistryContent, change: RegistryContent, prune: bool) -> RegistryContent {
    let mut change = change;
    for grant in &mut change.grants {
        grant.may.sort_unstable();
        grant.may.dedup();
    }
    let mut merged = if prune {
        RegistryContent::default()
    } else {
        current.clone()
    };
    merged.participants.extend(change.participants);
    merged.kinds.extend(change.kinds);
    let grants = merged.grants.into_iter().chain(change.grants);
    let grants: BTreeMap<(Party, KindName), Grant> = grants
        .map(|grant| ((grant.party.clone(), grant.kind.clone()), grant))
        .collect();
    merged.grants = grants.into_values().filter(|grant| !grant.may.is_empty()).collect();
    merged.routes = merge_routes(merged.routes, change.routes);
    merged
}

/// Routes are tried in order, so the routes that the change names for a kind stay together, in the change's order. They
/// stand where the first of them stood; if all are new, before the kind's unconditional route, behind which they would
/// never be taken.
fn merge_routes(current: Vec<Route>, change: Vec<Route>) -> Vec<Route> {
    let mut blocks: BTreeMap<KindName, Vec<Route>> = BTreeMap::new();
    for route in change {
        let block = blocks.entry(route.kind.clone()).or_default();
        match block.iter_mut().find(|known| known.when == route.when) {
            Some(known) => *known = route,
            None => block.push(route),
        }
    }
    let (mut merged, others): (Vec<Route>, Vec<Route>) =
        current.into_iter().partition(|route| !blocks.contains_key(&route.kind));
    let mut by_kind: BTreeMap<KindName, Vec<Route>> = BTreeMap::new();
    for route in others {
        by_kind.entry(route.kind.clone()).or_default().push(route);
    }
    for (kind, block) in blocks {
        let mut kept = by_kind.remove(&kind).unwrap_or_default();
        let named = |route: &Route| block.iter().any(|new| new.when == route.when);
        let place = kept
            .iter()
            .position(&named)
            .or_else(|| kept.iter().position(|route| route.when.is_none()))
            .unwrap_or(kept.len());
        kept.retain(|route| !named(route));
        kept.splice(place..place, block);
        merged.append(&mut kept);
    }
    merged
}

/// What in a content cannot be true together.
pub(crate) fn contradictions(content: &RegistryContent) -> Vec<String> {
    let mut found = Vec::new();
    let mut owners = HashMap::new();
    for participant in content.participants.values() {
        for certificate in &participant.certificates {
            if let Some(other) = owners.insert(certificate.0, &participant.mnemonic)
                && *other != participant.mnemonic
            {
                let mnemonic = &participant.mnemonic;
                found.push(format!(
                    "certificate {} belongs to {other} and to {mnemonic}",
                    certificate.0
                ));
            }
        }
    }
    let mut roots: HashMap<(&str, &str), &KindName> = HashMap::new();
    for kind in content.kinds.values() {
        for root in HashSet::from([kind.request.as_str(), kind.response.as_str()]) {
            if let Some(other) = roots.insert((kind.namespace.as_str(), root), &kind.name) {
                found.push(format!(
                    "{{{}}}{root} belongs to kind {other} and to kind {}",
                    kind.namespace, kind.name
                ));
            }
        }
    }
    let known = |party: &Party| match party {
        Party::Participant(mnemonic) => content.participants.contains_key(mnemonic),
        Party::Upstream(_) => true,
        Party::Gateway => false,
    };
    for grant in &content.grants {
        if !content.kinds.contains_key(&grant.kind) {
            found.push(format!(
                "a grant of {} names kind {}, which there is not",
                grant.party, grant.kind
            ));
        }
        if !known(&grant.party) {
            found.push(format!("a grant names {}, which there is not", grant.party));
        }
    }
    for route in &content.routes {
        if !content.kinds.contains_key(&route.kind) {
            found.push(format!("a route names kind {}, which there is not", route.kind));
        }
        if !known(&route.to) {
            found.push(format!("a route leads to {}, which there is not", route.to));
        }
    }
    found
}

/// What was changed.
pub(crate) fn diff(before: &RegistryContent, after: &RegistryContent) -> RegistryDiff {
    let mut diff = RegistryDiff::default();
    entries(&mut diff, "participant", &before.participants, &after.participants);
    entries(&mut diff, "kind", &before.kinds, &after.kinds);
    let grants = |content: &RegistryContent| -> BTreeMap<String, Grant> {
        content
            .grants
            .iter()
            .map(|g| (format!("{} {}", g.party, g.kind), g.clone()))
            .collect()
    };
    entries(&mut diff, "grant", &grants(before), &grants(after));
    let routes = |content: &RegistryContent| -> BTreeMap<String, (usize, Route)> {
        let placed = content
            .routes
            .iter()
            .filter(|r| content.kinds.contains_key(&r.kind))
            .enumerate();
        placed
            .map(|(place, route)| (route.to_string(), (place, route.clone())))
            .collect()
    };
    let order_matters = |routes: BTreeMap<String, (usize, Route)>| -> BTreeMap<String, (usize, Route)> {
        // Only the order among the routes of one kind means something.
        let mut places: HashMap<KindName, Vec<usize>> = HashMap::new();
        for (place, route) in routes.values() {
            places.entry(route.kind.clone()).or_default().push(*place);
        }
        places.values_mut().for_each(|places| places.sort_unstable());
        let rank =
            |place: usize, kind: &KindName| places.get(kind).map_or(0, |all| all.partition_point(|p| *p < place));
        routes
            .into_iter()
            .map(|(name, (place, route))| (name, (rank(place, &route.kind), route)))
            .collect()
    };
    entries(
        &mut diff,
        "route",
        &order_matters(routes(before)),
        &order_matters(routes(after)),
    );
    diff
}

fn entries<K: Ord + std::fmt::Display, V: PartialEq>(
    diff: &mut RegistryDiff,
    what: &str,
    before: &BTreeMap<K, V>,
    after: &BTreeMap<K, V>,
) {
    for (key, value) in after {
        match before.get(key) {
            None => diff.added.push(format!("{what} {key}")),
            Some(old) if old != value => diff.changed.push(format!("{what} {key}")),
            Some(_) => {}
        }
    }
    let removed = before.keys().filter(|key| !after.contains_key(key));
    diff.removed.extend(removed.map(|key| format!("{what} {key}")));
}

/// Names of the files that a content refers to.
pub(crate) fn files(content: &RegistryContent) -> HashSet<String> {
    let certificates = content
        .participants
        .values()
        .flat_map(|p| &p.certificates)
        .map(|c| c.0.to_string());
    let schemas = content
        .kinds
        .values()
        .filter_map(|k| k.schema.as_ref())
        .flat_map(|s| s.files.values().cloned());
    certificates.chain(schemas).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{Condition, Kind, May, Participant, Scope, Test};

    fn content() -> RegistryContent {
        let participant = |mnemonic: &str| Participant {
            mnemonic: mnemonic.parse().unwrap(),
            name: mnemonic.to_owned(),
            oktmo: None,
            certificates: Vec::new(),
            addresses: Vec::new(),
        };
        let kind = Kind {
            name: "gpzu".parse().unwrap(),
            namespace: "urn:gpzu".to_owned(),
            request: "Request".to_owned(),
            response: "Response".to_owned(),
            scope: Scope::Any,
            schema: None,
        };
        let route = |when| Route {
            kind: "gpzu".parse().unwrap(),
            when,
            to: Party::Participant("B".parse().unwrap()),
        };
        let when = Condition::Dynamic(Test::Prefix("73".to_owned()));
        RegistryContent {
            participants: ["A", "B"].map(|m| (m.parse().unwrap(), participant(m))).into(),
            kinds: [("gpzu".parse().unwrap(), kind)].into(),
            grants: vec![Grant {
                party: Party::Participant("A".parse().unwrap()),
                kind: "gpzu".parse().unwrap(),
                may: vec![May::Request],
            }],
            routes: vec![route(Some(when)), route(None)],
        }
    }

    #[test]
    fn applying_twice_changes_nothing() {
        let once = merge(&RegistryContent::default(), content(), false);
        let twice = merge(&once, content(), false);
        assert_eq!(diff(&once, &twice), RegistryDiff::default());
        assert_eq!(once, twice);
    }

    #[test]
    fn only_prune_removes() {
        let mut smaller = content();
        smaller.participants.remove("A");
        smaller.grants.clear();
        assert_eq!(
            diff(&content(), &merge(&content(), smaller.clone(), false)),
            RegistryDiff::default()
        );
        let pruned = diff(&content(), &merge(&content(), smaller, true));
        assert_eq!(pruned.removed, ["participant A", "grant A gpzu"]);
    }

    #[test]
    fn swapped_routes_are_a_change() {
        let mut swapped = content();
        swapped.routes.reverse();
        let changed = diff(&content(), &merge(&content(), swapped, true)).changed;
        assert_eq!(changed, ["route gpzu", "route gpzu when dynamic prefix 73"]);
    }

    #[test]
    fn a_new_condition_stands_before_the_route_that_takes_everything() {
        let mut addition = content();
        let when = Condition::Identifier(Test::Equals("7".to_owned()));
        addition.routes = vec![Route {
            when: Some(when.clone()),
            ..content().routes[0].clone()
        }];
        let merged = merge(&content(), addition.clone(), false);
        let conditions: Vec<_> = merged.routes.iter().map(|route| route.when.clone()).collect();
        assert_eq!(conditions, [content().routes[0].when.clone(), Some(when), None]);
        assert_eq!(merge(&merged, addition, false), merged);
    }

    #[test]
    fn routes_of_a_kind_take_the_order_of_the_file() {
        let mut swapped = content();
        swapped.routes.reverse();
        assert_eq!(merge(&content(), swapped.clone(), false).routes, swapped.routes);
    }

    #[test]
    fn contradictions_are_all_named() {
        let mut content = content();
        let mut twin = content.kinds["gpzu"].clone();
        twin.name = "twin".parse().unwrap();
        content.kinds.insert(twin.name.clone(), twin);
        content.routes[0].to = Party::Participant("C".parse().unwrap());
        content.grants[0].kind = "none".parse().unwrap();
        let found = contradictions(&content).join("\n");
        for part in ["{urn:gpzu}Request", "{urn:gpzu}Response", "leads to C", "kind none"] {
            assert!(found.contains(part), "{part} is missing in {found}");
        }
    }
}
