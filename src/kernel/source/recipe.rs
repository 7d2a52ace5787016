//! The recipe's own files. The Dockerfile names the SHA-256 of `build.sh`, so that a tag made of the Dockerfile's
//! bytes, as HookOS's tags are, changes with either.

use crate::store::Digest;

pub const SCRIPT: &str = "build.sh";
pub const DOCKERFILE: &str = "Dockerfile";
/// What stands behind the digest, as `sha256sum --check` wants it.
const NAMED: &str = "  /kernel/build.sh";
const HEX: usize = 64;

/// The line of a Dockerfile, from 1, that names another `build.sh`, and the whole text with the right digest; none
/// where it is right, or names none.
pub fn renewed(dockerfile: &str, script: &Digest) -> Option<(usize, String)> {
    let end = dockerfile.find(NAMED)?;
    let start = end.checked_sub(HEX)?;
    let named = dockerfile.get(start..end)?;
    if !named.bytes().all(|byte| byte.is_ascii_hexdigit()) || named == script.hex() {
        return None;
    }
    let line = dockerfile[..start].matches('\n').count() + 1;
    Some((line, format!("{}{}{}", &dockerfile[..start], script.hex(), &dockerfile[end..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dockerfile_comes_to_name_the_script_of_today() {
        let of = |script: &str| Digest::of(script.as_bytes());
        let file = |script: &str| format!("FROM x\nRUN echo \"{}{NAMED}\" | check\n", of(script).hex());
        assert_eq!(renewed(&file("old"), &of("new")), Some((2, file("new"))));
        assert_eq!(renewed(&file("new"), &of("new")), None);
        for none in ["", NAMED, "FROM x", &format!("ä{}{NAMED}", "0".repeat(HEX - 1))] {
            assert_eq!(renewed(none, &of("new")), None, "{none}");
        }
    }
}
