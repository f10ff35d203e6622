//! When the newest backup was made is shown by the running gateway.

use crate::common::local_region;

#[tokio::test]
async fn the_gateway_shows_when_it_was_last_backed_up() {
    let mut region = local_region().start().await.unwrap();
    let last = async |region: &harness::Region| {
        let metrics = region.metrics().await.unwrap();
        metrics.value("backup_last_timestamp_seconds", &[]).unwrap()
    };
    assert_eq!(last(&region).await, 0.0, "none was made");
    let folder = region.dir().join("backups").display().to_string();
    let made = region.command(&["backup", "create", &folder]).await.unwrap();
    made.success().unwrap();
    let known = last(&region).await;
    assert!(known > 1.7e9, "{known}");
    region.restart().await.unwrap();
    assert_eq!(last(&region).await, known, "a restart forgets nothing");
}
