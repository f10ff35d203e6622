//! Section by section from the effective tree to typed settings.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use engine::names::UpstreamName;
use smev3::client::Endpoint;
use smev3::version::Version;
use vault::Cipher;

use super::{
    Admin, Archive, Keys, Limits, Log, LogFormat, Node, Retention, RetentionRule, RoleGroups, Settings, Smev3, Storage,
    Tls, Upstream, units,
};
use crate::document;
use crate::section::Section;

/// Everything; `None` if a required value is missing or wrong, which the section's report then tells.
pub(super) fn settings(root: &Section<'_>) -> Option<Settings> {
    let node = node(&root.section("node"));
    let keys = keys(&root.section("keys"));
    let storage = storage(&root.section("storage"));
    let smev3 = smev3(&root.section("smev3"));
    let limits = limits(&root.section("limits"));
    let retention = retention(&root.section("retention"));
    let archive = root.has("archive").then(|| archive(&root.section("archive")));
    let archive = match archive {
        None => Some(None),
        Some(archive) => archive.map(Some),
    };
    let admin = admin(&root.section("admin"));
    let log = log(&root.section("log"));
    let incidents = super::incidents::incidents(&root.section("incidents"));
    let notify = super::incidents::notify(&root.section("notify"));
    let upstreams = upstreams(&root.sections("upstream"));
    root.finish();
    Some(Settings {
        node: node?,
        keys: keys?,
        storage: storage?,
        smev3: smev3?,
        limits: limits?,
        retention: retention?,
        archive: archive?,
        admin: admin?,
        log: log?,
        incidents: incidents?,
        notify: notify?,
        upstreams: upstreams?,
    })
}

fn node(section: &Section<'_>) -> Option<Node> {
    let mnemonic = section.required("mnemonic", |node| node.text()?.parse().map_err(shown));
    let name = section.optional("name", bounded_text);
    let data_dir = section.required("data_dir", path);
    section.finish();
    let mnemonic: engine::names::Mnemonic = mnemonic?;
    Some(Node {
        name: name.unwrap_or_else(|| mnemonic.to_string()),
        mnemonic,
        data_dir: data_dir?,
    })
}

fn keys(section: &Section<'_>) -> Option<Keys> {
    let provider = section.required("provider", |node| match node.text()? {
        "software" => Ok(()),
        other => Err(format!("there is no key provider {other:?}; there is \"software\"")),
    });
    let private_key = section.required("private_key", path);
    let certificate = section.required("certificate", path);
    section.finish();
    provider?;
    Some(Keys {
        private_key: private_key?,
        certificate: certificate?,
    })
}

fn storage(section: &Section<'_>) -> Option<Storage> {
    let encryption = section.required("encryption", |node| match node.text()? {
        "none" => Ok(None),
        name => name.parse().map(Some).map_err(|_| {
            let known = Cipher::ALL.map(|cipher| format!("{:?}", cipher.name())).join(", ");
            format!("must be {known} or \"none\", not {name:?}")
        }),
    });
    let master_key = section.optional("master_key", path);
    let clock_trusted_for = section.required("clock_trusted_for", positive_duration);
    section.finish();
    Some(Storage {
        encryption: encryption?,
        master_key,
        clock_trusted_for: clock_trusted_for?,
    })
}

fn smev3(section: &Section<'_>) -> Option<Smev3> {
    let listen = section.required("listen", address);
    let public_url = section.optional("public_url", url);
    let tls = section.has("tls").then(|| tls(&section.section("tls")));
    let tls = match tls {
        None => Some(None),
        Some(tls) => tls.map(Some),
    };
    let redelivery = section.required("redelivery", positive_duration);
    let stale_after = section.required("stale_after", positive_duration);
    let future_skew = section.required("future_skew", duration);
    let timestamp_window = section.required("timestamp_window", positive_duration);
    let message_ttl = section.required("message_ttl", positive_duration);
    let head_timeout = section.required("head_timeout", positive_duration);
    let body_rate = section.required("body_rate", positive_size);
    let translate = section.required("translate", |node| match node.text()? {
        "always" => Ok(true),
        "refuse" => Ok(false),
        other => Err(format!("must be \"always\" or \"refuse\", not {other:?}")),
    });
    section.finish();
    let (listen, tls) = (listen?, tls?);
    let scheme = if tls.is_some() { "https" } else { "http" };
    Some(Smev3 {
        public_url: public_url
            .unwrap_or_else(|| format!("{scheme}://{listen}"))
            .trim_end_matches('/')
            .to_owned(),
        listen,
        tls,
        redelivery: redelivery?,
        stale_after: stale_after?,
        future_skew: future_skew?,
        timestamp_window: timestamp_window?,
        message_ttl: message_ttl?,
        translate: translate?,
        head_timeout: head_timeout?,
        body_rate: body_rate?,
    })
}

