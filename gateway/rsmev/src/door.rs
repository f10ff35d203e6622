//! From settings to the SMEV 3 door.

use std::net::TcpListener;
use std::sync::Arc;

use engine::Engine;
use smev3::answer::Author;
use smev3::door::{Door, Rate, Tls, Translate};

use crate::failure::Failure;
use crate::keys::Identity;
use crate::settings::Settings;

/// Listens at `smev3.listen`, with the socket that is held open for it if there is one; connections wait until the door is
/// served.
pub(crate) async fn bind(
    settings: &Settings,
    held_open: Option<TcpListener>,
    engine: &Engine,
    identity: &Identity,
) -> Result<Door, Failure> {
    let author = Author {
        mnemonic: settings.node.mnemonic.clone(),
        name: settings.node.name.clone(),
        signer: Arc::clone(&identity.signer),
        certificate: identity.certificate.clone(),
    };
    let (door, engine) = (door_settings(settings), engine.clone());
    let opened = match held_open {
        Some(listener) => Door::on(listener, door, engine, author),
        None => Door::bind(door, engine, author).await,
    };
    opened.map_err(|error| {
        Failure::refused(match error.kind() {
            std::io::ErrorKind::InvalidInput => format!("smev3.tls: {error}"),
            _ => format!("smev3.listen {error}"),
        })
    })
}

fn door_settings(settings: &Settings) -> smev3::door::Settings {
    let (smev3, limits) = (&settings.smev3, &settings.limits);
    let mut door = smev3::door::Settings::new(smev3.listen, smev3.public_url.clone());
    door.timestamp_window = smev3.timestamp_window;
    door.translate = if smev3.translate {
        Translate::Always
    } else {
        Translate::Refuse
    };
    door.head_timeout = smev3.head_timeout;
    door.body_rate = smev3.body_rate;
    door.body_bytes = limits.body_bytes;
    door.attachments_bytes = limits.attachments_bytes;
    door.in_flight_bytes = limits.in_flight_bytes;
    door.connections = limits.connections;
    door.connections_per_address = limits.connections_per_address;
    let rate = |per_second| Rate {
        per_second,
        burst: limits.requests_burst,
    };
    door.participant_rate = rate(limits.requests_per_second);
    door.address_rate = rate(limits.requests_per_second_per_address);
    door.tls = tls(settings);
    door
}

/// The files of the door's TLS, if it is to speak it.
pub(crate) fn tls(settings: &Settings) -> Option<Tls> {
    settings.smev3.tls.as_ref().map(|tls| Tls {
        certificate: tls.certificate.clone(),
        private_key: tls.private_key.clone(),
        client_ca: tls.client_ca.clone(),
    })
}
