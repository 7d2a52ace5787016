//! The fields of a tar header: numbers, checksum, and what extended headers put in their place.
//!
//! Sources: POSIX.1-2001 `pax`, and GNU tar's manual for base-256 numbers and long names.

use std::collections::BTreeMap;

/// Most bits of Linux device numbers (`MAJOR` has 12, `MINOR` 20).
const MAJORS: i64 = 1 << 12;
const MINORS: i64 = 1 << 20;

/// A number field: octal digits between spaces and NULs (empty is 0), or, with the first bit set,
/// a big-endian two's complement number in the bits that follow.
pub(super) fn number(field: &[u8]) -> Result<i64, String> {
    let Some((&first, rest)) = field.split_first() else { return Ok(0) };
    if first & 0x80 != 0 {
        let negative = first & 0x40 != 0;
        let start = i128::from(first & 0x3f) - if negative { 0x40 } else { 0 };
        let value = rest.iter().try_fold(start, |value, byte| {
            let value = value << 8 | i128::from(*byte);
            i64::try_from(value).ok().map(|_| value)
        });
        return value.and_then(|v| i64::try_from(v).ok()).ok_or_else(|| "a number over 64 bits".to_owned());
    }
    let end = field.iter().skip_while(|b| **b == 0).position(|b| *b == 0);
    let field: Vec<u8> =
        field.iter().copied().skip_while(|b| *b == 0).take(end.unwrap_or(usize::MAX)).collect();
    let digits = field.trim_ascii();
    digits
        .iter()
        .try_fold(0i64, |value, digit| match digit {
            b'0'..=b'7' => value.checked_mul(8).and_then(|v| v.checked_add(i64::from(digit - b'0'))),
            _ => None,
        })
        .ok_or_else(|| format!("{:?} is not an octal number", String::from_utf8_lossy(digits)))
}

/// Whether the sum of the header's bytes, its own field counted as spaces, is the one it states.
/// Old writers summed signed bytes.
pub(super) fn checksum_holds(header: &tar::Header) -> bool {
    let bytes = header.as_bytes();
    let field = 148..156;
    let plain = |i: usize, b: u8| if field.contains(&i) { b' ' } else { b };
    let unsigned: i64 = bytes.iter().enumerate().map(|(i, b)| i64::from(plain(i, *b))).sum();
    let signed: i64 = bytes.iter().enumerate().map(|(i, b)| i64::from(plain(i, *b).cast_signed())).sum();
    number(&bytes[field.clone()]).is_ok_and(|stated| stated == unsigned || stated == signed)
}

/// Major and minor number of a device.
pub(super) fn device(header: &tar::Header) -> Result<(u32, u32), String> {
    let (major, minor) = match (header.as_ustar(), header.as_gnu()) {
        (Some(ustar), _) => (number(&ustar.dev_major)?, number(&ustar.dev_minor)?),
        (_, Some(gnu)) => (number(&gnu.dev_major)?, number(&gnu.dev_minor)?),
        _ => (0, 0),
    };
    if !(0..MAJORS).contains(&major) || !(0..MINORS).contains(&minor) {
        return Err(format!("{major}:{minor} is not a device number of Linux"));
    }
    Ok((u32::try_from(major).unwrap_or(0), u32::try_from(minor).unwrap_or(0)))
}

/// What extended headers say of the next entry.
#[derive(Default)]
pub(super) struct Extension {
    pub path: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<u64>,
    pub gid: Option<u64>,
    /// Seconds since 1970, rounded down.
    pub mtime: Option<i64>,
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    seen: bool,
}

impl Extension {
    pub fn is_empty(&self) -> bool {
        !self.seen
    }