fn tls(section: &Section<'_>) -> Option<Tls> {
    let certificate = section.required("certificate", path);
    let private_key = section.required("private_key", path);
    let client_ca = section.optional("client_ca", path);
    section.finish();
    Some(Tls {
        certificate: certificate?,
        private_key: private_key?,
        client_ca,
    })
}

fn limits(section: &Section<'_>) -> Option<Limits> {
    let body_bytes = section.required("body_bytes", positive_size);
    let attachments_bytes = section.required("attachments_bytes", size);
    let in_flight_bytes = section.required("in_flight_bytes", positive_size);
    let connections = section.required("connections", |node| match count(node)? {
        0 => Err("must be more than 0".to_owned()),
        connections => Ok(connections),
    });
    let connections_per_address = section.required("connections_per_address", count);
    let requests_per_second = section.required("requests_per_second", rate);
    let requests_per_second_per_address = section.required("requests_per_second_per_address", rate);
    let requests_burst = section.required("requests_burst", duration);
    let queue_messages = section.required("queue_messages", positive);
    let queue_bytes = section.required("queue_bytes", positive_size);
    let disk_reserve = section.optional("disk_reserve", size);
    let inode_reserve = section.optional("inode_reserve", document::Node::integer);
    section.finish();
    let (body, flight) = (body_bytes?, in_flight_bytes?);
    if flight < in_flight_least(body) {
        section.problem(
            "in_flight_bytes",
            format!(
                "must be at least {}: twice body_bytes, so that one body can arrive while another is worked on",
                engine::units::show_size(in_flight_least(body))
            ),
        );
    }
    Some(Limits {
        body_bytes: body,
        attachments_bytes: attachments_bytes?,
        in_flight_bytes: flight,
        connections: connections?,
        connections_per_address: connections_per_address?,
        requests_per_second: requests_per_second?,
        requests_per_second_per_address: requests_per_second_per_address?,
        requests_burst: requests_burst?,
        queue_messages: queue_messages?,
        queue_bytes: queue_bytes?,
        disk_reserve,
        inode_reserve,
    })
}

/// More connections than any system gives file descriptors.
const MOST_CONNECTIONS: u64 = 1_000_000;

fn count(node: &document::Node) -> Result<usize, String> {
    let most = MOST_CONNECTIONS;
    let fits = |count: &u64| *count <= most;
    let count = Some(node.integer()?)
        .filter(fits)
        .and_then(|count| usize::try_from(count).ok());
    count.ok_or_else(|| format!("must be at most {most}"))
}

/// Calls in a second; more than a microsecond apart, so that they can be told apart.
fn rate(node: &document::Node) -> Result<u32, String> {
    const MOST: u64 = 1_000_000;
    let rate = Some(node.integer()?).filter(|rate| *rate <= MOST);
    rate.and_then(|rate| u32::try_from(rate).ok())
        .ok_or_else(|| format!("must be at most {MOST}"))
}

/// Room for the octets of two of the largest bodies. Their trees may need more: who does claims it.
fn in_flight_least(body_bytes: u64) -> u64 {
    body_bytes.saturating_mul(2)
}

fn retention(section: &Section<'_>) -> Option<Retention> {
    let bodies = section.required("bodies", duration);
    let journal = section.required("journal", |node| match duration(node)? {
        term if term >= SHORTEST_JOURNAL => Ok(term),
        _ => {
            Err("must be at least \"1095d\": records are kept for three years before they may be destroyed".to_owned())
        }
    });
    let rules: Vec<_> = section.sections("rule").iter().map(retention_rule).collect();
    section.finish();
    Some(Retention {
        bodies: bodies?,
        journal: journal?,
        rules: rules.into_iter().collect::<Option<_>>()?,
    })
}

/// Three years: what the law asks of a region's own system before anything may be destroyed.
const SHORTEST_JOURNAL: Duration = Duration::from_hours(1095 * 24);

