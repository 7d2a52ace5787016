//! From a tree of files to an initramfs: the tree, cpio newc, compression, segments.

pub mod tree;

pub use tree::{Content, Kind, Node, Tree, TreePath};
