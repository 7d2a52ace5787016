//! Where the worker's container runs: what differs between a HookOS machine and one that tests this.

use std::path::PathBuf;

#[derive(Debug, Clone)]
pub struct Places {
    /// The engine's socket as this program sees it.
    pub socket: PathBuf,
    /// Source, as the engine sees it, and target.
    pub mounts: Vec<(String, &'static str)>,
    /// Always on a HookOS machine; an engine in a sandbox cannot.
    pub privileged: bool,
}

impl Default for Places {
    fn default() -> Self {
        let same = |path: &'static str| (path.to_owned(), path);
        Self {
            socket: PathBuf::from("/var/run/docker.sock"),
            mounts: vec![
                same("/worker"),
                same("/var/run/docker.sock"),
                same("/dev"),
                // The engine is in a container too; there the machine's /run is at /host_root.
                ("/host_root/run".to_owned(), "/run"),
            ],
            privileged: true,
        }
    }
}
