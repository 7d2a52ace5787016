//! What `build.sh` and the compiler print: counted, and searched for what went wrong.

use crate::problem::{Place, Problem};
use crate::progress::{Progress, Unit};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// The most warnings that are kept; a log has them all.
const WARNINGS: usize = 200;

/// Between the recipe and who listens: every line goes on, objects become progress.
pub struct Lines<'a> {
    progress: &'a dyn Progress,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    total: u64,
    done: u64,
    warnings: BTreeSet<String>,
    error: Option<(Place, String)>,
    /// The last line that is no object, warning or note.
    last: String,
    missing: Option<String>,
    version: Option<String>,
}

impl<'a> Lines<'a> {
    pub fn new(progress: &'a dyn Progress) -> Self {
        Self { progress, seen: Mutex::default() }
    }

    /// The compiler's warnings, sorted.
    pub fn warnings(&self) -> Vec<String> {
        self.seen().warnings.iter().cloned().collect()
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the recipe failed, as far as its lines say.
    pub fn problem(&self, wanted: &str) -> Problem {
        let seen = self.seen();
        if let Some(missing) = &seen.missing {
            return Problem::new(format!(
                "for a kernel from source these Debian packages are missing: {missing}"
            ))
            .remedy(format!("apt-get install {missing}; or have Docker compile it: --engine docker"));
        }
        if let Some(version) = &seen.version {
            let (series, point) = version.rsplit_once('.').unwrap_or((version, "0"));
            return Problem::usage(format!("the tarball holds Linux {version}, not {wanted}")).remedy(format!(
                "say which it is: --kernel-series {series} --kernel-point {point}, or `series` and `point` in the \
                 profile's [kernel] table"
            ));
        }
        let problem = match &seen.error {
            Some((place, what)) => {
                let problem = Problem::new(format!("the kernel does not compile: {what}"));
                match place.line {
                    Some(line) => problem.at(&place.file, line, place.column),
                    None => problem.in_file(&place.file),
                }
            }
            None => Problem::new(format!("the kernel's build failed: {}", seen.last)),
        };
        problem.remedy("the log of the kernel stage has every line that was printed")
    }
}

impl Progress for Lines<'_> {
    /// Steps of a Dockerfile say less than objects do.
    fn at(&self, _: u64, _: u64, _: Unit) {}

    fn log(&self, line: &str) {
        let line = line.trim_end();
        let at = self.seen().take(line);
        if let Some((done, total)) = at {
            self.progress.at(done, total, Unit::Items);
        }
        if !line.is_empty() && !line.starts_with("::") {
            self.progress.log(line);
        }
    }

    fn warn(&self, text: &str) {
        self.progress.warn(text);
    }

    fn cancelled(&self) -> bool {
        self.progress.cancelled()
    }
}

impl Seen {
    /// Gives how far it is, if that has changed.
    fn take(&mut self, line: &str) -> Option<(u64, u64)> {
        if let Some(word) = line.strip_prefix("::") {
            match word.split_once(' ') {
                Some(("objects", n)) => self.total = n.trim().parse().unwrap_or(0),
                Some(("missing", names)) => self.missing = Some(names.to_owned()),
                Some(("version", version)) => self.version = Some(version.to_owned()),
                _ => {}
            }
            return None;
        }
        if is_object(line) {
            // What is compiled before the count belongs to the preparation.
            if self.total == 0 {
                return None;
            }
            self.done = (self.done + 1).min(self.total);
            return Some((self.done, self.total));
        }
        if let Some((place, kind, what)) = message(line) {
            match kind {
                "warning" if self.warnings.len() < WARNINGS => {
                    self.warnings.insert(format!("{place}: {what}"));
                }
                "error" if self.error.is_none() => self.error = Some((place, what.to_owned())),
                _ => {}
            }
        } else if !line.is_empty() && !line.starts_with("make") {
            self.last = line.to_owned();
        }
        None
    }
}

