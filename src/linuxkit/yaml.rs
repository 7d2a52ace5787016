//! YAML as a tree of values that know where they stand, read within fixed bounds.
//!
//! The bounds make hostile input cheap to refuse: input size, nesting, number of nodes, copies made
//! by aliases and the bytes of all texts, counted after aliases are expanded.

use crate::problem::{Problem, Result};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Error, Spanned};
use std::cell::Cell;
use std::fmt;
use std::path::Path;

/// The longest definition that is read, in bytes.
pub const LONGEST: u64 = 16 << 20;
/// All texts of a document together, in bytes, aliases expanded.
const MOST_TEXT: usize = 64 << 20;
const DEEPEST: usize = 40;
const MOST_NODES: usize = 500_000;

/// A place in a text; line and column count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    pub line: usize,
    pub column: usize,
}

/// A value and where it begins.
#[derive(Debug, Clone)]
pub struct Node {
    pub mark: Mark,
    pub value: Value,
}

#[derive(Debug, Clone)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// In the order of the document; keys are unique.
    Map(Vec<(Key, Node)>),
}

#[derive(Debug, Clone)]
pub struct Key {
    pub mark: Mark,
    pub text: String,
}

impl Value {
    /// What the value is, as said in an error.
    pub fn kind(&self) -> String {
        match self {
            Self::Null => "nothing (null)".into(),
            Self::Bool(value) => format!("the boolean {value}"),
            Self::Int(value) => format!("the integer {value}"),
            Self::Float(value) => format!("the number {value}"),
            Self::Text(text) if text.chars().count() <= 40 => format!("the text {text:?}"),
            Self::Text(_) => "a text".into(),
            Self::List(_) => "a list".into(),
            Self::Map(_) => "a map".into(),
        }
    }
}

thread_local! {
    /// Text bytes that the document being read on this thread may still hold.
    static TEXT_LEFT: Cell<usize> = const { Cell::new(0) };
}

struct ValueVisitor;

fn charge<E: de::Error>(bytes: usize) -> Result<(), E> {
    TEXT_LEFT.with(|left| match left.get().checked_sub(bytes) {
        Some(rest) => {
            left.set(rest);
            Ok(())
        }
        None => {
            Err(E::custom(format!("the texts, aliases expanded, are longer than {} MiB", MOST_TEXT >> 20)))
        }
    })
}

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }
    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value.into()))
    }
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Int(value.into()))
    }
    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Value, E> {
        Ok(Value::Int(value))
    }
    fn visit_u128<E: de::Error>(self, value: u128) -> Result<Value, E> {
        i128::try_from(value).map(Value::Int).map_err(|_| E::custom("the number is too large"))
    }
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }
    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        charge(value.len())?;
        Ok(Value::Text(value.to_owned()))
    }
    fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
        charge(value.len())?;
        Ok(Value::Text(value))
    }
    fn visit_bytes<E: de::Error>(self, _: &[u8]) -> Result<Value, E> {
        Err(E::custom("binary values are not accepted"))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut out = Vec::new();
        while let Some(node) = seq.next_element()? {
            out.push(node);
        }
        Ok(Value::List(out))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut out = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            charge(key.value.len())?;
            let key = Key { mark: mark(&key.referenced), text: key.value };
            out.push((key, map.next_value()?));
        }
        Ok(Value::Map(out))
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { mark: mark(&spanned.referenced), value: spanned.value })
    }
}

fn mark(location: &serde_saphyr::Location) -> Mark {
    let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).max(1);
    Mark { line: number(location.line()), column: number(location.column()) }
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_reader_input_bytes: None,
            max_depth: DEEPEST,
            flow_nesting_limit: DEEPEST,
            max_nodes: MOST_NODES,
            max_events: 2 * MOST_NODES,
            max_total_scalar_bytes: MOST_TEXT,
            // Generated YAML may lean on few anchors; the copies themselves are counted below.
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MOST_NODES,
            max_replay_stack_depth: 16,
        },
        emit_comments: false,
        // As in YAML 1.2 and in LinuxKit: `yes` and `on` are texts.
        strict_booleans: true,
        // LinuxKit's reader takes 0644 for an octal integer.
        legacy_octal_numbers: true,
        with_snippet: false,
    }
}