    /// Adds a PAX header, a GNU long name or a GNU long link target.
    pub fn take(&mut self, kind: tar::EntryType, mut bytes: Vec<u8>) -> Result<(), String> {
        self.seen = true;
        if kind.is_pax_local_extensions() {
            return self.pax(&bytes);
        }
        bytes.truncate(bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len()));
        if kind.is_gnu_longname() {
            self.path = Some(bytes);
        } else {
            self.link = Some(bytes);
        }
        Ok(())
    }

    /// Records of the form `LEN KEY=VALUE\n`, LEN counting the whole record. Read here and not by the
    /// tar crate, because a value may hold newlines (extended attributes are bytes).
    fn pax(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        let malformed = || "its PAX header is malformed".to_owned();
        while !bytes.is_empty() {
            let digits = bytes.iter().take(20).position(|b| *b == b' ').ok_or_else(malformed)?;
            let len: usize = std::str::from_utf8(&bytes[..digits])
                .ok()
                .filter(|text| text.bytes().all(|b| b.is_ascii_digit()))
                .and_then(|text| text.parse().ok())
                .ok_or_else(malformed)?;
            let record = bytes.get(digits + 1..len).ok_or_else(malformed)?;
            let (b'\n', record) = record.split_last().ok_or_else(malformed)? else {
                return Err(malformed());
            };
            bytes = &bytes[len..];
            let equals = record.iter().position(|b| *b == b'=').ok_or_else(malformed)?;
            self.record(&record[..equals], &record[equals + 1..])?;
        }
        Ok(())
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let bad = || {
            let shown = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
            format!("{:?} is not a PAX {}", shown(value), shown(key))
        };
        if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
            if name.is_empty() || name.contains(&0) {
                return Err("an extended attribute without a proper name".to_owned());
            }
            self.xattrs.insert(name.to_vec(), value.to_vec());
            return Ok(());
        }
        if key.starts_with(b"GNU.sparse.") {
            return Err("sparse files are not taken".to_owned());
        }
        // An empty value takes an earlier one back (POSIX).
        let value = (!value.is_empty()).then_some(value);
        let number = || -> Result<Option<u64>, String> {
            let Some(value) = value else { return Ok(None) };
            let digits = value.iter().all(u8::is_ascii_digit);
            let number =
                std::str::from_utf8(value).ok().filter(|_| digits).and_then(|text| text.parse().ok());
            number.map(Some).ok_or_else(bad)
        };
        match key {
            b"path" => self.path = value.map(<[u8]>::to_vec),
            b"linkpath" => self.link = value.map(<[u8]>::to_vec),
            b"size" => self.size = number()?,
            b"uid" => self.uid = number()?,
            b"gid" => self.gid = number()?,
            b"mtime" => self.mtime = value.map(|v| seconds(v).ok_or_else(bad)).transpose()?,
            _ => {}
        }
        Ok(())
    }
}

/// `[-]SECONDS[.FRACTION]`, rounded down to a whole second.
fn seconds(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    let down = whole.starts_with('-') && fraction.bytes().any(|b| b != b'0');
    seconds.checked_sub(i64::from(down))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256() {
        assert_eq!(number(b"0000644\0"), Ok(0o644));
        assert_eq!(number(b"   644 \0"), Ok(0o644));
        assert_eq!(number(b"\0\0\0\0\0\0\0\0"), Ok(0));
        assert_eq!(number(b"777777777777"), Ok(0o777_777_777_777));
        assert!(number(b"0000689\0").is_err());
        assert_eq!(number(&[0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]), Ok(2 << 32));
        assert_eq!(number(&[0xff; 12]), Ok(-1));
        assert_eq!(number(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe]), Ok(-2));
        assert!(number(&[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]).is_err(), "2^64 is too much");
        assert!(number(&[0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0]).is_err(), "2^63 is too much");
        assert!(number(&[0xbf; 12]).is_err());
    }

    #[test]
    fn times_are_rounded_down() {
        let cases: [(&[u8], Option<i64>); 8] = [
            (b"7", Some(7)),
            (b"7.9", Some(7)),
            (b"-1", Some(-1)),
            (b"-1.5", Some(-2)),
            (b"-0.5", Some(-1)),
            (b"1.x", None),
            (b"", None),
            (b"99999999999999999999", None),
        ];
        for (text, expected) in cases {
            assert_eq!(seconds(text), expected, "{}", String::from_utf8_lossy(text));
        }
    }
}
