//! The registry as data: who takes part, which kinds exist, who may do what, where messages go (DESIGN §7, §10).
//!
//! A `Registry` is an immutable picture. The engine publishes a new one whenever a registry change is committed; doors
//! look certificates and kinds up in it without asking the writer.

mod admission;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use gost::CertificateId;
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::command::PayloadRoot;
use crate::halts::Halts;
use crate::names::{KindName, Mnemonic, Party, UpstreamName};

/// A connected system (участник, ИС).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Participant {
    /// Unique key.
    pub mnemonic: Mnemonic,
    /// Human-readable name, at most 500 characters.
    pub name: String,
    /// ОКТМО of the territory, if given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oktmo: Option<String>,
    /// Pinned certificates by content; the DER files lie under `data_dir/registry/`.
    pub certificates: Vec<CertificateRef>,
    /// Networks (CIDR) calls may come from; empty = from anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
}

/// A pinned certificate: its content address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertificateRef(pub CertificateId);

impl Serialize for CertificateRef {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for CertificateRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map(Self)
            .map_err(|_| de::Error::custom("a certificate id is 64 hexadecimal digits"))
    }
}

/// Where messages of a kind may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Anywhere a route leads.
    #[default]
    Any,
    /// Never out of the region.
    Local,
}

/// A kind (вид сведений): a registered payload type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kind {
    /// Unique key, used in metrics, grants and routes.
    pub name: KindName,
    /// Namespace of the payload's root elements.
    pub namespace: String,
    /// Local name of the request's root element.
    pub request: String,
    /// Local name of the response's root element.
    pub response: String,
    /// Where it may go.
    #[serde(default)]
    pub scope: Scope,
    /// Payload schema, if the kind has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Schema>,
}

/// A payload schema as content-addressed files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// The file to start from, a key of `files`.
    pub main: String,
    /// Relative path within the schema's folder → Streebog-256 of the content (hex), the name under `data_dir/registry/`.
    pub files: BTreeMap<String, String>,
}

/// What a grant allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum May {
    /// Send requests of the kind (an upstream: into the region).
    Request,
    /// Provide the kind (an upstream: requests may be sent to it).
    Provide,
}

/// A permission of one party for one kind. Nothing is allowed without one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Whose permission.
    pub party: Party,
    /// For which kind.
    pub kind: KindName,
    /// What is allowed; sorted, without repetition.
    pub may: Vec<May>,
}

/// The condition of a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// The text of the first element that the path finds in the payload. Paths are made of local names:
    /// `//A/B` anywhere, `/A/B` from the payload's root.
    Payload {
        /// The path as written in the registry file.
        path: String,
        /// What the value must be.
        test: Test,
    },
    /// A value of 1.3 DynamicRouting.
    Dynamic(Test),
    /// A value of 1.3 IdentifierRouting.
    Identifier(Test),
}

/// A test of a text value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// There is a value at all.
    Present,
    /// The value begins with this text.
    Prefix(String),
    /// The value is this text.
    Equals(String),
}

/// Leads a kind to a destination; the first route whose condition holds is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Which kind.
    pub kind: KindName,
    /// When; `None` always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Condition>,
    /// To whom.
    pub to: Party,
}

/// Its key: the kind and the condition, without where it leads.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.when {
            None => write!(f, "{}", self.kind),
            Some(when) => write!(f, "{} when {when}", self.kind),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Payload { path, test } => write!(f, "{path} {test}"),
            Self::Dynamic(test) => write!(f, "dynamic {test}"),
            Self::Identifier(test) => write!(f, "identifier {test}"),
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Present => f.write_str("present"),
            Self::Prefix(text) => write!(f, "prefix {text}"),
            Self::Equals(text) => write!(f, "equals {text}"),
        }
    }
}

/// The registry's whole content; what a registry event carries and what `registry export` writes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryContent {
    /// By mnemonic.
    #[serde(deserialize_with = "participants")]
    pub participants: BTreeMap<Mnemonic, Participant>,
    /// By name.
    #[serde(deserialize_with = "kinds")]
    pub kinds: BTreeMap<KindName, Kind>,
    /// Sorted by party and kind.
    pub grants: Vec<Grant>,
    /// In the order in which they are tried.
    pub routes: Vec<Route>,
}

/// Reads participants, each under its own mnemonic: one under another would be there and not be found.
fn participants<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<Mnemonic, Participant>, D::Error> {
    let read = BTreeMap::<Mnemonic, Participant>::deserialize(deserializer)?;
    match read.iter().find(|(key, participant)| **key != participant.mnemonic) {
        None => Ok(read),
        Some((key, _)) => Err(de::Error::custom(format!("another participant stands under {key}"))),
    }
}

