//! PID 1 of a HookOS image, also `service`, `poweroff`, `reboot` and `halt`: see the library.
#![no_main]

/// The one place of this crate that the compiler calls unsafe: it gives `main` its C name.
///
/// The start code of `std` opens `/dev/null` in place of closed standard descriptors and aborts
/// when that fails. The kernel starts PID 1 with all three closed when `console=` names a device
/// that does not exist, and an initramfs has no `/dev/null` before devtmpfs is mounted: the machine
/// would panic over a typing error on the kernel command line. So `std`'s start code is left out
/// and [`hookos_init::early`] opens the descriptors once `/dev` is there.
#[allow(unsafe_code)]
mod entry {
    #[unsafe(no_mangle)]
    pub extern "C" fn main() -> i32 {
        hookos_init::run()
    }
}
