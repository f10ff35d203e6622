//! `rsmev incidents`

use engine::IncidentStatus;
use engine::event::{Affected, Phase};
use engine::units::show_seconds;
use jiff::Timestamp;
use serde_json::Value;

use super::{ask, moment, or_dash, present};
use crate::cli::{Incidents, IncidentsCommand};
use crate::failure::Failure;
use crate::incidents::rule::Rule;
use crate::notify::Channel;
use crate::operator::Request;
use crate::output::{Out, Table, clean};
use crate::settings::Settings;
use crate::store;

/// Carries the command out.
pub(crate) fn run(arguments: &Incidents, settings: &Settings, out: &mut Out) -> Result<(), Failure> {
    let listed = match &arguments.command {
        None => &arguments.list,
        Some(IncidentsCommand::List(listed)) => listed,
        Some(IncidentsCommand::Show { id, output }) => {
            let incident = found(ask(settings, Request::Incidents)?, *id)?;
            return present(incident, output.output, out, |incident, out| show(&incident, out));
        }
        Some(IncidentsCommand::TestNotification) => return test(settings, out),
    };
    let all = listed.all;
    let mut incidents: Vec<Value> = read(ask(settings, Request::Incidents)?)?;
    incidents.retain(|incident| all || incident.get("closed").is_none());
    let nothing = match all {
        true => "There has been no incident.",
        false => "No incident is open.",
    };
    present(Value::Array(incidents), listed.output.output, out, |rows, out| {
        list(rows, nothing, out)
    })
}

fn read<T: serde::de::DeserializeOwned>(answer: Value) -> Result<T, Failure> {
    serde_json::from_value(answer).map_err(|error| Failure::refused(error.to_string()))
}

fn found(answer: Value, id: u64) -> Result<Value, Failure> {
    let incidents: Vec<Value> = read(answer)?;
    let of_id = |incident: &Value| incident.get("id").and_then(Value::as_u64) == Some(id);
    incidents.into_iter().find(of_id).ok_or_else(|| {
        Failure::refused(format!(
            "there is no incident {id} among those that are open and the latest that were closed; older ones: rsmev journal \
             export --type incident_opened --type incident_closed"
        ))
    })
}

fn list(rows: Vec<IncidentStatus>, nothing: &str, out: &mut Out) -> Result<(), Failure> {
    if rows.is_empty() {
        return Ok(out.line(nothing)?);
    }
    let mut table = Table::new(&[
        ">ID",
        "OPENED",
        "CLOSED",
        "SEVERITY",
        "RULE",
        "ABOUT",
        ">AFFECTED",
        "WHAT",
    ]);
    for row in rows {
        table.row([
            row.id.to_string(),
            moment(row.opened_at),
            or_dash(row.closed.as_ref().map(|closed| moment(closed.at))),
            row.opened.severity.as_str().to_owned(),
            row.opened.rule,
            row.opened.subject,
            row.opened.affected.count.to_string(),
            row.opened.text,
        ]);
    }
    Ok(out.table(&table)?)
}

fn show(incident: &IncidentStatus, out: &mut Out) -> Result<(), Failure> {
    let opened = &incident.opened;
    let rule = Rule::find(&opened.rule);
    let mut facts = Table::new(&["INCIDENT", ""]);
    let mut fact = |name: &str, text: String| facts.row([name.to_owned(), text]);
    fact("number", incident.id.to_string());
    fact("rule", opened.rule.clone());
    fact("about", opened.subject.clone());
    fact("severity", opened.severity.as_str().to_owned());
    if let Some(rule) = rule {
        fact("meaning", rule.title().to_owned());
        fact("what to do", rule.remedy().to_owned());
    }
    fact("affected at its opening", affected(&opened.affected));
    if let Some(closed) = &incident.closed {
        fact("affected at its closing", affected(&closed.affected));
        let lasted = closed.at.duration_since(incident.opened_at).as_secs();
        fact("lasted", show_seconds(u64::try_from(lasted).unwrap_or(0)));
    }
    out.table(&facts)?;
    out.line("")?;
    let mut story: Vec<(Timestamp, String, String)> =
        vec![(incident.opened_at, "opened".to_owned(), opened.text.clone())];
    if let Some(closed) = &incident.closed {
        story.push((closed.at, "closed".to_owned(), closed.text.clone()));
    }
    for told in &incident.notices {
        let notice = &told.notice;
        let what = if notice.delivered { "told" } else { "given up" };
        let of = match notice.phase {
            Phase::Opened => "its opening",
            Phase::Closed => "its closing",
        };
        let text = format!("{of} by {}, attempt {}", notice.channel, notice.tries);
        story.push((told.at, what.to_owned(), text));
    }
    story.sort_by_key(|(at, ..)| *at);
    let mut table = Table::new(&["AT", "EVENT", "WHAT"]);
    for (at, event, text) in story {
        table.row([moment(at), event, text]);
    }
    Ok(out.table(&table)?)
}

fn affected(affected: &Affected) -> String {
    let names: Vec<_> = affected.participants.iter().map(ToString::to_string).collect();
    let more = if affected.count > names.len() as u64 {
        " …"
    } else {
        ""
    };
    match names.is_empty() {
        true => affected.count.to_string(),
        false => format!("{}: {}{more}", affected.count, names.join(", ")),
    }
}

/// Sends a test through every channel; all are tried, whatever fails.
fn test(settings: &Settings, out: &mut Out) -> Result<(), Failure> {
    let channels = Channel::configured(&settings.notify);
    if channels.is_empty() {
        return Err(Failure::refused(
            "nobody is told of incidents: there is neither [notify.mail] nor a [[notify.webhook]] in the configuration",
        ));
    }
    let runtime = store::runtime().map_err(|error| Failure::refused(error.to_string()))?;
    let mut failed = false;
    for channel in channels {
        let came_to = match runtime.block_on(channel.test(&settings.node)) {
            Ok(dead) if dead.is_empty() => "delivered".to_owned(),
            Ok(dead) => {
                failed = true;
                let dead: Vec<String> = dead.iter().map(ToString::to_string).collect();
                format!("delivered, but not to everybody: {}", dead.join("; "))
            }
            Err(why) => {
                failed = true;
                format!("failed: {why}")
            }
        };
        let line = format!("{} ({}): {came_to}", channel.name(), channel.place());
        out.line(clean(&line))?;
    }
    match failed {
        true => Err(Failure::Said),
        false => Ok(()),
    }
}
