//! What is remembered of an opened package: its control facts and where its data lies.

use super::control::Paragraph;
use super::deb::{Control, Error};
use crate::initramfs::tree::Tree;
use crate::oci::{Source, index, layer};
use crate::store::{Digest, Key, Store};
use serde::{Deserialize, Serialize};
use std::io::BufReader;

/// The record of one package's contents, kept as a blob under a work key.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Contents {
    /// Name, value.
    fields: Vec<(String, String)>,
    conffiles: Vec<String>,
    /// The decompressed data archive.
    data: Digest,
}

impl Contents {
    pub(super) fn new(control: &Control, data: Digest) -> Self {
        let own = |(n, v): (&str, &str)| (n.to_owned(), v.to_owned());
        Self {
            fields: control.fields.fields().map(own).collect(),
            conffiles: control.conffiles.clone(),
            data,
        }
    }

    /// The record under `key`, if its data is still there.
    pub(super) fn recall(store: &Store, key: &Key) -> Option<Self> {
        let record = store.work(key)?;
        let known: Self = serde_json::from_slice(&store.read(&record).ok()?).ok()?;
        store.has(&known.data).then_some(known)
    }

    pub(super) fn record(&self, store: &Store, key: &Key) -> Result<(), Error> {
        let text = serde_json::to_vec(self).map_err(|e| Error::Control(e.to_string()))?;
        let digest = store.put(&text)?;
        Ok(store.set_work(key, &digest)?)
    }

    /// Indexes the data; fails when the blob is damaged.
    pub(super) fn open(&self, store: &Store) -> Result<(Control, Tree), Error> {
        let file = store.open_blob(&self.data)?;
        let len =
            file.metadata().map_err(|source| Error::Member { member: "data.tar".to_owned(), source })?.len();
        let source = Source { blob: self.data, offset: 0, len };
        let entries = index::index(BufReader::with_capacity(256 * 1024, file), source)?;
        let mut tree = Tree::new();
        layer::apply(&mut tree, &entries, &self.data)?;
        let control =
            Control { fields: Paragraph::of(self.fields.clone()), conffiles: self.conffiles.clone() };
        Ok((control, tree))
    }
}
