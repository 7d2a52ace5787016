//! Where the machine's files lie. Tests put them into a folder of their own.

use std::path::{Path, PathBuf};

/// The root below which every path of this program is looked up.
#[derive(Debug, Clone)]
pub struct Place {
    root: PathBuf,
}

impl Place {
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Whether this is the machine itself and not a folder that stands in for one.
    pub fn is_machine(&self) -> bool {
        self.root == Path::new("/")
    }

    /// An absolute path of the machine.
    pub fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The text of a file; bytes that are not UTF-8 become U+FFFD, an unreadable file is empty.
    pub fn text(&self, path: &str) -> String {
        std::fs::read(self.at(path)).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default()
    }
}
