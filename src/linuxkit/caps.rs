//! Linux capabilities, by the names of capabilities(7).

use std::collections::BTreeSet;

/// Every capability from CAP_CHOWN (0) to CAP_CHECKPOINT_RESTORE (40), in the kernel's order.
pub const ALL: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// Expands a single `all` or `none` and checks every name. The error is the sentence to show.
pub fn named(list: &[String]) -> Result<Vec<String>, String> {
    if let [one] = list {
        if one.eq_ignore_ascii_case("all") {
            return Ok(ALL.iter().map(|cap| (*cap).to_owned()).collect());
        }
        if one.eq_ignore_ascii_case("none") {
            return Ok(Vec::new());
        }
    }
    for cap in list {
        if ALL.contains(&cap.as_str()) {
            continue;
        }
        let full = format!("CAP_{}", cap.trim().to_ascii_uppercase().trim_start_matches("CAP_"));
        return Err(if cap.eq_ignore_ascii_case("all") || cap.eq_ignore_ascii_case("none") {
            format!("`{cap}` stands alone: no other capability may be beside it")
        } else if ALL.contains(&full.as_str()) {
            format!("unknown capability {cap:?}; it is written {full}")
        } else {
            format!("unknown capability {cap:?}")
        });
    }
    Ok(list.to_vec())
}

/// Bounding, inheritable and permitted: the sorted set of both lists.
pub fn bounding(effective: &[String], ambient: &[String]) -> Vec<String> {
    let set: BTreeSet<&String> = effective.iter().chain(ambient).collect();
    set.into_iter().cloned().collect()
}
