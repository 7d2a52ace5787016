//! Files of other programs, kept small.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

/// Bytes after which a file is turned over; as much again is kept in `<file>.1`.
pub const LIMIT: u64 = 1 << 20;

/// Copies a file that has grown over `limit` to `<file>.1` and empties it.
///
/// Emptied and not renamed, since its writer keeps it open; the writers that this is for append, so they
/// go on at the new end. What they write between the copy and the emptying is lost here, and is on its
/// way to the orchestrator all the same.
pub fn turn_over(path: &Path, limit: u64) -> io::Result<()> {
    let size = match fs::symlink_metadata(path) {
        Ok(file) if file.is_file() => file.len(),
        Ok(_) => return Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    if size <= limit {
        return Ok(());
    }
    let mut old = path.as_os_str().to_owned();
    old.push(".1");
    // Where there is no room for the copy, the room is what matters.
    let copied = fs::copy(path, &old).map(drop);
    OpenOptions::new().write(true).open(path)?.set_len(0)?;
    copied
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn a_writer_that_appends_goes_on_in_an_empty_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("uos.log");
        turn_over(&path, 10).unwrap();
        let mut writer = OpenOptions::new().create(true).append(true).open(&path).unwrap();
        writer.write_all(b"0123456789").unwrap();
        turn_over(&path, 10).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"0123456789");
        writer.write_all(b"a").unwrap();
        turn_over(&path, 10).unwrap();
        writer.write_all(b"b").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"b");
        assert_eq!(fs::read(folder.path().join("uos.log.1")).unwrap(), b"0123456789a");
    }
}
