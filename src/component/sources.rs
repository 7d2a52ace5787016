//! Whether a component can be made here and now: from the store, or with what there is to make it from.

use super::build::{Context, find, wanted};
use super::definition::{Definition, Recipe, Source};
use super::{dockerfile, packages};
use crate::oci::registry;
use crate::words::count_of;

/// What there is to make a component from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// Whether nothing is known to be in the way.
    pub ready: bool,
    /// Why, in a sentence.
    pub state: String,
}

impl Sources {
    fn ready(state: impl Into<String>) -> Self {
        Self { ready: true, state: state.into() }
    }

    fn missing(state: impl Into<String>) -> Self {
        Self { ready: false, state: state.into() }
    }
}

/// Looks at the store, at apt where packages are to be fetched, at Docker where it has to build.
pub fn sources(ctx: &Context, definition: &Definition) -> Sources {
    match find(ctx, definition) {
        Ok(Some(_)) => return Sources::ready("It is made already: it comes from the store."),
        Ok(None) => {}
        Err(problem) => return Sources::missing(format!("It cannot be made: {}.", problem.what())),
    }
    // Its own programs need a compiler, which is asked without compiling.
    let programs = match ctx.programs_here(&wanted(definition)) {
        Ok(Some(_)) => "",
        Ok(None) => " Its programs are to be compiled.",
        Err(problem) => {
            return Sources::missing(format!("Its programs cannot be compiled: {}.", problem.what()));
        }
    };
    match &definition.source {
        Source::Recipe(recipe) => of_recipe(ctx, definition, recipe, programs),
        Source::Image(image) => match registry::parse(&image.reference) {
            Err(error) => Sources::missing(format!("Its image cannot be had: {error}.")),
            Ok(_) if registry::named(&ctx.store, &image.reference).is_ok_and(|found| found.is_some()) => {
                Sources::ready(format!("Its image is in the store.{programs}"))
            }
            Ok(named) => Sources::ready(format!("Its image is pulled from {}.{programs}", named.registry())),
        },
        Source::Dockerfile(file) if !file.path.is_file() => {
            Sources::missing(format!("There is no {}.", file.path.display()))
        }
        Source::Dockerfile(file) => match dockerfile::connect(&file.path) {
            Ok(_) => Sources::ready("Docker builds it."),
            Err(problem) => Sources::missing(format!("Docker has to build it: {}.", problem.what())),
        },
    }
}

fn of_recipe(ctx: &Context, definition: &Definition, recipe: &Recipe, programs: &str) -> Sources {
    let suite = recipe.suite.get_ref();
    let (missing, what) = match packages::locked(definition, recipe) {
        Some(locked) => {
            let missing = locked.iter().filter(|package| !ctx.store.has(&package.sha256)).count() as u64;
            (missing, count_of(missing, "package"))
        }
        // Nobody has said yet which they are.
        None => (1, "all packages".to_owned()),
    };
    if missing == 0 {
        return Sources::ready(format!("All packages are in the store.{programs}"));
    }
    match ctx.apt.answers(suite) {
        Ok(()) => Sources::ready(format!("To be fetched: {what} of {suite}.{programs}")),
        Err(error) => Sources::missing(format!("To be fetched: {what} of {suite}, and {error}.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::component::load;
    use crate::debian::apt::Settings;
    use crate::debian::lock::{Mode, Package, PackageLock, Request};
    use crate::store::Store;
    use std::path::Path;

    /// Nobody listens there.
    const NOBODY: &str = "http://127.0.0.1:9/debian";

    fn component(folder: &Path, name: &str, text: &str) -> Definition {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("component.toml"), text).unwrap();
        load(&folder).unwrap()
    }

    #[test]
    fn a_component_is_ready_if_its_packages_are_in_the_store_or_apt_answers() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store")).unwrap();
        let archive = Settings { mirror: Some(NOBODY.to_owned()), security_mirror: Some(NOBODY.to_owned()) };
        let ctx = Context::new(&store, env!("CARGO_MANIFEST_DIR"), &archive, Mode::Default);
        let recipe = "description = \"x\"\n[recipe]\nsuite = \"trixie\"\npackages = [\"acpid\"]\n";
        let definition = component(folder.path(), "acpid", recipe);
        let found = sources(&ctx, &definition);
        assert!(!found.ready && found.state.contains("all packages of trixie"), "{found:?}");
        assert!(found.state.contains("127.0.0.1:9") && found.state.contains("does not answer"), "{found:?}");
        // The same with its packages at hand, whatever apt says.
        let package = |bytes: &[u8], name: &str| Package {
            name: name.to_owned(),
            version: "1".to_owned(),
            architecture: "amd64".to_owned(),
            sha256: crate::store::Digest::of(bytes),
            size: bytes.len() as u64,
            file: format!("{name}.deb"),
        };
        let packages = vec![package(b"one", "acpid"), package(b"two", "libc6")];
        let request = Request::new("trixie", &["acpid".to_owned()], &[]);
        PackageLock::new(request, packages)
            .write(&definition.folder.join("packages.lock"), "a test")
            .unwrap();
        store.put(b"one").unwrap();
        let found = sources(&ctx, &definition);
        assert!(!found.ready && found.state.contains("1 package of trixie"), "{found:?}");
        store.put(b"two").unwrap();
        let found = sources(&ctx, &definition);
        assert!(found.ready && found.state.contains("All packages are in the store"), "{found:?}");
        // An image says whom it comes from.
        let image = "description = \"x\"\nimage = \"registry.example.com/a/b:1\"\n";
        let found = sources(&ctx, &component(folder.path(), "pulled", image));
        assert!(found.ready && found.state.contains("registry.example.com"), "{found:?}");
    }
}
