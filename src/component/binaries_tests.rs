use super::*;
use crate::progress::Silent;

fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A copy of what the guest programs are built from.
fn copy_to(folder: &Path) {
    for name in ["Cargo.toml", "Cargo.lock", "benches", "components", "src", "tests/orchestrator"] {
        for entry in walkdir::WalkDir::new(project().join(name)) {
            let entry = entry.unwrap();
            let to = folder.join(entry.path().strip_prefix(project()).unwrap());
            if entry.file_type().is_dir() {
                fs::create_dir_all(&to).unwrap();
            } else if entry.file_type().is_file() {
                fs::copy(entry.path(), &to).unwrap();
            }
        }
    }
}

fn wanted() -> Vec<Wanted> {
    vec![Wanted { package: "hookos-init".into(), binary: "hookos-init".into() }]
}

/// How far it is.
#[derive(Default)]
struct Far(Mutex<(u64, u64)>);

impl Progress for Far {
    fn at(&self, done: u64, total: u64, _: Unit) {
        *self.0.lock().unwrap() = (done, total);
    }
    fn log(&self, _: &str) {}
    fn warn(&self, _: &str) {}
    fn cancelled(&self) -> bool {
        false
    }
}

/// Once alone; once with a program that asks more of a crate that both link (`signal-hook`).
#[test]
fn two_folders_give_the_same_program_whatever_is_built_with_it() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let other = two.path().join("with/another/longer/name");
    fs::create_dir_all(&other).unwrap();
    let mut built = Vec::new();
    let network = Wanted { package: "hookos-network".into(), binary: "hookos-network".into() };
    for (folder, company) in [(one.path(), vec![]), (other.as_path(), vec![network])] {
        copy_to(folder);
        let store = Store::open(folder.join("store")).unwrap();
        let all = [wanted(), company].concat();
        let far = Far::default();
        let program = programs(&store, &Toolshed::open(folder).unwrap(), &all, &far).unwrap().remove(0);
        let (done, total) = *far.0.lock().unwrap();
        assert!(total > 0 && done * 10 >= total * 9, "{done} of {total} crates");
        let bytes = store.read(&program.digest).unwrap();
        assert!(bytes.starts_with(b"\x7fELF"));
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(folder.to_str().unwrap()), "the program holds a path of this machine");
        assert!(program.crates.iter().any(|c| c.name == "hookos-guest" && c.checksum.is_none()));
        assert!(program.crates.iter().any(|c| c.name == "rustix" && c.checksum.is_some()));
        assert!(!program.crates.iter().any(|c| c.name == "proptest" || c.name == "windows-sys"));

        // Unchanged sources need no cargo: nothing is left for it to find.
        fs::remove_dir_all(folder.join("target")).unwrap();
        let again = programs(&store, &Toolshed::open(folder).unwrap(), &wanted(), &Silent).unwrap();
        assert_eq!(again, std::slice::from_ref(&program));
        assert!(!folder.join("target").exists(), "cargo ran again");
        built.push(program);
    }
    assert_eq!(built[0], built[1]);
}

#[test]
fn the_key_follows_the_sources_that_count() {
    let folder = tempfile::tempdir().unwrap();
    copy_to(folder.path());
    let key = || Workspace::read(folder.path()).unwrap().sources("hookos-init").unwrap();
    let first = key();
    let touch = |name: &str| fs::write(folder.path().join(name), format!("// {name}")).unwrap();
    touch("src/lib.rs");
    fs::create_dir_all(folder.path().join("components/init/tests")).unwrap();
    touch("components/init/tests/x.rs");
    touch("components/init/component.toml");
    assert_eq!(key(), first);
    touch("components/guest/src/report.rs");
    let second = key();
    assert_ne!(second, first, "a member that it depends on");
    let manifest = fs::read_to_string(folder.path().join("Cargo.toml")).unwrap();
    fs::write(folder.path().join("Cargo.toml"), manifest.replace("opt-level = \"s\"", "opt-level = 2"))
        .unwrap();
    assert_ne!(key(), second, "the profile");
    let text = Workspace::read(folder.path()).unwrap().sources("nosuch").unwrap_err().to_string();
    assert!(text.contains("hookos-init"), "{text}");
}

#[test]
fn crates_are_counted_before_they_are_compiled() {
    let workspace = Workspace::read(&project()).unwrap();
    let wanted = wanted();
    let count = crates_to_compile(&workspace, &wanted.iter().collect::<Vec<_>>());
    // PID 1 itself, what programs share, and the crates below them.
    assert!((5..150).contains(&count), "{count}");
}

#[test]
fn a_crate_counts_once_it_is_there() {
    let message = |reason: &str, kind: &str| {
        format!(
            r#"{{"reason":"{reason}","package_id":"registry+https://example.com#libc@0.2.1","target":{{"kind":["{kind}"]}},"fresh":true}}"#
        )
    };
    let package = finished(&message("compiler-artifact", "lib"));
    assert_eq!(package.as_deref(), Some("registry+https://example.com#libc@0.2.1"));
    assert_eq!(finished(&message("compiler-artifact", "custom-build")), None);
    assert_eq!(finished(&message("compiler-message", "lib")), None);
    assert_eq!(finished(r#"{"reason":"build-finished","success":true}"#), None);
    assert_eq!(finished("   Compiling libc v0.2.1"), None);
}
