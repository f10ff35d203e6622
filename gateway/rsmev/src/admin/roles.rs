//! What somebody who reached the admin socket may do: roles, each given by membership in a Unix group.
//!
//! The machine's account database decides, as for the socket itself: a membership counts from the moment it is written
//! there, and the group that a process happens to run under does not count. Where the configuration is silent about roles and
//! none of the groups exists nobody has set roles up, and whoever may connect may do everything.

use logbook::log;
use nix::unistd::{Gid, Group};

use crate::logged;
use crate::settings::RoleGroups;

/// What a person of a region's office is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Keeps messages flowing: queues, quarantine, clock, backups, halts, upstreams.
    Operator,
    /// Keeps the registry.
    Registrar,
    /// Looks at everything and changes nothing.
    Auditor,
}

impl Role {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Operator, Self::Registrar, Self::Auditor];

    /// Its name, also as a key under `admin.roles`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Registrar => "registrar",
            Self::Auditor => "auditor",
        }
    }
}

/// What a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    /// To look: every role may.
    Look,
    /// This role.
    Of(Role),
}

/// Whether a group exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// With this number.
    As(Gid),
    /// It does not.
    Absent,
    /// The account database did not tell: it counts as one that nobody is a member of.
    Untold,
}

impl Found {
    /// Looks a group up. Reads the account database.
    pub(crate) fn of(name: &str) -> Self {
        match Group::from_name(name) {
            Ok(Some(group)) => Self::As(group.gid),
            Ok(None) => Self::Absent,
            Err(_) => Self::Untold,
        }
    }

    /// What is wrong with the group of a role, for a person.
    pub(crate) fn lack(self, role: Role, group: &str) -> Option<String> {
        match self {
            Self::As(_) => None,
            Self::Absent => Some(format!(
                "there is no group {group}: only root has the role {}",
                role.as_str()
            )),
            Self::Untold => Some(format!("the machine does not tell whether there is a group {group}")),
        }
    }
}

/// What one caller may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rights {
    /// Everything.
    All,
    /// What these roles may.
    Roles(Vec<Role>),
}

impl Rights {
    /// Those of a member of these groups, who is neither root nor the gateway's own user.
    pub(crate) fn of(memberships: &[Gid], groups: &RoleGroups) -> Self {
        Self::among(memberships, look(groups), groups.are_set)
    }

    /// An error of the account database never gives everything: only the certainty that there is no group does.
    fn among(memberships: &[Gid], found: [Found; 3], are_set: bool) -> Self {
        if is_open(found, are_set) {
            return Self::All;
        }
        let has = |(role, found): (Role, Found)| match found {
            Found::As(group) if memberships.contains(&group) => Some(role),
            _ => None,
        };
        Self::Roles(Role::ALL.into_iter().zip(found).filter_map(has).collect())
    }

    /// Why a request is refused, with what is missing, for a person; nothing if it is not.
    pub(crate) fn refusal(&self, right: Right, groups: &RoleGroups) -> Option<String> {
        let Self::Roles(roles) = self else { return None };
        let role = match right {
            Right::Look if roles.is_empty() => {
                let groups = Role::ALL.map(|role| groups.of(role)).join(", ");
                return Some(format!(
                    "you have no role at this gateway: become a member of one of the groups {groups}"
                ));
            }
            Right::Of(role) if !roles.contains(&role) => role,
            Right::Look | Right::Of(_) => return None,
        };
        let group = groups.of(role);
        let yours = match &roles[..] {
            [] => "you have none".to_owned(),
            roles => {
                let names: Vec<_> = roles.iter().map(|role| role.as_str()).collect();
                format!("you are {}", names.join(" and "))
            }
        };
        Some(format!(
            "this needs the role {}, which members of the group {group} have ({yours})",
            role.as_str()
        ))
    }
}

fn look(groups: &RoleGroups) -> [Found; 3] {
    Role::ALL.map(|role| Found::of(groups.of(role)))
}

