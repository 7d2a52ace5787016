//! `/proc/self/mountinfo` (proc(5)).

use std::path::PathBuf;

/// One mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    pub point: PathBuf,
    /// `8:1`; major 0 means that no block device is behind it.
    pub device: String,
    pub kind: String,
    pub source: String,
}

/// All mounts of this process's namespace, in the order of mounting.
pub fn read() -> Vec<Mount> {
    parse(&std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
}

/// Parses the file's text; lines of another shape are left out.
pub fn parse(text: &str) -> Vec<Mount> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Mount> {
    let mut fields = line.split(' ');
    let device = fields.nth(2)?.to_owned();
    let point = unescape(fields.nth(1)?);
    let mut after = fields.skip_while(|f| *f != "-").skip(1);
    let kind = after.next()?.to_owned();
    let source = unescape(after.next()?).to_string_lossy().into_owned();
    Some(Mount { point, device, kind, source })
}

/// `\040` and its like to the byte they stand for.
fn unescape(text: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while let Some(&b) = bytes.get(i) {
        let octal =
            bytes.get(i + 1..i + 4).filter(|d| b == b'\\' && d.iter().all(|c| (b'0'..=b'7').contains(c)));
        match octal {
            Some(digits) => {
                let value = digits.iter().fold(0_u32, |v, c| v * 8 + u32::from(c - b'0'));
                out.push(u8::try_from(value & 0xff).unwrap_or(b'?'));
                i += 4;
            }
            None => {
                out.push(b);
                i += 1;
            }
        }
    }
    std::ffi::OsString::from_vec(out).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn optional_fields_and_escapes() {
        let text = "36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue\n\
                    bad line\n37 35 0:21 / /sys rw - sysfs sysfs rw\n";
        let got = parse(text);
        assert_eq!(got.len(), 2);
        assert_eq!(got[0].point, PathBuf::from("/mnt 2"));
        assert_eq!(
            (got[0].kind.as_str(), got[0].source.as_str(), got[0].device.as_str()),
            ("ext3", "/dev/root", "98:0")
        );
        assert_eq!(got[1].point, PathBuf::from("/sys"));
    }

    proptest! {
        #[test]
        fn never_panics(text in ".*") {
            parse(&text);
            unescape(&text);
        }
    }
}
