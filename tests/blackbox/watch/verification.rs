//! What `rsmev journal verify` finds is shown by the running gateway.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::common::{CONSUMER, SPRAVKA, journal, local_region, request, send, system};

#[tokio::test]
async fn the_gateway_shows_when_its_journal_was_verified_and_makes_an_incident_of_damage() {
    let mut region = local_region().start().await.unwrap();
    let whole_at = |metrics: &harness::Metrics| metrics.value("journal_verified_timestamp_seconds", &[]).unwrap();
    let failed = |metrics: &harness::Metrics| metrics.value("journal_verification_failed", &[]).unwrap();
    let never = region.metrics().await.unwrap();
    assert_eq!((whole_at(&never), failed(&never)), (0.0, 0.0));

    send(&system(&region, CONSUMER), request(SPRAVKA, "a")).await;
    // A part of it tells nothing of the whole, and neither does a copy.
    let folder = region.data_dir().display().to_string();
    for part in [&["--from", "2"][..], &["--dir", &folder]] {
        let verified = region.command(&[&["journal", "verify"], part].concat()).await.unwrap();
        verified.success().unwrap();
    }
    assert_eq!(whole_at(&region.metrics().await.unwrap()), 0.0);
    let verify = ["journal", "verify"];
    region.command(&verify).await.unwrap().success().unwrap();
    let known = region.metrics().await.unwrap();
    assert!(whole_at(&known) > 1.7e9, "{}", whole_at(&known));

    // An octet of a record changes while the gateway runs.
    let live = live_segment(&region);
    flip(&live);
    let found = region.command(&verify).await.unwrap();
    assert_eq!(found.code, Some(1), "{}", found.stdout);
    let bad = region.metrics().await.unwrap();
    assert_eq!((whole_at(&bad), failed(&bad)), (whole_at(&known), 1.0));

    flip(&live);
    region.restart().await.unwrap();
    let after = region.metrics().await.unwrap();
    assert_eq!(
        (whole_at(&after), failed(&after)),
        (whole_at(&known), 1.0),
        "a restart forgets nothing"
    );
    let incidents = journal(&region, &["--type", "incident"]).await;
    assert!(
        incidents
            .iter()
            .any(|incident| incident["kind"] == "journal_verification"),
        "{incidents:?}"
    );
    region.command(&verify).await.unwrap().success().unwrap();
    let mended = region.metrics().await.unwrap();
    assert_eq!(failed(&mended), 0.0);
    assert!(whole_at(&mended) >= whole_at(&known));
}

/// Changes a bit of the first record, or changes it back.
fn flip(file: &Path) {
    let file = File::options().read(true).write(true).open(file).unwrap();
    let mut octet = [0];
    file.read_exact_at(&mut octet, 40).unwrap();
    file.write_all_at(&[octet[0] ^ 1], 40).unwrap();
}

/// The journal's one file that is not sealed.
fn live_segment(region: &harness::Region) -> PathBuf {
    let files = std::fs::read_dir(region.data_dir().join("journal")).unwrap();
    let mut live = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|of| of == "journal"));
    live.next().unwrap()
}
