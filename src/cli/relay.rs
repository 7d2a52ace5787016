//! `hookos relay ADDRESS`: standard input and output of this process are a connection to ADDRESS.
//! QEMU calls it for each connection of a guest to an address that stands for this machine's.

use crate::problem::{Problem, Result};
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd as _;

#[derive(Debug, clap::Args)]
pub struct RelayArgs {
    /// Where to connect to.
    address: SocketAddr,
}

pub fn run(args: RelayArgs) -> Result<()> {
    let broken = |e: io::Error| Problem::new(format!("no connection to {}", args.address)).because(e);
    let server = TcpStream::connect(args.address).map_err(broken)?;
    server.set_nodelay(true).map_err(broken)?;
    let mut up = server.try_clone().map_err(broken)?;
    // Not io::stdin: its buffer would hold back what comes in small pieces.
    let input = io::stdin().as_fd().try_clone_to_owned().map_err(broken)?;
    std::thread::spawn(move || {
        let _ = io::copy(&mut std::fs::File::from(input), &mut up);
        let _ = up.shutdown(Shutdown::Write);
    });
    let output = io::stdout().as_fd().try_clone_to_owned().map_err(broken)?;
    let mut down = server;
    // The guest closes when it likes: nothing to report.
    let _ = io::copy(&mut down, &mut std::fs::File::from(output));
    Ok(())
}
