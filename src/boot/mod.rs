//! Booting a built image in QEMU.
