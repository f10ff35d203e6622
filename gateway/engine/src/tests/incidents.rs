//! Incidents that last are opened once, closed once and told once, whatever the gateway goes through meanwhile.

use jiff::SignedDuration;
use journal::read::Filter;

use crate::command::Refusal;
use crate::event::{Affected, NoticeResult, OpenedIncident, Phase, Severity};
use crate::settings::Settings;
use crate::testing::{Running, id_at, mnemonic, participant, request, upstream};
use crate::{Engine, IncidentStatus, View, rebuild_index};

use super::running::until;

fn down(upstream: &str) -> OpenedIncident {
    OpenedIncident {
        rule: "upstream_down".to_owned(),
        subject: upstream.to_owned(),
        severity: Severity::Critical,
        text: format!("{upstream} is down"),
        affected: Affected::of([mnemonic("CITY"), mnemonic("LAND"), mnemonic("CITY")]),
    }
}

fn told(phase: Phase, delivered: bool) -> NoticeResult {
    NoticeResult {
        phase,
        channel: "mail".to_owned(),
        delivered,
        tries: 3,
    }
}

fn open(engine: &Engine) -> Vec<IncidentStatus> {
    let mut all = engine.opened_incidents();
    all.retain(|incident| incident.closed.is_none());
    all
}

fn seen(settings: &Settings) -> Vec<IncidentStatus> {
    let view = View::open(settings, journal::disk::RealDisk::shared())
        .unwrap()
        .unwrap();
    view.opened_incidents().unwrap()
}

#[tokio::test]
async fn an_open_incident_survives_every_kind_of_start_and_is_not_opened_twice() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::new(dir.path());
    let engine = running.region().await;
    let id = engine.open_incident(down("federal")).await.unwrap();
    let other = engine.open_incident(down("neighbour")).await.unwrap();
    assert_ne!(id, other);
    assert_eq!(engine.open_incident(down("federal")).await.unwrap(), id, "it is open");
    engine.incident_notified(id, told(Phase::Opened, true)).await.unwrap();
    engine.incident_notified(id, told(Phase::Opened, false)).await.unwrap();
    let before = engine.opened_incidents();
    assert_eq!((before.len(), before[0].id), (2, id));
    assert_eq!((before[0].opened.affected.count, before[0].notices.len()), (2, 1));
    assert!(before[0].is_told(Phase::Opened, "mail") && !before[0].is_told(Phase::Closed, "mail"));
    engine.shutdown().await;
    drop(engine);

    assert_eq!(
        seen(&running.settings),
        before,
        "as one who only looks at the stopped gateway sees it"
    );
    rebuild_index(&running.settings, running.disk.clone()).unwrap();
    let engine = running.start().unwrap();
    assert_eq!(engine.opened_incidents(), before, "as the journal tells");
    assert_eq!(engine.open_incident(down("federal")).await.unwrap(), id);
    running.time.pass(SignedDuration::from_secs(90));
    let over = Affected::default();
    engine
        .close_incident(id, "it is up".to_owned(), over.clone())
        .await
        .unwrap();
    engine
        .close_incident(id, "again".to_owned(), over.clone())
        .await
        .unwrap();
    assert_eq!(open(&engine).len(), 1);
    let next = engine.open_incident(down("federal")).await.unwrap();
    assert!(next > other, "what comes back after its end is another incident");
    let unknown = engine.close_incident(next + 1, String::new(), over).await.unwrap_err();
    assert!(matches!(unknown, Refusal::NotDone(_)), "{unknown:?}");
    let closed = engine.opened_incidents()[0].closed.clone().unwrap();
    assert_eq!(closed.text, "it is up");
    engine.shutdown().await;

    let disk = journal::disk::RealDisk::shared();
    let records = journal::read::records(disk, &dir.path().join("journal"), Filter::default()).unwrap();
    let told: Vec<String> = records
        .map(|record| serde_json::from_str::<serde_json::Value>(record.unwrap().event.get()).unwrap())
        .map(|event| event["type"].as_str().unwrap().to_owned())
        .filter(|kind| kind.starts_with("incident_"))
        .collect();
    let once = [
        "incident_opened",
        "incident_opened",
        "incident_notified",
        "incident_closed",
        "incident_opened",
    ];
    assert_eq!(told, once);
}