/// `  CC [M]  drivers/net/veth.o`
fn is_object(line: &str) -> bool {
    let Some(rest) = line.strip_prefix("  ") else { return false };
    rest.ends_with('o') && ["CC ", "AS ", "LD "].iter().any(|kind| rest.starts_with(kind))
}

/// `drivers/net/veth.c:12:3: error: what`, or without the column; `fatal error` is an error.
fn message(line: &str) -> Option<(Place, &str, &str)> {
    let (before, kind, what) =
        [(": warning: ", "warning"), (": fatal error: ", "error"), (": error: ", "error")]
            .iter()
            .find_map(|(mark, kind)| line.split_once(mark).map(|(before, what)| (before, *kind, what)))?;
    let mut parts = before.split(':');
    let file = parts.next().filter(|file| !file.is_empty() && !file.contains(' '))?;
    // What make has to say of itself is about the run, not the source.
    if file == "make" || file.starts_with("make[") {
        return None;
    }
    let file = file.rsplit_once("/linux/").map_or(file, |(_, inside)| inside);
    let mut number = || parts.next().and_then(|text| text.parse().ok());
    let place = Place { file: PathBuf::from(file), line: number(), column: number() };
    Some((place, kind, what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Heard(Mutex<(Vec<(u64, u64)>, Vec<String>)>);

    impl Progress for Heard {
        fn at(&self, done: u64, total: u64, _: Unit) {
            self.0.lock().unwrap().0.push((done, total));
        }
        fn log(&self, line: &str) {
            self.0.lock().unwrap().1.push(line.to_owned());
        }
        fn warn(&self, text: &str) {
            self.log(text);
        }
        fn cancelled(&self) -> bool {
            false
        }
    }

    #[test]
    fn objects_are_counted_and_messages_kept() {
        let heard = Heard::default();
        let lines = Lines::new(&heard);
        for line in [
            "  CC      scripts/mod/empty.o",
            "::objects 2",
            "  CC      kernel/fork.o",
            "drivers/net/veth.c:12:3: warning: unused variable 'x' [-Wunused-variable]",
            "make[2]: warning: jobserver unavailable: using -j1.",
            "make: warning:  Clock skew detected.  Your build may be incomplete.",
            "  CC [M]  drivers/net/veth.o",
            "/a/b/linux/kernel/fork.c:7:1: error: expected ';' before '}' token",
            "make[1]: *** [scripts/Makefile.build:286: kernel/fork.o] Error 1",
        ] {
            lines.log(line);
        }
        assert_eq!(heard.0.lock().unwrap().0, [(1, 2), (2, 2)]);
        assert_eq!(heard.0.lock().unwrap().1.len(), 8, "all but the line for hookos");
        assert_eq!(lines.warnings(), ["drivers/net/veth.c:12:3: unused variable 'x' [-Wunused-variable]"]);
        let problem = lines.problem("5.10.1").to_string();
        assert!(
            problem.starts_with("kernel/fork.c:7:1: the kernel does not compile: expected ';'"),
            "{problem}"
        );
    }

    #[test]
    fn what_the_recipe_says_is_explained() {
        let lines = Lines::new(&crate::progress::Silent);
        lines.log("::version 5.10.262");
        let problem = lines.problem("5.10.228").to_string();
        assert!(
            problem.contains("5.10.262, not 5.10.228") && problem.contains("--kernel-point 262"),
            "{problem}"
        );
        let lines = Lines::new(&crate::progress::Silent);
        lines.log("::missing bc flex");
        assert!(lines.problem("").to_string().contains("apt-get install bc flex;"));
        let lines = Lines::new(&crate::progress::Silent);
        lines.log("tar: linux.tar: Cannot open");
        lines.log("make: *** [Makefile:1] Error 2");
        assert!(lines.problem("").what().ends_with("tar: linux.tar: Cannot open"));
    }
}