/// Whether nobody has set roles up.
fn is_open(found: [Found; 3], are_set: bool) -> bool {
    !are_set && found == [Found::Absent; 3]
}

/// Logs what is worth knowing about the groups. Reads the account database.
pub(crate) fn tell(groups: &RoleGroups) {
    let found = look(groups);
    if is_open(found, groups.are_set) {
        let groups = Role::ALL.map(|role| groups.of(role)).join(", ");
        return log!(
            logged::ADMIN_ROLES_OPEN,
            groups,
            "there are no groups of roles: every member of the socket's group may do everything"
        );
    }
    for (role, found) in Role::ALL.into_iter().zip(found) {
        let group = groups.of(role);
        if let Some(why) = found.lack(role, group) {
            log!(
                logged::ADMIN_ROLE_WITHOUT_GROUP,
                role = role.as_str(),
                group,
                why,
                "nobody but root has a role"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups() -> RoleGroups {
        RoleGroups {
            are_set: true,
            operator: "ops".to_owned(),
            registrar: "regs".to_owned(),
            auditor: "audits".to_owned(),
        }
    }

    fn group(number: u32) -> Gid {
        Gid::from_raw(number)
    }

    #[test]
    fn memberships_give_roles_and_roles_give_rights() {
        let found = [1, 2, 3].map(|number| Found::As(group(number)));
        let both = Rights::among(&[group(9), group(2), group(1)], found, false);
        assert_eq!(both, Rights::Roles(vec![Role::Operator, Role::Registrar]));
        let auditor = Rights::among(&[group(3)], found, true);
        let nobody = Rights::among(&[group(9)], found, false);
        let refusal = |rights: &Rights, right| rights.refusal(right, &groups());
        for role in Role::ALL {
            let of = Right::Of(role);
            assert_eq!(refusal(&both, of).is_none(), role != Role::Auditor);
            assert_eq!(refusal(&auditor, of).is_none(), role == Role::Auditor);
            assert!(refusal(&nobody, of).is_some());
            assert_eq!(refusal(&Rights::All, of), None);
        }
        assert_eq!(refusal(&both, Right::Look), None);
        assert_eq!(refusal(&auditor, Right::Look), None);
        let told = refusal(&nobody, Right::Look).unwrap();
        assert!(told.contains("ops, regs, audits"), "{told}");
    }

    #[test]
    fn a_refusal_names_the_role_its_group_and_what_the_caller_has() {
        let auditor = Rights::Roles(vec![Role::Auditor]);
        assert_eq!(
            auditor.refusal(Right::Of(Role::Registrar), &groups()).as_deref(),
            Some("this needs the role registrar, which members of the group regs have (you are auditor)")
        );
        let none = Rights::Roles(Vec::new());
        let told = none.refusal(Right::Of(Role::Operator), &groups()).unwrap();
        assert!(
            told.ends_with("members of the group ops have (you have none)"),
            "{told}"
        );
    }

    #[test]
    fn only_where_nobody_set_roles_up_everybody_has_all_of_them() {
        let (absent, untold, there) = (Found::Absent, Found::Untold, Found::As(group(1)));
        assert_eq!(Rights::among(&[group(9)], [absent; 3], false), Rights::All);
        let mistyped = Rights::among(&[group(9)], [absent; 3], true);
        assert_eq!(mistyped, Rights::Roles(Vec::new()), "names without groups open nothing");
        for found in [
            [there, absent, absent],
            [untold, absent, absent],
            [untold; 3],
            [absent, absent, there],
        ] {
            assert_eq!(
                Rights::among(&[group(9)], found, false),
                Rights::Roles(Vec::new()),
                "{found:?}"
            );
        }
        assert_eq!(Found::of("root"), Found::As(group(0)));
        assert_eq!(Found::of("there is no such group"), Found::Absent);
    }
}
