//! What a Dockerfile says of the world outside: the images that it starts from, and the arguments that it takes.
//!
//! Source: docs.docker.com, "Dockerfile reference". The engine is who reads it properly; this finds what must
//! be known before: a name too many does no harm, and an instruction that the engine refuses is refused by it.

use std::collections::{BTreeMap, BTreeSet};

/// A Dockerfile's instructions, one a line, continued lines joined.
fn instructions(text: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        let (line, goes_on) = match line.strip_suffix('\\') {
            Some(line) => (line.trim_end(), true),
            None => (line, false),
        };
        match all.last_mut().filter(|_| open) {
            Some(last) => {
                last.push(' ');
                last.push_str(line);
            }
            None => all.push(line.to_owned()),
        }
        open = goes_on;
    }
    all
}

/// `FROM --platform=x a AS b` is the keyword and the rest.
fn keyword(instruction: &str) -> (String, &str) {
    let (word, rest) = instruction.split_once(char::is_whitespace).unwrap_or((instruction, ""));
    (word.to_ascii_uppercase(), rest.trim())
}

/// `NAME=value` with an optional default, as `ARG` has it.
fn declarations(rest: &str) -> Vec<(String, Option<String>)> {
    let words = shlex::split(rest).unwrap_or_default();
    let declaration = |word: String| match word.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (word, None),
    };
    words.into_iter().map(declaration).collect()
}

/// The arguments that it takes.
pub fn arguments(text: &str) -> BTreeSet<String> {
    let all = instructions(text);
    let declared = all.iter().map(|line| keyword(line)).filter(|(word, _)| word == "ARG");
    declared.flat_map(|(_, rest)| declarations(rest)).map(|(name, _)| name).collect()
}

/// The images that it names: of `FROM`, `COPY --from`, `RUN --mount=from=` and its frontend's.
pub fn images(text: &str, given: &BTreeMap<String, String>) -> BTreeSet<String> {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let mut stages = BTreeSet::new();
    let mut found = BTreeSet::new();
    let frontend = text.lines().take_while(|line| line.trim_start().starts_with('#'));
    let frontend = frontend.filter_map(|line| {
        let (name, value) = line.trim_start().trim_start_matches('#').split_once('=')?;
        name.trim().eq_ignore_ascii_case("syntax").then(|| value.trim().to_owned())
    });
    found.extend(frontend);
    for instruction in instructions(text) {
        let (word, rest) = keyword(&instruction);
        let mut names: Vec<String> = Vec::new();
        let mut begun = None;
        match word.as_str() {
            "ARG" => {
                for (name, default) in declarations(rest) {
                    let default = default.map(|text| expand(&text, &known));
                    if let Some(value) = given.get(&name).cloned().or(default) {
                        known.insert(name, value);
                    }
                }
            }
            "FROM" => {
                let words: Vec<&str> = rest.split_whitespace().filter(|w| !w.starts_with("--")).collect();
                names.extend(words.first().map(|word| expand(word, &known)));
                if let [_, word, stage, ..] = words[..]
                    && word.eq_ignore_ascii_case("as")
                {
                    begun = Some(stage.to_ascii_lowercase());
                }
            }
            "COPY" | "ADD" => {
                let from = rest.split_whitespace().filter_map(|word| word.strip_prefix("--from="));
                names.extend(from.map(|name| expand(name, &known)));
            }
            "RUN" => {
                let mounts = rest.split_whitespace().filter_map(|word| word.strip_prefix("--mount="));
                let from =
                    mounts.flat_map(|mount| mount.split(',')).filter_map(|part| part.strip_prefix("from="));
                names.extend(from.map(|name| expand(name, &known)));
            }
            _ => {}
        }
        let outside = |name: &String| {
            let stage = name.parse::<u32>().is_ok() || stages.contains(&name.to_ascii_lowercase());
            !stage && name != "scratch" && !name.is_empty()
        };
        found.extend(names.into_iter().filter(outside));
        // A stage may have the name of the image that it starts from.
        stages.extend(begun);
    }
    found
}

/// Puts in the values of `$NAME`, `${NAME}` and `${NAME:-default}`.
fn expand(text: &str, values: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (inner, tail) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some(both) => both,
            None => {
                let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
                after.split_at(end)
            }
        };
        let (name, default) = match inner.split_once(":-").or_else(|| inner.split_once('-')) {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        let value = values.get(name).map(String::as_str).filter(|value| !value.is_empty());
        out.push_str(value.or(default).unwrap_or_default());
        rest = tail;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# syntax = docker.io/docker/dockerfile:1\n\
        ARG BASE=r.test/base:1 TAG\n\
        FROM --platform=linux/amd64 ${BASE} AS Build\n\
        # FROM r.test/comment\n\
        RUN --mount=type=bind,from=r.test:5000/tools:1,target=/t \\\n    make && \\\n    # a remark\n    FROM=x\n\
        from r.test/$TAG/end:${NUMBER:-7} as other\n\
        COPY --from=build /a /b\nCOPY --chown=1 --from=r.test/copied /a /b\nCOPY --from=0 /a /b\n\
        FROM scratch\n";

    #[test]
    fn the_images_of_a_dockerfile_are_those_that_are_not_its_own_stages() {
        let given = BTreeMap::from([("TAG".to_owned(), "team".to_owned())]);
        let found = images(TEXT, &given);
        let wanted = [
            "docker.io/docker/dockerfile:1",
            "r.test/base:1",
            "r.test/copied",
            "r.test/team/end:7",
            "r.test:5000/tools:1",
        ];
        assert_eq!(found.into_iter().collect::<Vec<_>>(), wanted);
        let given = BTreeMap::from([("BASE".to_owned(), "own:2".to_owned())]);
        assert!(images(TEXT, &given).contains("own:2"));
        assert!(images("FROM debian AS debian\nFROM debian\n", &given).contains("debian"));
    }

    #[test]
    fn its_arguments_are_those_that_it_declares() {
        let found = arguments("ARG A B=\"x y\"\nFROM a\narg C\nENV D=1\n# ARG E\nRUN ARG \\\n ARG F\n");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["A", "B", "C"]);
    }
}
