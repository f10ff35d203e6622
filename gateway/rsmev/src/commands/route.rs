//! `rsmev route explain`: what becomes of a request, and why, without sending it.

use engine::Halts;
use engine::command::{NoRecipient, PayloadRoot, Refusal, RoutingFacts};
use engine::names::{KindName, Party, Queue};
use engine::registry::{Direction, May, Registry, Route};
use serde::Serialize;

use super::halts::{halts_if_told, shown};
use super::registry::current;
use crate::cli::{Output, RouteCommand, RouteExplain};
use crate::failure::Failure;
use crate::output::Out;
use crate::registry_file::{read_bounded, unknown};
use crate::settings::Settings;

/// What becomes of a request.
#[derive(Debug, Serialize)]
struct Explained {
    from: Party,
    /// Of the payload's root element.
    namespace: String,
    local: String,
    /// Absent if no kind has this root element.
    kind: Option<String>,
    /// Whether the sender may send requests of the kind.
    granted: bool,
    /// Routes in their order, up to the one that is taken.
    routes: Vec<Tried>,
    /// Who gets it.
    recipient: Option<Party>,
    /// Why it has to wait there, though nothing is wrong.
    waits: Vec<String>,
    /// Why nobody gets it.
    refusal: Option<String>,
    remedy: Option<String>,
}

/// A route that was looked at.
#[derive(Debug, Serialize)]
struct Tried {
    when: Option<String>,
    to: Party,
    /// What its condition was compared with.
    values: Vec<String>,
    holds: bool,
}

/// Carries the command out.
pub(crate) fn run(command: &RouteCommand, settings: &Settings, out: &mut Out) -> Result<(), Failure> {
    let RouteCommand::Explain(arguments) = command;
    let registry = Registry::new(current(settings)?).with_halts(halts_if_told(settings));
    let explained = explain(arguments, &registry)?;
    match arguments.output.output {
        Output::Json => out.json(&explained)?,
        Output::Table => show(&explained, out)?,
    }
    match explained.recipient {
        Some(_) => Ok(()),
        None => Err(Failure::Said),
    }
}

fn explain(arguments: &RouteExplain, registry: &Registry) -> Result<Explained, Failure> {
    let mut facts = RoutingFacts {
        dynamic: arguments.dynamic.clone(),
        identifier: arguments.identifier.clone(),
        ..RoutingFacts::default()
    };
    let named = match &arguments.kind {
        Some(name) => Some(registry.kind(name).ok_or_else(|| {
            let known: Vec<_> = registry.content().kinds.keys().map(KindName::as_str).collect();
            Failure::refused(unknown("kind", name.as_str(), &known))
        })?),
        None => None,
    };
    let root = match (&arguments.payload, named) {
        (Some(file), named) => {
            let read = read_bounded(file).and_then(|xml| smev3::facts::of_payload(&xml, registry));
            let (root, values) = read.map_err(|error| Failure::file(file, error))?;
            if let Some(kind) = named
                && (root.namespace != kind.namespace || root.local != kind.request)
            {
                return Err(Failure::file(
                    file,
                    format!(
                        "its root element is {{{}}}{}, but requests of kind {} have {{{}}}{}",
                        root.namespace, root.local, kind.name, kind.namespace, kind.request
                    ),
                ));
            }
            facts.payload = values;
            root
        }
        (None, Some(kind)) => PayloadRoot {
            namespace: kind.namespace.clone(),
            local: kind.request.clone(),
        },
        (None, None) => return Err(Failure::usage("--kind or --payload is needed")),
    };
    let kind = match registry.kind_by_root(&root.namespace, &root.local) {
        Some((kind, Direction::Request)) => Some(kind),
        _ => None,
    };
    let halted = match &arguments.from {
        Party::Participant(sender) => registry.halts().suspended(sender).map(|_| sender),
        _ => None,
    };
    let admitted = match halted {
        Some(sender) => Err(Refusal::Suspended(sender.clone())),
        None => registry.admit(&arguments.from, &root, &facts).map(|(_, to)| to),
    };
    let mut routes = Vec::new();
    for route in kind.into_iter().flat_map(|kind| registry.routes(&kind.name)) {
        let tried = tried(route, &facts);
        let taken = tried.holds;
        routes.push(tried);
        if taken {
            break;
        }
    }
    let refused = admitted.as_ref().err();
    Ok(Explained {
        kind: kind.map(|kind| kind.name.to_string()),
        granted: kind.is_some_and(|kind| registry.allows(&arguments.from, &kind.name, May::Request)),
        routes,
        refusal: refused.map(ToString::to_string),
        remedy: refused.and_then(|refusal| remedy(refusal, arguments.payload.is_some())),
        waits: admitted
            .as_ref()
            .map_or_else(|_| Vec::new(), |to| waits(to, registry.halts())),
        recipient: admitted.ok(),
        from: arguments.from.clone(),
        namespace: root.namespace,
        local: root.local,
    })
}