/// Reads the first document of `text`; `file` is named in problems.
pub fn read(text: &[u8], file: &Path) -> Result<Node> {
    if text.len() as u64 > LONGEST {
        return Err(Problem::usage(format!(
            "the YAML is longer than {} MiB; at most that is read",
            LONGEST >> 20
        ))
        .in_file(file)
        .remedy("put large contents in a file of its own and name it with `source:`"));
    }
    if let Err(e) = std::str::from_utf8(text) {
        let line = text[..e.valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
        return Err(Problem::usage("the YAML is not UTF-8 text").at(file, line, None).because(e));
    }
    TEXT_LEFT.with(|left| left.set(MOST_TEXT));
    let mut reader = text;
    let first = serde_saphyr::read_with_options::<_, Node>(&mut reader, options()).next();
    match first {
        Some(Ok(node)) => Ok(node),
        Some(Err(e)) => Err(yaml_problem(&e, file)),
        None => Err(Problem::usage("the YAML is empty")
            .in_file(file)
            .remedy("an image definition has at least one of kernel, init, onboot, services, files")),
    }
}

fn yaml_problem(error: &Error, file: &Path) -> Problem {
    let text = error.without_snippet().to_string();
    let mut lines = text.lines();
    let what = lines.next().unwrap_or("the YAML cannot be read");
    let problem = Problem::usage(format!("the YAML cannot be read: {what}"));
    match error.location().map(|l| mark(&l)) {
        Some(mark) => problem.at(file, mark.line, Some(mark.column)),
        None => problem.in_file(file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    fn parse(text: &str) -> Result<Node> {
        read(text.as_bytes(), Path::new("x.yml"))
    }

    fn entries(node: &Node) -> &[(Key, Node)] {
        match &node.value {
            Value::Map(entries) => entries,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn scalars_have_the_types_that_linuxkit_sees() {
        let node =
            parse("a: 0644\nb: yes\nc: true\nd: \"0644\"\ne: ~\nf: 1.5\ng: !!str 12\nh: 0x10\n").unwrap();
        let kinds: Vec<_> = entries(&node).iter().map(|(_, n)| n.value.kind()).collect();
        assert_eq!(
            kinds,
            [
                "the integer 420",
                "the text \"yes\"",
                "the boolean true",
                "the text \"0644\"",
                "nothing (null)",
                "the number 1.5",
                "the text \"12\"",
                "the integer 16"
            ]
        );
    }

    #[test]
    fn keys_and_values_know_their_place() {
        let node = parse("top:\n  - name: x\n    deep: {a: 1,\n      b: 2}\n").unwrap();
        let Value::List(list) = &entries(&node)[0].1.value else { panic!() };
        let (key, value) = &entries(&list[0])[1];
        assert_eq!((key.mark.line, key.mark.column), (3, 5));
        let (key, value) = &entries(value)[1];
        assert_eq!((key.mark.line, key.mark.column, value.mark.column), (4, 7, 10));
    }

    #[test]
    fn only_the_first_document_counts() {
        assert_eq!(entries(&parse("a: 1\n---\nb: 2\n").unwrap()).len(), 1);
        // What follows is not even looked at.
        assert_eq!(entries(&parse("a: 1\n---\n{{{{\n").unwrap()).len(), 1);
    }

    #[test]
    fn merge_keys_are_expanded() {
        let node = parse("base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\n").unwrap();
        assert_eq!(entries(&entries(&node)[1].1).len(), 2);
    }

    #[test]
    fn empty_input_is_an_error() {
        for text in ["", "   \n", "# only a comment\n"] {
            let problem = parse(text).unwrap_err();
            assert!(problem.what().contains("empty"), "{text:?}: {problem}");
        }
    }

    #[test]
    fn broken_yaml_names_the_line() {
        let problem = parse("a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert!(problem.place().unwrap().line.unwrap() >= 2, "{problem}");
        assert!(problem.to_string().starts_with("x.yml:"), "{problem}");
        assert!(parse("a: 1\na: 2\n").unwrap_err().to_string().contains(":2:1"));
        let bytes = read(b"a: 1\nb: \xff\n", Path::new("x.yml")).unwrap_err();
        assert_eq!(bytes.place().unwrap().line, Some(2));
    }

    #[test]
    fn hostile_input_is_refused_fast() {
        let started = std::time::Instant::now();
        // A billion laughs.
        let mut laughs = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for i in 1..12 {
            let _ = writeln!(laughs, "a{i}: &a{i} [{}]", vec![format!("*a{}", i - 1); 10].join(","));
        }
        assert!(parse(&laughs).is_err());
        // One long text, many times.
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 5000].join(","));
        assert!(parse(&long).is_err());
        // Deep nesting, flow and block.
        for deep in [format!("a: {}", "[".repeat(200_000)), format!("a: {}", "{a: ".repeat(200_000))] {
            assert!(parse(&deep).is_err());
        }
        let block: String = (0..2000).fold(String::new(), |mut text, i| {
            let _ = writeln!(text, "{}a:", " ".repeat(i));
            text
        });
        assert!(parse(&block).is_err());
        assert!(parse("a: &a [*a]\n").is_err());
        // Many nodes.
        assert!(parse(&format!("a: [{}]", "1,".repeat(700_000))).is_err());
        // 100 MB.
        let problem = parse(&"# comment\n".repeat(10_000_000)).unwrap_err();
        assert!(problem.what().contains("at most"), "{problem}");
        assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
    }
}
