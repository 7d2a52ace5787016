//! The YAML's options over the label's, key by key.
//!
//! A key of the YAML replaces the label's key as a whole; only `runtime` is merged by its own keys.
//! `capabilities.add` and `binds.add` of the YAML are appended to the label's list, and count only
//! where the YAML has no list of its own; those of a label count for nothing.

use super::options::{BindNamespaces, ContainerOptions, RuntimeOptions};

impl ContainerOptions {
    /// These options with the gaps filled from `label`. Filling once more changes nothing.
    #[must_use]
    pub fn over(self, label: Self) -> Self {
        Self {
            capabilities: with_added(self.capabilities, self.capabilities_add, label.capabilities),
            capabilities_add: None,
            ambient: self.ambient.or(label.ambient),
            mounts: self.mounts.or(label.mounts),
            binds: with_added(self.binds, self.binds_add, label.binds),
            binds_add: None,
            devices: self.devices.or(label.devices),
            tmpfs: self.tmpfs.or(label.tmpfs),
            command: self.command.or(label.command),
            env: self.env.or(label.env),
            cwd: self.cwd.or(label.cwd),
            net: self.net.or(label.net),
            pid: self.pid.or(label.pid),
            ipc: self.ipc.or(label.ipc),
            uts: self.uts.or(label.uts),
            userns: self.userns.or(label.userns),
            hostname: self.hostname.or(label.hostname),
            readonly: self.readonly.or(label.readonly),
            masked_paths: self.masked_paths.or(label.masked_paths),
            readonly_paths: self.readonly_paths.or(label.readonly_paths),
            uid: self.uid.or(label.uid),
            gid: self.gid.or(label.gid),
            additional_gids: self.additional_gids.or(label.additional_gids),
            no_new_privileges: self.no_new_privileges.or(label.no_new_privileges),
            oom_score_adj: self.oom_score_adj.or(label.oom_score_adj),
            rootfs_propagation: self.rootfs_propagation.or(label.rootfs_propagation),
            cgroups_path: self.cgroups_path.or(label.cgroups_path),
            resources: self.resources.or(label.resources),
            sysctl: self.sysctl.or(label.sysctl),
            rlimits: self.rlimits.or(label.rlimits),
            uid_mappings: self.uid_mappings.or(label.uid_mappings),
            gid_mappings: self.gid_mappings.or(label.gid_mappings),
            annotations: self.annotations.or(label.annotations),
            runtime: match (self.runtime, label.runtime) {
                (Some(own), Some(label)) => Some(own.over(label)),
                (own, label) => own.or(label),
            },
        }
    }
}

impl RuntimeOptions {
    fn over(self, label: Self) -> Self {
        let bind_ns = match (self.bind_ns, label.bind_ns) {
            (Some(own), Some(label)) => Some(BindNamespaces {
                cgroup: own.cgroup.or(label.cgroup),
                ipc: own.ipc.or(label.ipc),
                mnt: own.mnt.or(label.mnt),
                net: own.net.or(label.net),
                pid: own.pid.or(label.pid),
                user: own.user.or(label.user),
                uts: own.uts.or(label.uts),
            }),
            (own, label) => own.or(label),
        };
        Self {
            cgroups: self.cgroups.or(label.cgroups),
            mounts: self.mounts.or(label.mounts),
            mkdir: self.mkdir.or(label.mkdir),
            interfaces: self.interfaces.or(label.interfaces),
            bind_ns,
            namespace: self.namespace.or(label.namespace),
        }
    }
}

fn with_added(
    own: Option<Vec<String>>,
    add: Option<Vec<String>>,
    label: Option<Vec<String>>,
) -> Option<Vec<String>> {
    own.or_else(|| match (label, add) {
        (Some(mut list), Some(add)) => {
            // Doubles stay, as in LinuxKit; they can be seen in `effective`.
            list.extend(add);
            Some(list)
        }
        (list, add) => list.or(add),
    })
}
