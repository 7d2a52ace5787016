//! Network links over rtnetlink(7): `lo` up, and the interfaces that runtime.json asks for.
//!
//! Message layouts: linux/netlink.h, linux/if_link.h, linux/veth.h. All numbers are in the byte order of
//! the machine.

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

const RTM_NEWLINK: u16 = 16;
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_PID: u16 = 19;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFF_UP: u32 = 1;

/// Longest interface name (IFNAMSIZ less the NUL).
const NAME_MAX: usize = 15;

/// Brings an interface up.
pub fn up(name: &str) -> io::Result<()> {
    request(0, &[link_header(IFF_UP), attribute(IFLA_IFNAME, &name_bytes(name)?)].concat())
}

/// Makes a link of a kind (`dummy`, `wireguard`, `veth`, ...), in the network namespace of
/// process `pid` or in ours. `peer` is the other end of a veth, made in our namespace.
pub fn add(name: &str, kind: &str, peer: Option<&str>, pid: Option<i32>) -> io::Result<()> {
    let mut info = attribute(IFLA_INFO_KIND, kind.as_bytes());
    if let Some(peer) = peer {
        let peer = [link_header(0), attribute(IFLA_IFNAME, &name_bytes(peer)?)].concat();
        info.extend(attribute(IFLA_INFO_DATA, &attribute(VETH_INFO_PEER, &peer)));
    }
    let mut body = link_header(0);
    body.extend(attribute(IFLA_IFNAME, &name_bytes(name)?));
    if let Some(pid) = pid {
        body.extend(attribute(IFLA_NET_NS_PID, &pid.to_ne_bytes()));
    }
    body.extend(attribute(IFLA_LINKINFO, &info));
    request(NLM_F_CREATE | NLM_F_EXCL, &body)
}

/// Moves an existing link into the network namespace of process `pid`.
pub fn move_to(name: &str, pid: i32) -> io::Result<()> {
    let mut body = link_header(0);
    body.extend(attribute(IFLA_IFNAME, &name_bytes(name)?));
    body.extend(attribute(IFLA_NET_NS_PID, &pid.to_ne_bytes()));
    request(0, &body)
}

fn name_bytes(name: &str) -> io::Result<Vec<u8>> {
    if name.is_empty() || name.len() > NAME_MAX || name.contains(['/', '\0']) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("`{name}` is not an interface name"),
        ));
    }
    Ok([name.as_bytes(), &[0]].concat())
}

/// `struct ifinfomsg` without an index: the link is found by its name attribute.
fn link_header(up: u32) -> Vec<u8> {
    let mut header = vec![0_u8; 8];
    header.extend(up.to_ne_bytes());
    header.extend(up.to_ne_bytes());
    header
}

fn attribute(kind: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len().saturating_add(4)).unwrap_or(u16::MAX);
    let mut out = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), payload].concat();
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

fn request(flags: u16, body: &[u8]) -> io::Result<()> {
    let socket: OwnedFd = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None, // protocol 0 is NETLINK_ROUTE
    )?;
    let length = u32::try_from(body.len().saturating_add(16)).unwrap_or(u32::MAX);
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(RTM_NEWLINK.to_ne_bytes());
    message.extend((flags | NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
    message.extend(1_u32.to_ne_bytes());
    message.extend(0_u32.to_ne_bytes());
    message.extend(body);
    rustix::net::sendto(&socket, &message, SendFlags::empty(), &netlink::SocketAddrNetlink::new(0, 0))?;
    // A changed link is also announced before the answer on some kernels only to subscribed
    // sockets; this one subscribes to nothing, so the first message is the answer.
    let mut answer = [0_u8; 4096];
    let (_, got) = rustix::net::recv(&socket, &mut answer[..], RecvFlags::empty())?;
    acknowledged(answer.get(..got.min(answer.len())).unwrap_or_default())
}

/// Reads `struct nlmsgerr`: zero is success, else a negative error number.
fn acknowledged(answer: &[u8]) -> io::Result<()> {
    let kind = answer.get(4..6).and_then(|b| b.try_into().ok()).map(u16::from_ne_bytes);
    let code = answer.get(16..20).and_then(|b| b.try_into().ok()).map(i32::from_ne_bytes);
    match (kind, code) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(code)) => Err(io::Error::from_raw_os_error(code.saturating_neg())),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the kernel's answer is not an acknowledgement")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_but_say_their_true_length() {
        let a = attribute(3, b"lo\0");
        assert_eq!(a.len(), 8);
        assert_eq!(u16::from_ne_bytes([a[0], a[1]]), 7);
    }

    #[test]
    fn answers() {
        let mut ok = vec![0; 36];
        ok[4..6].copy_from_slice(&NLMSG_ERROR.to_ne_bytes());
        assert!(acknowledged(&ok).is_ok());
        ok[16..20].copy_from_slice(&(-19_i32).to_ne_bytes());
        assert_eq!(acknowledged(&ok).unwrap_err().raw_os_error(), Some(19));
        assert!(acknowledged(b"short").is_err());
    }

    #[test]
    fn a_missing_interface_is_an_error_from_the_kernel() {
        let e = up("nosuchif0").unwrap_err();
        assert!(e.raw_os_error().is_some(), "{e}");
        assert!(up("a-name-that-is-too-long").is_err());
    }
}
