//! Names: what people call a blob. They outlive processes, so that a listing can show them.

use super::{Digest, Error, Store};
use std::fs;
use std::io;
use std::path::PathBuf;

impl Store {
    /// A name may hold any character, so its file is named by its digest.
    fn name_file(&self, name: &str) -> PathBuf {
        self.root().join("names").join(Digest::of(name.as_bytes()).hex())
    }

    /// Gives a blob a name (one line); another blob loses it.
    pub fn set_name(&self, name: &str, digest: &Digest) -> Result<(), Error> {
        self.write_small(&self.name_file(name), &format!("{digest}\n{}\n", name.replace('\n', " ")))
    }

    /// The blob of that name, if it is there.
    pub fn named(&self, name: &str) -> Option<Digest> {
        let text = fs::read_to_string(self.name_file(name)).ok()?;
        text.lines().next()?.parse().ok().filter(|digest| self.has(digest))
    }

    /// All names whose blob is there, sorted.
    pub fn names(&self) -> Result<Vec<(String, Digest)>, Error> {
        let path = self.root().join("names");
        let io = |source| Error::Io { path: path.clone(), source };
        let mut all = Vec::new();
        for entry in fs::read_dir(&path).map_err(io)? {
            // One that another process takes away meanwhile is gone.
            let Ok(text) = fs::read_to_string(entry.map_err(io)?.path()) else { continue };
            if let Some((digest, name)) = text.trim_end().split_once('\n')
                && let Ok(digest) = digest.parse()
                && self.has(&digest)
            {
                all.push((name.to_owned(), digest));
            }
        }
        all.sort();
        Ok(all)
    }

    /// Takes a name away; the blob stays until it is pruned. Says whether there was one.
    pub fn forget_name(&self, name: &str) -> Result<bool, Error> {
        let path = self.name_file(name);
        match super::disk::remove(&path) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(Error::Io { path, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_replaced_and_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (a, b) = (store.put(b"a").unwrap(), store.put(b"b").unwrap());
        store.set_name("r.test/x:1", &a).unwrap();
        store.set_name("r.test/x:1", &b).unwrap();
        store.set_name("../x", &a).unwrap();
        assert_eq!(store.named("r.test/x:1"), Some(b));
        assert_eq!(store.names().unwrap(), [("../x".to_owned(), a), ("r.test/x:1".to_owned(), b)]);
        assert!(store.forget_name("../x").unwrap() && !store.forget_name("../x").unwrap());
        fs::remove_file(store.path(&b)).unwrap();
        assert_eq!(store.names().unwrap(), []);
    }
}
