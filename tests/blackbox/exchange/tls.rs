//! The door over TLS: an exchange under it, and who is let in where clients need a certificate.

use emulator::{Participant, Selector, Version};
use harness::{Authority, Region, TlsTunnel};

use crate::common::{
    CONSUMER, PROVIDER, SPRAVKA, answered_text, echo, journal, local_region, request, send, system, take_response,
};

/// A participant whose calls leave over TLS.
fn over(tunnel: &TlsTunnel, region: &Region, mnemonic: &str) -> Participant {
    let url = format!("http://{}/smev/v1.2/ws", tunnel.address());
    let identity = region.identity(mnemonic).unwrap().clone();
    Participant::new(identity, Version::V1_2, &url, region.gateway().certificate().clone()).unwrap()
}

#[tokio::test]
async fn a_door_with_a_client_authority_lets_in_only_those_whom_it_vouches_for() {
    let (servers, clients, others) = (
        Authority::new("servers"),
        Authority::new("clients"),
        Authority::new("others"),
    );
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    servers.issue("door").write(folder.path(), "door").unwrap();
    std::fs::write(path("clients.pem"), clients.certificate()).unwrap();
    let tls = format!(
        "{{ certificate = \"{}\", private_key = \"{}\", client_ca = \"{}\" }}",
        path("door.crt"),
        path("door.key"),
        path("clients.pem")
    );
    let region = local_region().setting("smev3", "tls", &tls).start().await.unwrap();

    let known = clients.issue("region");
    let inside = TlsTunnel::towards(region.door(), &servers, Some(&known)).await.unwrap();
    let (consumer, provider) = (over(&inside, &region, CONSUMER), over(&inside, &region, PROVIDER));
    send(&consumer, request(SPRAVKA, "под TLS")).await;
    echo(&provider).await;
    assert_eq!(answered_text(&take_response(&consumer).await), "под TLS");

    let stranger = others.issue("stranger");
    for certificate in [None, Some(&stranger)] {
        let outside = TlsTunnel::towards(region.door(), &servers, certificate).await.unwrap();
        let refused = over(&outside, &region, CONSUMER).get_response(&Selector::any()).await;
        assert!(refused.is_err(), "{certificate:?}");
    }
    let plain = system(&region, CONSUMER).get_response(&Selector::any()).await;
    assert!(plain.is_err(), "the door speaks TLS only");
    // Whom TLS keeps out leaves no trace, and keeps nobody else out.
    assert!(journal(&region, &["--type", "refused"]).await.is_empty());
    assert!(consumer.get_response(&Selector::any()).await.unwrap().is_none());
}