/// Reads kinds, each under its own name.
fn kinds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<KindName, Kind>, D::Error> {
    let read = BTreeMap::<KindName, Kind>::deserialize(deserializer)?;
    match read.iter().find(|(key, kind)| **key != kind.name) {
        None => Ok(read),
        Some((key, _)) => Err(de::Error::custom(format!("another kind stands under {key}"))),
    }
}

/// The registry with its look-up tables.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    content: RegistryContent,
    by_certificate: HashMap<CertificateId, Mnemonic>,
    by_root: HashMap<(String, String), (KindName, Direction)>,
    permissions: HashMap<Party, HashSet<(KindName, May)>>,
    routes: HashMap<KindName, Vec<usize>>,
    halts: Halts,
}

/// Which of a kind's two root elements a payload has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The request's root.
    Request,
    /// The response's root.
    Response,
}

impl Registry {
    /// Builds the look-up tables.
    pub fn new(content: RegistryContent) -> Self {
        let by_certificate = content
            .participants
            .values()
            .flat_map(|p| p.certificates.iter().map(|c| (c.0, p.mnemonic.clone())))
            .collect();
        let mut by_root = HashMap::new();
        for kind in content.kinds.values() {
            by_root.insert(
                (kind.namespace.clone(), kind.response.clone()),
                (kind.name.clone(), Direction::Response),
            );
            by_root.insert(
                (kind.namespace.clone(), kind.request.clone()),
                (kind.name.clone(), Direction::Request),
            );
        }
        let mut permissions: HashMap<Party, HashSet<(KindName, May)>> = HashMap::new();
        for grant in &content.grants {
            let allowed = permissions.entry(grant.party.clone()).or_default();
            allowed.extend(grant.may.iter().map(|may| (grant.kind.clone(), *may)));
        }
        let mut routes: HashMap<KindName, Vec<usize>> = HashMap::new();
        for (place, route) in content.routes.iter().enumerate() {
            routes.entry(route.kind.clone()).or_default().push(place);
        }
        Self {
            content,
            by_certificate,
            by_root,
            permissions,
            routes,
            halts: Halts::default(),
        }
    }

    /// The same with what operators have brought to a halt, which no registry file says.
    #[must_use]
    pub fn with_halts(self, halts: Halts) -> Self {
        Self { halts, ..self }
    }

    /// What operators have brought to a halt.
    pub fn halts(&self) -> &Halts {
        &self.halts
    }

    /// Everything in it.
    pub fn content(&self) -> &RegistryContent {
        &self.content
    }

    /// The participant to whom a certificate is pinned.
    pub fn participant_by_certificate(&self, id: &CertificateId) -> Option<&Participant> {
        self.content.participants.get(self.by_certificate.get(id)?)
    }

    /// A participant by mnemonic.
    pub fn participant(&self, mnemonic: &Mnemonic) -> Option<&Participant> {
        self.content.participants.get(mnemonic)
    }

    /// A kind by name.
    pub fn kind(&self, name: &KindName) -> Option<&Kind> {
        self.content.kinds.get(name)
    }

    /// The kind whose request or response has this root element.
    pub fn kind_by_root(&self, namespace: &str, local: &str) -> Option<(&Kind, Direction)> {
        let (name, direction) = self.by_root.get(&(namespace.to_owned(), local.to_owned()))?;
        Some((self.content.kinds.get(name)?, *direction))
    }

    /// Whether a party may do something with a kind.
    pub fn allows(&self, party: &Party, kind: &KindName, may: May) -> bool {
        self.permissions
            .get(party)
            .is_some_and(|allowed| allowed.contains(&(kind.clone(), may)))
    }

    /// Whether this is the root element of a kind's answers (it may be that of its requests as well).
    pub(crate) fn is_response(kind: &Kind, root: &PayloadRoot) -> bool {
        kind.namespace == root.namespace && kind.response == root.local
    }

    /// Routes of a kind in the order in which they are tried.
    pub fn routes(&self, kind: &KindName) -> impl Iterator<Item = &Route> {
        let places = self.routes.get(kind).map_or(&[][..], Vec::as_slice);
        places.iter().filter_map(|place| self.content.routes.get(*place))
    }

    /// The payload paths that routes of a kind ask about; a door evaluates them and hands the values over in
    /// [`RoutingFacts`](crate::command::RoutingFacts).
    pub fn payload_paths(&self, kind: &KindName) -> impl Iterator<Item = &str> {
        self.routes(kind).filter_map(|route| match &route.when {
            Some(Condition::Payload { path, .. }) => Some(path.as_str()),
            _ => None,
        })
    }

    /// Upstreams that grants or routes name.
    pub fn upstreams(&self) -> impl Iterator<Item = &UpstreamName> {
        let routes = self.content.routes.iter().map(|r| &r.to);
        let grants = self.content.grants.iter().map(|g| &g.party);
        routes.chain(grants).filter_map(|party| match party {
            Party::Upstream(name) => Some(name),
            _ => None,
        })
    }
}
