//! The kernel: where it comes from, which modules and firmware it brings.
