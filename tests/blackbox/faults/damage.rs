//! Files that are not what was written.

use std::path::Path;

use super::incident;
use crate::common::{
    CONSUMER, EGRN, PROVIDER, SPRAVKA, World, assert_journal_whole, assert_no_request, emptied, eventually,
    local_region, quarantine, request, send, system, take_request, take_response,
};
use harness::{HarnessError, Region};

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

/// Changes one octet of sled's files, the `place`th of so many in equal distances: where.
fn flip_index(data: &Path, place: usize, places: usize) -> String {
    let mut written = Vec::new();
    for entry in std::fs::read_dir(data.join("index")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let octets = std::fs::read(&path).unwrap();
            let said = octets.iter().enumerate().filter(|(_, octet)| **octet != 0);
            written.extend(said.map(|(at, _)| (path.clone(), at)));
        }
    }
    written.sort();
    let (path, at) = &written[place * written.len() / places];
    let mut octets = std::fs::read(path).unwrap();
    octets[*at] ^= 1 << (place % 8);
    std::fs::write(path, octets).unwrap();
    format!("octet {at} of {}", path.display())
}

/// Starts the gateway as a supervisor does: again, when it ended by itself.
async fn supervised(region: &mut Region) {
    for _ in 0..3 {
        match region.start().await {
            Ok(()) => return,
            Err(HarnessError::Ended { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
    panic!("it does not stay up");
}

#[tokio::test]
async fn flipped_octets_in_sleds_files_heal_by_themselves_and_nothing_is_lost() {
    const PLACES: usize = 16;
    let mut region = local_region().start().await.unwrap();
    let mut sent = Vec::new();
    for number in 0..20 {
        sent.push(send(&system(&region, CONSUMER), request(SPRAVKA, &number.to_string())).await);
    }
    let name = format!("{PROVIDER}/requests");
    for place in 0..PLACES {
        if region.ended().unwrap().is_none() {
            // In order, or found damaged only now.
            region.stop().await.unwrap();
        }
        region.forget_process();
        let what = flip_index(region.data_dir(), place, PLACES);
        supervised(&mut region).await;
        // What is damaged may be read only now: then it ends, and its supervisor starts it again.
        eventually(&format!("everything waits, with {what} flipped"), async || {
            if region.ended().unwrap().is_some() {
                region.forget_process();
                supervised(&mut region).await;
            }
            let shown = region.json(&["queue", "show", &name]).await.ok()?;
            let ids: Vec<_> = shown.as_array()?.iter().map(|row| row["message_id"].clone()).collect();
            (ids == sent && region.ended().unwrap().is_none()).then_some(())
        })
        .await;
    }
    assert!(incident(&region, "index_rebuilt").await.contains("built anew"));
    assert!(region.log().contains("building the index anew"));
    let provider = system(&region, PROVIDER);
    for id in &sent {
        assert_eq!(take_request(&provider).await.data.message_id, *id);
    }
    assert_no_request(&provider).await;
    assert_journal_whole(&region).await;
}
