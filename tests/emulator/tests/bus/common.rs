//! A bus with two participants, and what they say to each other.

use std::time::Duration;

use emulator::{Clock, Config, Emulator, Identity, Kind, Participant, Version};
use jiff::Timestamp;

pub(crate) const SPRAVKA: &str = "urn://test/spravka/1.0";
pub(crate) const EGRN: &str = "urn://test/egrn/1.0";
pub(crate) const SOON: Duration = Duration::from_secs(10);

pub(crate) struct Bus {
    pub(crate) bus: Emulator,
    pub(crate) consumer: Participant,
    pub(crate) provider: Participant,
}

/// SPRAVKA is answered by the participant PROVIDER, EGRN by whoever is set on the far side.
pub(crate) async fn bus() -> Bus {
    let clock = Clock::system();
    let consumer = Identity::generate("CONSUMER").expect("the bus of the tests starts");
    let provider = Identity::generate("PROVIDER").expect("the bus of the tests starts");
    let config = Config::new(Identity::generate("SMEV").expect("the bus of the tests starts"))
        .participant("CONSUMER", consumer.certificate())
        .participant("PROVIDER", provider.certificate())
        .kind(Kind::new(SPRAVKA, "Request", "Response", "PROVIDER"))
        .kind(Kind::new(EGRN, "Request", "Response", "FEDERAL"))
        .clock(clock.clone());
    let bus = Emulator::start(config).await.expect("the bus of the tests starts");
    let system = |identity| {
        let url = bus.url(Version::V1_2);
        Participant::new(identity, Version::V1_2, &url, bus.certificate().clone())
            .expect("the bus of the tests starts")
            .with_clock(clock.clone())
    };
    Bus {
        consumer: system(consumer),
        provider: system(provider),
        bus,
    }
}

pub(crate) fn request(namespace: &str, text: &str) -> String {
    format!("<k:Request xmlns:k=\"{namespace}\"><k:Text kind=\"a\">{text}</k:Text></k:Request>")
}

pub(crate) fn response(namespace: &str, text: &str) -> String {
    format!("<k:Response xmlns:k=\"{namespace}\"><k:Text>{text}</k:Text></k:Response>")
}

pub(crate) fn hours(count: i64) -> jiff::SignedDuration {
    jiff::SignedDuration::from_hours(count)
}

pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
