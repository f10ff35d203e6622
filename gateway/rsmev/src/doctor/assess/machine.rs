//! The process's limits, systemd, and versions.

use super::{Level, Lines};
use crate::doctor::facts::Facts;
use crate::doctor::system::Unit;
use crate::health::Health;
use engine::units::show_size;

pub(super) fn assess(facts: &Facts, lines: &mut Lines) {
    if let Some(health) = facts.gateway.health() {
        files(health, lines);
        memory(health, lines);
    }
    for unit in &facts.units {
        service(facts, unit, lines);
    }
    versions(facts, lines);
}

/// More than four fifths.
fn nearly(used: u64, most: u64) -> bool {
    u128::from(used) * 5 > u128::from(most) * 4
}

fn files(health: &Health, lines: &mut Lines) {
    const SUBJECT: &str = "open files";
    let Some(open) = health.process.open_files else { return };
    let Some(most) = health.process.max_files else {
        return lines.ok(SUBJECT, format!("{open}, without a bound"));
    };
    let text = format!("{open} of {most}");
    match nearly(open, most) {
        true => lines.add(
            Level::Warning,
            SUBJECT,
            text,
            "raise LimitNOFILE of the unit, or lower limits.connections",
        ),
        false => lines.ok(SUBJECT, text),
    }
}

fn memory(health: &Health, lines: &mut Lines) {
    const SUBJECT: &str = "memory";
    let Some(resident) = health.process.resident_bytes else {
        return;
    };
    let taken = show_size(resident);
    let Some(most) = health.process.max_bytes else {
        return lines.ok(SUBJECT, format!("{taken}, without a bound"));
    };
    let text = format!("{taken} of {}", show_size(most));
    match nearly(resident, most) {
        true => lines.add(
            Level::Warning,
            SUBJECT,
            text,
            "the unit is ended at its bound: lower limits.in_flight_bytes, or raise MemoryMax",
        ),
        false => lines.ok(SUBJECT, text),
    }
}

fn service(facts: &Facts, unit: &Unit, lines: &mut Lines) {
    let subject = format!("unit {}", unit.name);
    let (active, state) = (unit.property("ActiveState"), unit.property("UnitFileState"));
    if unit.property("LoadState") == "not-found" {
        return lines.add(Level::Note, subject, "is not installed", "");
    }
    let text = format!("{active} ({}), {state}", unit.property("SubState"));
    let name = &unit.name;
    let (level, remedy) = match (active, state) {
        ("failed", _) => (Level::Trouble, format!("`systemctl status {name}` tells why")),
        ("active", "enabled") => (Level::Ok, String::new()),
        ("activating", "enabled") => {
            let sub = unit.property("SubState");
            let level = match sub {
                "auto-restart" => Level::Warning,
                _ => Level::Note,
            };
            let remedy = format!("is being started ({sub}); if it stays so, `journalctl -u {name}` tells why");
            (level, remedy)
        }
        ("active" | "activating", _) => (
            Level::Note,
            format!("after a reboot it does not run: `systemctl enable {name}`"),
        ),
        // Whether the gateway runs has been told.
        (_, _) if name.ends_with(".service") && facts.gateway.health().is_some() => {
            (Level::Note, "the gateway runs without it".to_owned())
        }
        _ => (Level::Warning, format!("`systemctl enable --now {name}`")),
    };
    lines.add(level, subject, text, remedy);
    let restarts: u64 = unit.property("NRestarts").parse().unwrap_or(0);
    if restarts > 0 {
        let text = format!("systemd has restarted it {restarts} times");
        let remedy = format!("`journalctl -u {name}` tells why");
        lines.add(Level::Note, format!("unit {name}"), text, remedy);
    }
}

fn versions(facts: &Facts, lines: &mut Lines) {
    let system = &facts.system;
    let format = facts.store.as_ref().and_then(|store| store.format.as_deref());
    let known = [
        Some(format!("rsmev {} ({})", system.version, system.commit)),
        format.map(|format| format!("data format {format}")),
        Some(format!("sled {}", system.sled)),
        system.kernel.as_ref().map(|kernel| format!("kernel {kernel}")),
        system.libc.clone(),
        system.distribution.clone(),
    ];
    let known: Vec<_> = known.into_iter().flatten().collect();
    lines.ok("versions", known.join(", "));
    if let Some(health) = facts.gateway.health()
        && (health.version.as_str(), health.commit.as_str()) != (system.version, system.commit)
    {
        let text = format!("the gateway that runs is {} ({})", health.version, health.commit);
        lines.add(
            Level::Warning,
            "versions",
            text,
            "`systemctl restart rsmev` starts the installed one",
        );
    }
}
