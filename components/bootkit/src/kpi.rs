//! The times that the boot loader took, which it leaves on the kernel command line as `s_NAME=HEX`.

use hookos_guest::cmdline::Cmdline;

/// Points in time that begin and end something, without `s_` before and `_start`, `_end` after.
const SPANS: [&str; 2] = ["initramfs", "netconf"];
const START: &str = "s_vmlinux_start";

/// A line for each, and one for how long each part took. The loader's clock counts seconds.
pub fn lines(cmdline: &Cmdline) -> Vec<String> {
    let mut out = Vec::new();
    for (key, value) in cmdline.pairs().filter(|(key, _)| key.starts_with("s_")) {
        out.push(match number(value) {
            Some(number) => format!("boot KPI: {key} = {number}"),
            None => format!("boot KPI: {key} has no hexadecimal number: {value:?}"),
        });
    }
    let at = |key: &str| cmdline.value(key).and_then(number);
    let spans = SPANS.map(|name| (name, at(&format!("s_{name}_start")), at(&format!("s_{name}_end"))));
    let kernel = ("vmlinux", at(START), at("s_initramfs_start"));
    for (name, start, end) in std::iter::once(kernel).chain(spans) {
        if let Some(seconds) = end.zip(start).and_then(|(end, start)| end.checked_sub(start)) {
            out.push(format!("boot KPI: {name} took {seconds} s"));
        }
    }
    out
}

/// A hexadecimal number, with or without `0x`.
fn number(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    // from_str_radix takes a sign.
    let fine = digits.bytes().all(|b| b.is_ascii_hexdigit());
    u64::from_str_radix(digits, 16).ok().filter(|_| fine)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_spans_and_garbage() {
        let text = b"s_vmlinux_start=0x66a0 quiet s_initramfs_start=66a4 s_initramfs_end=0X66B0 \
                     s_netconf_start=zz s_netconf_end= s_flag console=ttyS0";
        assert_eq!(
            lines(&Cmdline::parse(text)),
            [
                "boot KPI: s_vmlinux_start = 26272",
                "boot KPI: s_initramfs_start = 26276",
                "boot KPI: s_initramfs_end = 26288",
                "boot KPI: s_netconf_start has no hexadecimal number: \"zz\"",
                "boot KPI: s_netconf_end has no hexadecimal number: \"\"",
                "boot KPI: vmlinux took 4 s",
                "boot KPI: initramfs took 12 s",
            ]
        );
        for bad in ["+1", "-1", "0x", "", "12345678901234567", "0x0x1"] {
            assert_eq!(number(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn written_numbers_are_read(n: u64) {
            prop_assert_eq!(number(&format!("{n:x}")), Some(n));
            prop_assert_eq!(number(&format!("0x{n:X}")), Some(n));
        }

        #[test]
        fn any_command_line(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut line = b"s_initramfs_end=1 s_initramfs_start=".to_vec();
            line.extend(bytes);
            prop_assert!(!lines(&Cmdline::parse(&line)).is_empty());
        }
    }
}
