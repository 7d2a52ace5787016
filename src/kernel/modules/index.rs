//! The binary index files of `modprobe`: a trie with path compression.
//!
//! Format (kmod, `libkmod/libkmod-index.h`), every number big-endian and 32 bits wide:
//! magic, version, offset of the root node; then the nodes, children before their parent.
//! The top bits of a node's offset say what the node has: a prefix (NUL-ended), children (first and
//! last character, one offset for each character between them, 0 for none), values (how many, then
//! priority and NUL-ended text of each, lowest priority first).

use std::collections::BTreeMap;

const MAGIC: u32 = 0xB007_F457;
const VERSION: u32 = 0x0002_0001;
const HAS_PREFIX: u32 = 0x8000_0000;
const HAS_VALUES: u32 = 0x4000_0000;
const HAS_CHILDREN: u32 = 0x2000_0000;
/// Offsets have 28 bits.
const OFFSET: u32 = 0x0FFF_FFFF;

/// Why an index cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{0:?} has a character that an index cannot hold (only ASCII without NUL)")]
    Key(String),
    #[error("the index is longer than an offset can say (256 MiB)")]
    Long,
}

/// Keys (which may be patterns) with their values.
#[derive(Debug, Clone, Default)]
pub struct Index {
    // Values of one key are kept in the order that the file has them in.
    entries: BTreeMap<Vec<u8>, Vec<(u32, String)>>,
}

impl Index {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value. Readers take a lower `priority` first; of two with the same, the later added.
    pub fn insert(&mut self, key: &str, value: impl Into<String>, priority: u32) -> Result<(), Error> {
        let value = value.into();
        if let Some(bad) = [key, &value].into_iter().find(|text| !text.is_ascii() || text.contains('\0')) {
            return Err(Error::Key(bad.to_owned()));
        }
        let values = self.entries.entry(key.as_bytes().to_vec()).or_default();
        let at = values.partition_point(|(other, _)| *other < priority);
        values.insert(at, (priority, value));
        Ok(())
    }

    /// The bytes of the file.
    pub fn write(&self) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        for word in [MAGIC, VERSION, 0] {
            out.extend(word.to_be_bytes());
        }
        let entries: Vec<Entry<'_>> =
            self.entries.iter().map(|(key, values)| (&key[..], &values[..])).collect();
        let root = write_node(&mut out, &entries, 0)?;
        out[8..12].copy_from_slice(&root.to_be_bytes());
        Ok(out)
    }
}

type Entry<'a> = (&'a [u8], &'a [(u32, String)]);

