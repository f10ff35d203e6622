//! Files that are not what was written.

use std::path::Path;

use super::incident;
use crate::common::{
    CONSUMER, EGRN, PROVIDER, SPRAVKA, World, assert_journal_whole, assert_no_request, emptied, eventually, quarantine,
    request, send, take_request, take_response,
};

/// Changes an octet of what the spool holds of a message; and changes it back when it is called again.
fn flip_body(data: &Path, id: &str) {
    let name = uuid::Uuid::parse_str(id).unwrap();
    for entry in std::fs::read_dir(data.join("spool")).unwrap() {
        let path = entry.unwrap().path();
        let mut octets = std::fs::read(&path).unwrap();
        if let Some(at) = octets.windows(16).position(|window| window == name.as_bytes()) {
            // Behind the head of the record. In place, because the gateway has the file open.
            octets[at + 64] ^= 1;
            let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, &octets[at + 64..=at + 64], at as u64 + 64).unwrap();
            return;
        }
    }
    panic!("the spool has no record of {id}");
}

#[tokio::test]
async fn a_flipped_octet_in_the_spool_puts_that_message_aside_and_the_others_go_on() {
    let world = World::start().await;
    let (region, bus) = (&world.region, &world.bus);
    let (consumer, provider) = (world.system(CONSUMER), world.system(PROVIDER));
    bus.go_down().await;
    let mut local = Vec::new();
    let mut north = Vec::new();
    for text in ["первый", "второй", "третий"] {
        local.push(send(&consumer, request(SPRAVKA, text)).await);
        north.push(send(&consumer, request(EGRN, text)).await);
    }
    flip_body(region.data_dir(), &local[1]);
    flip_body(region.data_dir(), &north[0]);
    assert_eq!(take_request(&provider).await.data.message_id, local[0]);
    assert_eq!(take_request(&provider).await.data.message_id, local[2]);
    assert_no_request(&provider).await;
    bus.come_back().await.unwrap();
    let held = eventually("both are in quarantine", async || {
        let held = quarantine(region).await;
        (held.len() == 2).then_some(held)
    })
    .await;
    for (id, cause) in &held {
        assert!([&local[1], &north[0]].contains(&id), "{held:?}");
        assert!(cause.contains("is damaged at offset"), "{cause}");
    }
    for _ in 0..2 {
        take_response(&consumer).await;
    }
    emptied(region).await;
    assert_eq!(bus.ledger().requests().count(), 2);
    assert!(incident(region, "spool_damaged").await.contains("is damaged at offset"));
    assert!(
        region
            .metrics()
            .await
            .unwrap()
            .count("incidents_total", &[("kind", "spool_damaged")])
            == 2
    );

    // The octets are back, from a backup say.
    flip_body(region.data_dir(), &local[1]);
    let retried = region.command(&["quarantine", "retry", &local[1]]).await.unwrap();
    retried.success().unwrap();
    assert_eq!(take_request(&provider).await.data.message_id, local[1]);
    assert_journal_whole(region).await;
}
