//! A disk that errs: the system calls of the real gateway are made to fail.

use std::path::{Path, PathBuf};

use harness::Region;

use super::machine::{FragileDisk, Strace};
use super::{condition, incident};
use crate::common::{
    CONSUMER, PROVIDER, SOON, SPRAVKA, assert_journal_whole, eventually, local_region, queue, refused, request, send,
    system, take_request,
};

/// The exit code of a gateway that ended because it cannot keep its promises.
const ENDED: i32 = 3;

/// The live file of a folder of the data: the one that is not sealed, and the last.
fn live(region: &Region, folder: &str, extension: &str) -> PathBuf {
    let files = std::fs::read_dir(region.data_dir().join(folder)).unwrap();
    let paths = files.map(|entry| entry.unwrap().path());
    let live = paths.filter(|path| path.extension().is_some_and(|found| found == extension));
    live.max().expect("there is a live file")
}

/// Sends a message that must not be accepted; the answer is a fault, or none at all.
async fn not_accepted(region: &Region, text: &str) -> String {
    let consumer = system(region, CONSUMER);
    let call = consumer
        .sign_request(&consumer.new_request(request(SPRAVKA, text)))
        .unwrap();
    if let Ok(answer) = consumer.call(&call).await {
        assert!(answer.receipt().is_err(), "a promise on a disk that failed");
    }
    call.message_id
}

#[tokio::test]
async fn no_space_in_the_middle_of_a_write_is_refused_and_the_gateway_goes_on() {
    let region = local_region().start().await.unwrap();
    let (consumer, provider) = (system(&region, CONSUMER), system(&region, PROVIDER));
    let process = region.pid();
    for (folder, extension) in [("journal", "journal"), ("spool", "spool")] {
        let path = live(&region, folder, extension);
        let before = send(&consumer, request(SPRAVKA, "до")).await;
        let Some(strace) = Strace::attach(&region, &path, "pwrite64", "ENOSPC").await else {
            return;
        };
        let call = consumer
            .sign_request(&consumer.new_request(request(SPRAVKA, "нет места")))
            .unwrap();
        assert_eq!(refused(&consumer, &call).await.element, "SMEVFailure");
        strace.detach().await;
        condition(&region, "disk", true).await;
        // Nothing remained of it: the same message is new.
        let receipt = consumer.call(&call).await.unwrap().receipt().unwrap();
        assert_eq!(receipt.message_id, call.message_id);
        assert_eq!(take_request(&provider).await.data.message_id, before);
        assert_eq!(take_request(&provider).await.data.message_id, call.message_id);
    }
    let text = incident(&region, "disk_low").await;
    assert!(text.contains("no space left for"), "{text}");
    assert_eq!(region.pid(), process, "all in one life");
    assert_journal_whole(&region).await;
}

#[tokio::test]
async fn a_write_or_a_sync_that_fails_ends_the_gateway_without_a_promise() {
    for (folder, extension, call, doing) in [
        ("journal", "journal", "pwrite64", "writing"),
        ("journal", "journal", "fdatasync", "syncing"),
        ("spool", "spool", "fdatasync", "syncing"),
    ] {
        let mut region = local_region().start().await.unwrap();
        let kept = send(&system(&region, CONSUMER), request(SPRAVKA, "до")).await;
        let path = live(&region, folder, extension);
        let Some(strace) = Strace::attach(&region, &path, call, "EIO").await else {
            return;
        };
        not_accepted(&region, "мимо").await;
        let status = eventually("the gateway ends by itself", async || region.ended().unwrap()).await;
        assert_eq!(status.code(), Some(ENDED), "{}", region.log());
        strace.detach().await;
        said(&region, doing, &path);
        assert_journal_whole(&region).await;

        region.forget_process();
        region.start().await.unwrap();
        let text = incident(&region, "unclean_end").await;
        assert!(text.contains("the machine stayed up"), "{text}");
        // A write that was not synced may have become a message; it is whole then, and was never promised.
        assert_eq!(queue(&region, "GISOGD73/requests").await[0], kept);
        assert_eq!(take_request(&system(&region, PROVIDER)).await.data.message_id, kept);
        send(&system(&region, CONSUMER), request(SPRAVKA, "после")).await;
        region
            .wait_metrics("counted", SOON, |metrics| {
                metrics.count("incidents_total", &[("kind", "unclean_end")]) == 1
            })
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_file_system_that_turns_read_only_ends_the_gateway_and_it_goes_on_when_it_is_mended() {
    let Some(disk) = FragileDisk::mount() else {
        return;
    };
    let data = format!("\"{}\"", disk.path().join("data").display());
    let mut region = local_region().setting("node", "data_dir", &data).start().await.unwrap();
    let kept = send(&system(&region, CONSUMER), request(SPRAVKA, "до")).await;
    disk.fail();
    not_accepted(&region, "мимо").await;
    let status = eventually("the gateway ends by itself", async || region.ended().unwrap()).await;
    assert_eq!(status.code(), Some(ENDED), "{}", region.log());
    assert!(region.log().contains("Read-only file system"), "{}", region.log());
    region.forget_process();

    // A start does not go over it, and names it.
    let before = region.log().len();
    region.launch().unwrap();
    let status = eventually("the start is refused", async || region.ended().unwrap()).await;
    assert_eq!(status.code(), Some(1));
    let said = region.log()[before..].to_owned();
    assert!(said.contains("Read-only file system"), "{said}");
    region.forget_process();

    disk.unmount().unwrap();
    disk.mount_again().unwrap();
    region.start().await.unwrap();
    assert_journal_whole(&region).await;
    incident(&region, "unclean_end").await;
    assert_eq!(queue(&region, "GISOGD73/requests").await, std::slice::from_ref(&kept));
    assert_eq!(take_request(&system(&region, PROVIDER)).await.data.message_id, kept);
    send(&system(&region, CONSUMER), request(SPRAVKA, "после")).await;
    assert!(region.stop().await.unwrap().success());
}

/// The log names what failed.
fn said(region: &Region, doing: &str, path: &Path) {
    let log = region.log();
    let expected = format!("{doing} {}: Input/output error", path.display());
    assert!(log.contains(&expected), "{expected}: {log}");
}
