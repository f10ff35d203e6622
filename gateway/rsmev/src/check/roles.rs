//! Who may do what at the admin socket, as far as the machine's groups tell.

use super::{Findings, Level};
use crate::admin::roles::{Found, Role};
use crate::settings::Inspection;

pub(super) fn check(inspection: &Inspection, findings: &mut Findings) {
    let key = |role: Role| format!("admin.roles.{}", role.as_str());
    let named = Role::ALL.map(|role| Some((role, inspection.text(&key(role))?)));
    let found: Vec<_> = named
        .into_iter()
        .flatten()
        .map(|(role, group)| (role, group, Found::of(group)))
        .collect();
    if found.len() < Role::ALL.len() {
        return;
    }
    if !inspection.is_set("admin.roles") && found.iter().all(|(_, _, found)| *found == Found::Absent) {
        let groups: Vec<_> = found.iter().map(|(_, group, _)| *group).collect();
        let text = format!(
            "none of the groups {} exists: every member of the socket's group may do everything; make the groups to tell \
             people apart",
            groups.join(", ")
        );
        return findings.key(inspection, Level::Note, "admin.roles", text);
    }
    for (role, group, found) in found {
        let Some(text) = found.lack(role, group) else {
            continue;
        };
        findings.key(inspection, Level::Warning, &key(role), text);
    }
}
