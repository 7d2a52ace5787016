//! Booting a built image in QEMU.
//!
//! [`machine`] turns settings into a QEMU command line, [`accel`] finds out whether KVM truly works
//! here, [`check`] boots without a person and judges the result by init's report. [`onboard`] tries the
//! image against the orchestrator stand-in, to which [`trial`] leads it.

pub mod accel;
pub mod check;
pub mod machine;
pub mod onboard;
pub mod qmp;
pub mod trial;

pub use accel::Accel;
pub use machine::Machine;
