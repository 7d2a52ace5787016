//! From a tree of files to an initramfs: the tree, cpio newc, compression, segments, the whole.

pub mod archive;
pub mod compress;
pub mod cpio;
pub mod join;
pub mod members;
pub mod overlap;
pub mod segment;
pub mod tree;

pub use compress::Compression;
pub use segment::Segment;
pub use tree::{Content, Kind, Node, Tree, TreePath};
