//! /etc/passwd and /etc/group of a component, as passwd(5) and group(5) say.
//!
//! Debian's packages make their users with scripts that never run here. No account has a password:
//! the field is `*`, or `x` where the component brings an /etc/shadow of its own.

use super::definition::{Group, User};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The texts of /etc/passwd and /etc/group. root, nobody and nogroup are always there,
/// unless the component states them in its own way; a user whose
/// group is not stated gets one of the user's name.
pub(super) fn texts(users: &[User], groups: &[Group], shadow: bool) -> (String, String) {
    let password = if shadow { "x" } else { "*" };
    let mut by_gid: BTreeMap<u32, (&str, Vec<&str>)> =
        BTreeMap::from([(0, ("root", vec![])), (65534, ("nogroup", vec![]))]);
    for group in groups {
        let members = group.members.iter().map(|m| m.0.as_str()).collect();
        by_gid.insert(group.gid, (&group.name.get_ref().0, members));
    }
    for user in users {
        by_gid.entry(user.gid).or_insert((&user.name.get_ref().0, vec![]));
    }
    let mut lines = BTreeMap::from([
        (0, format!("root:{password}:0:0:root:/root:/bin/sh\n")),
        (65534, format!("nobody:{password}:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n")),
    ]);
    for user in users {
        let (name, home, shell) = (&user.name.get_ref().0, &user.home.0, &user.shell.0);
        let line = format!("{name}:{password}:{}:{}::{home}:{shell}\n", user.uid, user.gid);
        lines.insert(user.uid, line);
    }
    let passwd: String = lines.into_values().collect();
    let mut group = String::new();
    for (gid, (name, members)) in by_gid {
        let _ = writeln!(group, "{name}:*:{gid}:{}", members.join(","));
    }
    (passwd, group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_bring_their_groups() {
        #[derive(serde::Deserialize)]
        struct Both {
            users: Vec<User>,
            groups: Vec<Group>,
        }
        let both: Both = toml::from_str(
            "[[users]]\nname='b'\nuid=20\ngid=20\n[[users]]\nname='a'\nuid=10\ngid=999\nhome='/a'\n\
             [[groups]]\nname='g'\ngid=999\nmembers=['b']\n",
        )
        .unwrap();
        let (passwd, group) = texts(&both.users, &both.groups, false);
        assert_eq!(
            passwd,
            "root:*:0:0:root:/root:/bin/sh\na:*:10:999::/a:/usr/sbin/nologin\n\
             b:*:20:20::/nonexistent:/usr/sbin/nologin\nnobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
        );
        assert_eq!(group, "root:*:0:\nb:*:20:\ng:*:999:b\nnogroup:*:65534:\n");
        assert!(texts(&[], &[], true).0.starts_with("root:x:"));
    }
}