fn retention_rule(section: &Section<'_>) -> Option<RetentionRule> {
    let kind = section.optional("kind", |node| node.text()?.parse().map_err(shown));
    let participant = section.optional("participant", |node| node.text()?.parse().map_err(shown));
    let bodies = section.required("bodies", duration);
    if !section.has("kind") && !section.has("participant") {
        section.problem(
            "bodies",
            "name a kind or a participant; [retention] bodies is for all others",
        );
    }
    section.finish();
    Some(RetentionRule {
        kind,
        participant,
        bodies: bodies?,
    })
}

fn archive(section: &Section<'_>) -> Option<Archive> {
    let command = section.required("command", |node| {
        let words = node.texts()?;
        match words.first() {
            Some(program) if program.starts_with('/') => Ok(words),
            _ => Err("must begin with the absolute path of a program; there is no shell".to_owned()),
        }
    });
    let or = |key, default| match section.has(key) {
        true => section.required(key, positive_duration),
        false => Some(default),
    };
    let timeout = or("timeout", Duration::from_mins(10));
    let seal_after = or("seal_after", Duration::from_hours(24));
    let alarm_after = or("alarm_after", Duration::from_hours(1));
    section.finish();
    let mut command = command?.into_iter();
    Some(Archive {
        program: command.next()?,
        arguments: command.collect(),
        timeout: timeout?,
        seal_after: seal_after?,
        alarm_after: alarm_after?,
    })
}

fn admin(section: &Section<'_>) -> Option<Admin> {
    let listen = section.required("listen", address);
    let socket = section.required("socket", path);
    let roles = roles(&section.section("roles"));
    section.finish();
    Some(Admin {
        listen: listen?,
        socket: socket?,
        roles: roles?,
    })
}

fn roles(section: &Section<'_>) -> Option<RoleGroups> {
    let operator = section.required("operator", group);
    let registrar = section.required("registrar", group);
    let auditor = section.required("auditor", group);
    let are_set = *section.origin() != document::Origin::Default;
    section.finish();
    Some(RoleGroups {
        are_set,
        operator: operator?,
        registrar: registrar?,
        auditor: auditor?,
    })
}

/// The name of a group, as far as it can be told without the account database: directories have long ones, with spaces.
fn group(node: &document::Node) -> Result<String, String> {
    match node.text()? {
        "" => Err("must be the name of a group".to_owned()),
        name if name.chars().count() > 256 || name.contains([':', ',', '/']) || name.contains(char::is_control) => {
            Err(format!("{name:?} is not the name of a group"))
        }
        name => Ok(name.to_owned()),
    }
}

fn log(section: &Section<'_>) -> Option<Log> {
    let format = section.required("format", |node| match node.text()? {
        "auto" => Ok(LogFormat::Auto),
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        "journald" => Ok(LogFormat::Journald),
        other => Err(format!(
            "must be \"auto\", \"text\", \"json\" or \"journald\", not {other:?}"
        )),
    });
    let level = section.required("level", |node| {
        let level = node.text()?;
        crate::logging::filter(level)?;
        Ok(level.to_owned())
    });
    section.finish();
    Some(Log {
        format: format?,
        level: level?,
    })
}

