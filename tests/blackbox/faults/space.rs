//! A disk that others fill.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::machine::SmallDisk;
use super::{condition, incident, incidents};
use crate::common::{
    CONSUMER, EGRN, PROVIDER, SOON, SPRAVKA, World, assert_journal_whole, emptied, journal, queues, refused, request,
    send, take_request, take_response,
};

/// Octets, or files, that somebody else keeps on the disk; gone with this.
struct Ballast(Vec<PathBuf>);

impl Ballast {
    /// Fills the disk until so many octets are free; to the last one if it is 0.
    fn octets(disk: &Path, leave: u64) -> Ballast {
        let path = disk.join("ballast");
        let mut file = File::create(&path).unwrap();
        let piece = vec![1; 64 << 10];
        while free(disk).0 > leave && file.write_all(&piece).is_ok() {}
        Ballast(vec![path])
    }

    /// Fills the disk until so many inodes are free.
    fn files(disk: &Path, leave: u64) -> Ballast {
        let mut made = Vec::new();
        while free(disk).1 > leave {
            made.push(disk.join(format!("ballast-{}", made.len())));
            File::create(made.last().unwrap()).unwrap();
        }
        Ballast(made)
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        for path in &self.0 {
            std::fs::remove_file(path).unwrap();
        }
    }
}

/// Free octets and inodes.
fn free(disk: &Path) -> (u64, u64) {
    let stat = rustix::fs::statvfs(disk).unwrap();
    (stat.f_bavail * stat.f_frsize, stat.f_favail)
}

/// The gateway's data lie on the small disk.
async fn world_on(disk: &SmallDisk) -> World {
    let data = format!("\"{}\"", disk.path().join("data").display());
    World::start_impatient_with(|builder| {
        builder
            .setting("node", "data_dir", &data)
            .setting("limits", "disk_reserve", "\"80 MB\"")
    })
    .await
}

#[tokio::test]
async fn on_a_disk_that_fills_up_nothing_new_is_accepted_the_rest_goes_on_and_intake_resumes() {
    let Some(disk) = SmallDisk::mount("size=500m,nr_inodes=5000") else {
        return;
    };
    let World { bus, region } = world_on(&disk).await;
    let world = World { bus, region };
    let (consumer, provider) = (world.system(CONSUMER), world.system(PROVIDER));
    let region = &world.region;
    let process = region.pid();
    for (leave_octets, leave_files) in [(Some(79_000_000), None), (None, Some(499)), (Some(0), None)] {
        world.bus.go_down().await;
        let local = send(&consumer, request(SPRAVKA, "до нехватки места")).await;
        send(&consumer, request(EGRN, "до нехватки места")).await;
        let ballast = match (leave_octets, leave_files) {
            (Some(octets), _) => Ballast::octets(disk.path(), octets),
            (_, files) => Ballast::files(disk.path(), files.unwrap_or(0)),
        };
        let message = condition(region, "disk", false).await;
        let named = if leave_files.is_some() {
            "inode_reserve"
        } else {
            "disk_reserve"
        };
        assert!(message.contains(named), "{message}");
        let call = consumer
            .sign_request(&consumer.new_request(request(SPRAVKA, "мимо")))
            .unwrap();
        assert_eq!(refused(&consumer, &call).await.element, "SMEVFailure");

        // What is there goes its way.
        assert_eq!(take_request(&provider).await.data.message_id, local);
        world.bus.come_back().await.unwrap();
        emptied(region).await;
        let metrics = region.metrics().await.unwrap();
        assert!(metrics.count("incidents_total", &[("kind", "disk_low")]) > 0);

        drop(ballast);
        condition(region, "disk", true).await;
        region
            .wait_metrics("room again", SOON, |metrics| {
                metrics.count("disk_free_bytes", &[]) > 80_000_000
            })
            .await
            .unwrap();
        // The bus had the answer for as long as nothing was pulled.
        take_response(&consumer).await;
        let id = send(&consumer, request(SPRAVKA, "снова")).await;
        assert_eq!(take_request(&provider).await.data.message_id, id);
    }
    assert!(incident(region, "disk_low").await.contains("nothing new is accepted"));
    assert_eq!(
        incidents(region).await,
        ["disk_low", "disk_recovered"],
        "the others came within ten minutes"
    );
    assert!(region.log().contains("disk_recovered"), "{}", region.log());
    assert_eq!(region.pid(), process, "all in one life");
    assert!(queues(region).await.is_empty() && !journal(region, &["--type", "accepted"]).await.is_empty());
    assert_journal_whole(region).await;
}