/// Why a request has to wait for who gets it.
fn waits(to: &Party, halts: &Halts) -> Vec<String> {
    let queue = match to {
        Party::Participant(owner) => Queue::Requests(owner.clone()),
        Party::Upstream(name) => Queue::Upstream(name.clone()),
        Party::Gateway => return Vec::new(),
    };
    let suspended = queue.owner().and_then(|owner| Some((owner, halts.suspended(owner)?)));
    let suspended = suspended.map(|(owner, halt)| format!("{owner} is suspended {}", shown(halt)));
    let paused = halts
        .paused(&queue)
        .map(|halt| format!("{queue} is paused {}", shown(halt)));
    suspended.into_iter().chain(paused).collect()
}

fn tried(route: &Route, facts: &RoutingFacts) -> Tried {
    let when = route.when.as_ref();
    Tried {
        when: when.map(ToString::to_string),
        to: route.to.clone(),
        values: when.map_or_else(Vec::new, |when| when.values(facts).to_vec()),
        holds: when.is_none_or(|when| when.holds(facts)),
    }
}

/// What a person can do about a refusal.
fn remedy(refusal: &Refusal, has_payload: bool) -> Option<String> {
    let grant = |party: &Party, kind: &KindName, may| {
        let (key, name) = match party {
            Party::Upstream(name) => ("upstream", name.to_string()),
            party => ("participant", party.to_string()),
        };
        format!("If it should: a [[grant]] with {key} = \"{name}\", kind = \"{kind}\", may = [\"{may}\"].")
    };
    Some(match refusal {
        Refusal::Suspended(sender) => format!("When it may call again: rsmev participant resume {sender}"),
        Refusal::UnknownKind { namespace, local } => {
            format!("If it should be known: a [[kind]] with namespace = {namespace:?}, request = {local:?}.")
        }
        Refusal::AccessDenied { party, kind, direction } => match direction {
            Direction::Request => grant(party, kind, "request"),
            Direction::Response => grant(party, kind, "provide"),
        },
        Refusal::RecipientNotFound(NoRecipient::NoRoute(_)) if !has_payload => {
            "Conditions on the payload were compared with nothing: give one with --payload FILE.".to_owned()
        }
        Refusal::RecipientNotFound(NoRecipient::NoRoute(kind)) => {
            format!(
                "A [[route]] of kind {kind:?} without a condition takes what no other does.",
                kind = kind.as_str()
            )
        }
        Refusal::RecipientNotFound(NoRecipient::LocalKind(_)) => {
            "Let the route lead to a participant, or the kind have scope = \"any\".".to_owned()
        }
        _ => return None,
    })
}

fn show(explained: &Explained, out: &mut Out) -> Result<(), Failure> {
    let Explained {
        from,
        kind,
        namespace,
        local,
        ..
    } = explained;
    let what = kind.as_deref().unwrap_or("unknown");
    out.line(format_args!(
        "A request of kind {what} ({{{namespace}}}{local}) from {from}:"
    ))?;
    if kind.is_some() {
        let may = if explained.granted { "may" } else { "may not" };
        out.line(format_args!("  grant    {from} {may} send requests of it"))?;
    }
    for (place, route) in explained.routes.iter().enumerate() {
        let number = place + 1;
        match &route.when {
            None => out.line(format_args!("  route {number}  always: to {}", route.to))?,
            Some(when) => {
                let values = match &route.values[..] {
                    [] => "nothing".to_owned(),
                    values => values
                        .iter()
                        .map(|value| format!("{value:?}"))
                        .collect::<Vec<_>>()
                        .join(", "),
                };
                let outcome = if route.holds { "to" } else { "not to" };
                out.line(format_args!(
                    "  route {number}  when {when:?}: there is {values}, so {outcome} {}",
                    route.to
                ))?;
            }
        }
    }
    match (&explained.recipient, &explained.refusal) {
        (Some(recipient), _) => {
            out.line(format_args!("It goes to {recipient}."))?;
            for why in &explained.waits {
                out.line(format_args!("It waits there: {why}."))?;
            }
        }
        (None, refusal) => {
            out.line(format_args!(
                "It is refused: {}.",
                refusal.as_deref().unwrap_or("nobody gets it")
            ))?;
            if let Some(remedy) = &explained.remedy {
                out.line(remedy)?;
            }
        }
    }
    Ok(())
}