#[tokio::test]
async fn the_latest_closed_ones_are_kept_and_every_open_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Running::new(dir.path());
    running.settings.snapshot_every = 500;
    let engine = running.region().await;
    let stays = engine.open_incident(down("stays")).await.unwrap();
    for n in 0..503 {
        let id = engine.open_incident(down(&format!("u{n}"))).await.unwrap();
        engine
            .close_incident(id, String::new(), Affected::default())
            .await
            .unwrap();
    }
    let last = engine.open_incident(down("last")).await.unwrap();
    let all = engine.opened_incidents();
    assert_eq!(all.len(), 1 + 499 + 1);
    assert_eq!((all[0].id, all.last().unwrap().id), (stays, last));
    assert_eq!(all[1].opened.subject, "u4");
    let snapshots = dir.path().join("snapshot");
    until(&engine, "a snapshot", || {
        std::fs::read_dir(&snapshots)
            .is_ok_and(|mut files| files.any(|file| !file.unwrap().file_name().to_string_lossy().contains("tmp")))
    })
    .await;
    engine.shutdown().await;
    drop(engine);
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    let engine = running.start().unwrap();
    assert_eq!(engine.opened_incidents(), all, "from the snapshot and what follows it");
    engine.shutdown().await;
}

#[tokio::test]
async fn what_is_untold_and_what_was_closed_last_is_kept_longest() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::new(dir.path());
    let engine = running.region().await;
    let close = async |id| {
        let closed = engine.close_incident(id, String::new(), Affected::default());
        closed.await.unwrap();
    };
    let tell = async |id, phase| {
        let notified = engine.incident_notified(id, told(phase, true));
        notified.await.unwrap();
    };
    // The first one opened ends last; nobody was told of the second one's end.
    let long = engine.open_incident(down("long")).await.unwrap();
    tell(long, Phase::Opened).await;
    let untold = engine.open_incident(down("untold")).await.unwrap();
    tell(untold, Phase::Opened).await;
    close(untold).await;
    for n in 0..499 {
        let id = engine.open_incident(down(&format!("u{n}"))).await.unwrap();
        tell(id, Phase::Opened).await;
        close(id).await;
        tell(id, Phase::Closed).await;
    }
    running.time.pass(SignedDuration::from_secs(1));
    close(long).await;
    tell(long, Phase::Closed).await;
    engine.open_incident(down("last")).await.unwrap();
    let kept: Vec<_> = engine
        .opened_incidents()
        .into_iter()
        .map(|kept| kept.opened.subject)
        .collect();
    assert_eq!(kept.len(), 500);
    assert_eq!(
        (&kept[..3], kept[499].as_str()),
        (&["long", "untold", "u2"].map(String::from)[..], "last")
    );
    engine.shutdown().await;
}

#[tokio::test]
async fn warnings_leave_room_for_what_is_critical() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Running::new(dir.path()).region().await;
    let warning = |n: usize| OpenedIncident {
        rule: "queue_old".to_owned(),
        severity: Severity::Warning,
        ..down(&format!("q{n}"))
    };
    for n in 0..500 {
        engine.open_incident(warning(n)).await.unwrap();
    }
    let refused = engine.open_incident(warning(500)).await.unwrap_err();
    assert!(matches!(refused, Refusal::NotDone(_)), "{refused:?}");
    engine.open_incident(down("federal")).await.unwrap();
    assert_eq!(open(&engine).len(), 501);
    engine.shutdown().await;
}

#[tokio::test]
async fn what_is_too_long_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Running::new(dir.path()).region().await;
    let long = OpenedIncident {
        text: "д".repeat(4000),
        affected: Affected {
            count: 30,
            participants: (0..30).map(|n| mnemonic(&format!("MUN{n:03}"))).collect(),
        },
        ..down("federal")
    };
    engine.open_incident(long).await.unwrap();
    let kept = engine.opened_incidents().remove(0).opened;
    assert_eq!(kept.text.chars().count(), OpenedIncident::TEXT);
    assert_eq!(
        (kept.affected.count, kept.affected.participants.len()),
        (30, Affected::NAMED)
    );
    engine.shutdown().await;
}

#[tokio::test]
async fn senders_to_an_upstream_are_those_with_a_message_on_its_way() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Running::new(dir.path()).region().await;
    assert!(engine.senders_to(&upstream()).is_empty());
    let incoming = request(participant("CITY"), id_at(engine.now(), 1), "pass");
    engine.accept(incoming).await.unwrap();
    assert_eq!(engine.senders_to(&upstream()), [mnemonic("CITY")]);
    engine.shutdown().await;
}
