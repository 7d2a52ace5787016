//! Where things lie, as the engine sees them.

use std::path::PathBuf;

/// Sources of the worker's mounts, and the engine's socket as this program sees it.
#[derive(Debug, Clone)]
pub struct Places {
    pub socket: PathBuf,
    pub mounts: Vec<(String, &'static str)>,
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
        }
    }
}
