//! Values of `component.toml` that are checked while they are read, so that a mistake has its line
//! and column.

use crate::initramfs::tree::TreePath;
use crate::site::proxies;
use serde::Deserialize;
use std::fmt;

/// A path in the image: absolute, without `..`, not the root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct ImagePath(pub TreePath);

impl TryFrom<String> for ImagePath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Err(format!("path {text:?} must begin with `/`"));
        }
        let path = TreePath::new(&text).map_err(|e| e.to_string())?;
        if path.is_root() { Err("the path must not be `/` itself".to_owned()) } else { Ok(Self(path)) }
    }
}

impl fmt::Display for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Permission bits, written as octal text such as `"0644"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Mode(pub u32);

impl TryFrom<String> for Mode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits = (3..=5).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'0'..=b'7'));
        match u32::from_str_radix(&text, 8) {
            Ok(mode) if digits && mode <= 0o7777 => Ok(Self(mode)),
            _ => Err(format!("mode {text:?} is not octal digits in quotes, such as \"0644\"")),
        }
    }
}

/// A glob over paths without their leading `/`; `*` stays in one folder, `**` goes over folders.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Glob(pub globset::Glob);

impl TryFrom<String> for Glob {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let pattern = text.trim_start_matches('/');
        if pattern.is_empty() {
            return Err("an empty glob".to_owned());
        }
        globset::GlobBuilder::new(pattern)
            .literal_separator(true)
            .backslash_escape(true)
            .build()
            .map(Self)
            .map_err(|e| e.to_string())
    }
}

/// The name of a user or group, as Debian's adduser takes them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct AccountName(pub String);

impl TryFrom<String> for AccountName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
        let start = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
        if start && text.len() <= 32 && text.bytes().all(fine) {
            Ok(Self(text))
        } else {
            Err(format!("{text:?} is not a user or group name (a-z, 0-9, `_`, `-`, at most 32)"))
        }
    }
}

/// The name of a build argument that is the component's own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct ArgumentName(pub String);

impl TryFrom<String> for ArgumentName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let fine = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if !text.bytes().all(fine) || text.is_empty() || text.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(format!("{text:?} is not the name of a build argument (A-Z, a-z, 0-9, `_`)"));
        }
        if proxies::NAMES.contains(&text.to_ascii_lowercase().as_str()) {
            return Err(format!("{text} is told by the profile's [network] table, or by the environment"));
        }
        if text == EPOCH {
            return Err(format!("{text} is told by the environment"));
        }
        Ok(Self(text))
    }
}

/// The variable, and the build argument, of the clamp of times.
pub const EPOCH: &str = "SOURCE_DATE_EPOCH";

/// A field of /etc/passwd: no colon, no line end.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PasswdField(pub String);

impl TryFrom<String> for PasswdField {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.contains([':', '\n', '\0']) {
            Err(format!("{text:?} must hold no colon and no line end"))
        } else {
            Ok(Self(text))
        }
    }
}

/// Where a symbolic link points; not empty.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct LinkTarget(pub String);

impl TryFrom<String> for LinkTarget {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() || text.contains('\0') || text.len() > TreePath::LONGEST {
            Err(format!("{text:?} is not the target of a link"))
        } else {
            Ok(Self(text))
        }
    }
}
