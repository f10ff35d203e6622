//! A region around an installed gateway.

use std::net::SocketAddr;

use emulator::{Clock, Emulator, Identity, Participant, Version};

use crate::common::{
    CONSUMER, EGRN, GATEWAY, PROVIDER, SPRAVKA, answered_text, bus, echo, identity, request, send, take_response,
};
use crate::system::System;

/// The region around the installed gateway.
pub(crate) struct Region {
    bus: Emulator,
    pub(crate) consumer: Participant,
    pub(crate) provider: Participant,
}

/// The bus, and the files that name it and the participants in the system's `/root`.
pub(crate) async fn region(system: &System, door: SocketAddr) -> Region {
    let (key, certificate) = ("/etc/rsmev/keys/gateway.key", "/etc/rsmev/keys/gateway.crt");
    let gateway = Identity::from_pem(GATEWAY, &system.read(key), &system.read(certificate)).unwrap();
    let bus = bus(&gateway, Clock::default()).await;
    let (consumer, provider) = (identity(CONSUMER), identity(PROVIDER));
    let write = |file: &str, text: &str| std::fs::write(system.path("/root").join(file), text).unwrap();
    write("bus.crt", &bus.certificate().to_pem());
    write("consumer.crt", &consumer.certificate().to_pem());
    write("provider.crt", &provider.certificate().to_pem());
    let registry = format!(
        r#"
participant = [
    {{ mnemonic = "{CONSUMER}", name = "Администрация", certificates = ["consumer.crt"] }},
    {{ mnemonic = "{PROVIDER}", name = "ГИСОГД", certificates = ["provider.crt"] }},
]
kind = [
    {{ name = "spravka", namespace = "{SPRAVKA}", request = "Request", response = "Response" }},
    {{ name = "egrn", namespace = "{EGRN}", request = "Request", response = "Response" }},
]
grant = [
    {{ participant = "{CONSUMER}", kind = "spravka", may = ["request"] }},
    {{ participant = "{PROVIDER}", kind = "spravka", may = ["provide"] }},
    {{ participant = "{CONSUMER}", kind = "egrn", may = ["request"] }},
    {{ upstream = "federal", kind = "egrn", may = ["provide"] }},
]
route = [
    {{ kind = "spravka", to = "{PROVIDER}" }},
    {{ kind = "egrn", upstream = "federal" }},
]
"#
    );
    write("region.toml", &registry);
    let url = format!("http://{door}/smev/v1.2/ws");
    let known = gateway.certificate();
    let system = |identity| Participant::new(identity, Version::V1_2, &url, known.clone()).unwrap();
    Region {
        bus,
        consumer: system(consumer),
        provider: system(provider),
    }
}

pub(crate) fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

pub(crate) fn set_up(system: &System, door: SocketAddr, admin: SocketAddr) {
    let (door, admin) = (door.to_string(), admin.to_string());
    let told = system.rsmev(&[
        "setup",
        "--yes",
        "--mnemonic",
        GATEWAY,
        "--test-key",
        "--listen",
        &door,
        "--admin-listen",
        &admin,
        "--public-url",
        "http://gateway.region:7500",
        "--no-upstream",
    ]);
    assert!(told.contains("the federal bus does not accept"), "{told}");
    assert_eq!(system.rights("/etc/rsmev/keys/gateway.key"), "root:root 600");
    assert_eq!(system.rights("/etc/rsmev/keys/master.key"), "root:root 600");
    let drop_in = system.read("/etc/systemd/system/rsmev.socket.d/listen.conf");
    assert!(drop_in.contains(&format!("ListenStream={door}")), "{drop_in}");
}

/// The upstream comes when the bus knows the gateway.
pub(crate) fn join(system: &System, region: &Region) {
    let url = region.bus.url(Version::V1_2);
    let told = system.rsmev(&[
        "setup",
        "--yes",
        "--upstream",
        &url,
        "--upstream-signer",
        "/root/bus.crt",
    ]);
    assert!(told.contains("it answers in"), "{told}");
    system.rsmev(&["check"]);
}

/// Exchange within the region and through the bus; the identifier of a request that still waits.
pub(crate) async fn exchange(system: &System, region: &Region) -> String {
    system.rsmev(&["registry", "apply", "/root/region.toml"]);
    send(&region.consumer, request(SPRAVKA, "в регионе")).await;
    echo(&region.provider).await;
    assert_eq!(answered_text(&take_response(&region.consumer).await), "в регионе");
    send(&region.consumer, request(EGRN, "в центр")).await;
    assert_eq!(answered_text(&take_response(&region.consumer).await), "в центр");
    send(&region.consumer, request(SPRAVKA, "переживёт обновление")).await
}