/// Writes the node of `entries` (sorted by key), whose keys agree in their first `from` bytes.
fn write_node(out: &mut Vec<u8>, entries: &[Entry<'_>], from: usize) -> Result<u32, Error> {
    let (first, last) = match (entries.first(), entries.last()) {
        (Some(first), Some(last)) => (&first.0[from..], &last.0[from..]),
        _ => (&[][..], &[][..]),
    };
    // Sorted, so what the first and the last have in common is common to all.
    // The root alone has no prefix, whatever its children share.
    let shared = first.iter().zip(last).take_while(|(a, b)| a == b).count();
    let common = if from == 0 { 0 } else { shared };
    let prefix = &first[..common];
    let below = from + common;
    let (values, entries) = match entries.split_first() {
        Some(((key, values), rest)) if key.len() == below => (*values, rest),
        _ => (&[][..], entries),
    };
    let mut children = Vec::new();
    for group in entries.chunk_by(|a, b| a.0[below] == b.0[below]) {
        children.push((group[0].0[below], write_node(out, group, below + 1)?));
    }
    let mut node = u32::try_from(out.len()).ok().filter(|at| *at <= OFFSET).ok_or(Error::Long)?;
    if !prefix.is_empty() {
        node |= HAS_PREFIX;
        out.extend(prefix);
        out.push(0);
    }
    if let (Some((low, _)), Some((high, _))) = (children.first(), children.last()) {
        node |= HAS_CHILDREN;
        out.extend([*low, *high]);
        let mut offsets = vec![0u32; usize::from(high - low) + 1];
        for (character, offset) in &children {
            offsets[usize::from(character - low)] = *offset;
        }
        out.extend(offsets.into_iter().flat_map(u32::to_be_bytes));
    }
    if !values.is_empty() {
        node |= HAS_VALUES;
        out.extend((values.len() as u32).to_be_bytes());
        for (priority, value) in values {
            out.extend(priority.to_be_bytes());
            out.extend(value.bytes());
            out.push(0);
        }
    }
    Ok(node)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads an index back, knowing only the format.
    fn read(bytes: &[u8]) -> Vec<(String, u32, String)> {
        fn word(bytes: &[u8], at: &mut usize) -> u32 {
            *at += 4;
            u32::from_be_bytes(bytes[*at - 4..*at].try_into().unwrap())
        }
        fn text(bytes: &[u8], at: &mut usize) -> String {
            let end = *at + bytes[*at..].iter().position(|b| *b == 0).unwrap();
            let text = String::from_utf8(bytes[*at..end].to_vec()).unwrap();
            *at = end + 1;
            text
        }
        fn node(bytes: &[u8], offset: u32, key: &str, out: &mut Vec<(String, u32, String)>) {
            let mut at = (offset & OFFSET) as usize;
            let mut key = key.to_owned();
            if offset & HAS_PREFIX != 0 {
                key.push_str(&text(bytes, &mut at));
            }
            let mut children = Vec::new();
            if offset & HAS_CHILDREN != 0 {
                let (low, high) = (bytes[at], bytes[at + 1]);
                at += 2;
                for character in low..=high {
                    children.push((character as char, word(bytes, &mut at)));
                }
            }
            if offset & HAS_VALUES != 0 {
                for _ in 0..word(bytes, &mut at) {
                    let priority = word(bytes, &mut at);
                    out.push((key.clone(), priority, text(bytes, &mut at)));
                }
            }
            for (character, offset) in children.into_iter().filter(|(_, offset)| *offset != 0) {
                node(bytes, offset, &format!("{key}{character}"), out);
            }
        }
        assert_eq!(&bytes[..8], &[0xB0, 0x07, 0xF4, 0x57, 0, 2, 0, 1]);
        let mut out = Vec::new();
        node(bytes, u32::from_be_bytes(bytes[8..12].try_into().unwrap()), "", &mut out);
        out
    }

    #[test]
    fn a_known_index_has_the_bytes_that_depmod_writes() {
        let mut index = Index::new();
        index.insert("ab", "x", 7).unwrap();
        index.insert("abc", "y", 1).unwrap();
        let expected = b"\xb0\x07\xf4\x57\0\x02\0\x01\x20\0\0\x28\
            \0\0\0\x01\0\0\0\x01y\0\
            b\0cc\x40\0\0\x0c\0\0\0\x01\0\0\0\x07x\0\
            aa\xe0\0\0\x16";
        assert_eq!(index.write().unwrap(), expected);
    }

    #[test]
    fn keys_outside_ascii_are_refused() {
        assert!(matches!(Index::new().insert("k\u{e9}y", "", 0), Err(Error::Key(_))));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            entries in proptest::collection::vec(("[a-d*_:]{1,6}", "[a-z]{0,4}", 0u32..9), 0..40)
        ) {
            let mut index = Index::new();
            for (key, value, priority) in &entries {
                index.insert(key, value.clone(), *priority).unwrap();
            }
            let mut found = read(&index.write().unwrap());
            prop_assert!(found.windows(2).all(|w| w[0].0 != w[1].0 || w[0].1 <= w[1].1));
            let mut entries: Vec<_> = entries.into_iter().map(|(k, v, p)| (k, p, v)).collect();
            entries.sort();
            found.sort();
            prop_assert_eq!(found, entries);
        }
    }
}
