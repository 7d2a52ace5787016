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
        let program = programs(&store, &Toolshed::open(folder).unwrap(), &all, &Silent).unwrap().remove(0);
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
