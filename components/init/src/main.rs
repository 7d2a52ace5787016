//! PID 1 of a HookOS image.

fn main() {}