fn upstreams(sections: &[Section<'_>]) -> Option<Vec<Upstream>> {
    let upstreams: Vec<_> = sections.iter().map(upstream).collect();
    for (index, (name, _)) in upstreams.iter().enumerate() {
        let taken = |(earlier, _): &(Option<UpstreamName>, _)| earlier == name;
        if let Some(name) = name
            && upstreams[..index].iter().any(taken)
        {
            sections[index].problem("name", format!("there is an upstream {name} already"));
        }
    }
    upstreams.into_iter().map(|(_, upstream)| upstream).collect()
}

/// The name by itself, so that a name that comes twice is found whatever else is wrong.
fn upstream(section: &Section<'_>) -> (Option<UpstreamName>, Option<Upstream>) {
    let name = section.required("name", |node| node.text()?.parse().map_err(shown));
    let upstream = link(section, name.clone());
    section.finish();
    (name, upstream)
}

/// Bounds of an upstream's `timeout`: shorter, and a busy bus looks like one that is down; longer, and a lane hangs on
/// a call whose answer nobody will send.
const SHORTEST_TIMEOUT: Duration = Duration::from_secs(1);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(600);

fn link(section: &Section<'_>, name: Option<UpstreamName>) -> Option<Upstream> {
    let url = section.required("url", |node| match url(node)? {
        // What TLS needs is set up when the link starts; everything else can be told now.
        url if is_https(&url) => Ok(url),
        url => Endpoint::parse(&url, None).map(|_| url).map_err(shown),
    });
    let ca = section.optional("ca", path);
    if ca.is_some() && url.as_deref().is_some_and(|url| !is_https(url)) {
        section.problem("ca", "is of use only where url begins with https://");
    }
    let timeout = section.optional("timeout", |node| match duration(node)? {
        time if (SHORTEST_TIMEOUT..=LONGEST_TIMEOUT).contains(&time) => Ok(time),
        _ => Err("must be from 1s to 10m".to_owned()),
    });
    let version = section.optional("version", |node| match node.text()? {
        "1.1" => Ok(Version::V1_1),
        "1.2" => Ok(Version::V1_2),
        "1.3" => Ok(Version::V1_3),
        other => Err(format!("must be \"1.1\", \"1.2\" or \"1.3\", not {other:?}")),
    });
    let trusted_signers = section.required("trusted_signers", |node| {
        let paths: Vec<_> = node.texts()?.into_iter().map(PathBuf::from).collect();
        if paths.is_empty() {
            return Err(
                "must name at least one certificate; answers that nobody vouches for are not accepted".to_owned(),
            );
        }
        Ok(paths)
    });
    let poll = section.section("poll");
    let min = poll
        .optional("min", positive_duration)
        .unwrap_or(Duration::from_millis(200));
    let max = poll
        .optional("max", positive_duration)
        .unwrap_or(Duration::from_secs(10).max(min));
    poll.finish();
    if min > max {
        section.problem("poll", "min is longer than max");
    }
    let parallel = section.optional("parallel", |node| match positive(node)? {
        lanes @ 1..=1024 => usize::try_from(lanes).map_err(shown),
        _ => Err("must be from 1 to 1024".to_owned()),
    });
    Some(Upstream {
        name: name?,
        url: url?,
        version: version.unwrap_or(Version::V1_2),
        ca,
        trusted_signers: trusted_signers?,
        timeout: timeout.unwrap_or(Duration::from_secs(60)),
        poll: (min, max),
        parallel: parallel.unwrap_or(16),
    })
}

pub(super) fn shown(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn bounded_text(node: &document::Node) -> Result<String, String> {
    let text = node.text()?;
    if text.is_empty() || text.chars().count() > 500 {
        return Err("must have 1 to 500 characters".to_owned());
    }
    Ok(text.to_owned())
}

pub(super) fn path(node: &document::Node) -> Result<PathBuf, String> {
    match node.text()? {
        "" => Err("must be a path".to_owned()),
        text => Ok(PathBuf::from(text)),
    }
}

fn address(node: &document::Node) -> Result<SocketAddr, String> {
    let text = node.text()?;
    text.parse()
        .map_err(|_| format!("{text:?} is not an address and port such as \"127.0.0.1:7500\""))
}

pub(super) fn url(node: &document::Node) -> Result<String, String> {
    let text = node.text()?;
    let uri: hyper::Uri = text.parse().map_err(|_| format!("{text:?} is not a URL"))?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(_)) => Ok(text.to_owned()),
        _ => Err(format!("{text:?} must begin with http:// or https:// and name a host")),
    }
}

/// Whether a URL is called over TLS.
pub(crate) fn is_https(url: &str) -> bool {
    url.get(..8)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
}

fn duration(node: &document::Node) -> Result<Duration, String> {
    units::duration(node.text()?)
}

pub(super) fn positive_duration(node: &document::Node) -> Result<Duration, String> {
    match duration(node)? {
        Duration::ZERO => Err("must be longer than nothing".to_owned()),
        duration => Ok(duration),
    }
}

fn size(node: &document::Node) -> Result<u64, String> {
    units::size(
        node.text()
            .map_err(|text| format!("{text}; write it with its unit, such as \"8 MiB\""))?,
    )
}

fn positive_size(node: &document::Node) -> Result<u64, String> {
    match size(node)? {
        0 => Err("must be more than 0".to_owned()),
        size => Ok(size),
    }
}

pub(super) fn positive(node: &document::Node) -> Result<u64, String> {
    match node.integer()? {
        0 => Err("must be more than 0".to_owned()),
        number => Ok(number),
    }
}
