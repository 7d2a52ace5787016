//! A kernel compiled from its source: `kernel/build.sh`, run in Docker or on the host.
//!
//! | to learn | read |
//! |---|---|
//! | what decides a kernel, and its tag | this file |
//! | where the tarball comes from | [`tarball`], with [`download`] and [`signature`] |
//! | how the recipe is run | [`host`], [`container`] |
//! | what its lines say | [`lines`] |
//! | how its files become the image | [`result`] |
//! | what a configuration holds | [`options`] |
//! | which kernels there are without compiling | [`kept`] |
//! | how the recipe's files hang together | [`recipe`] |

pub mod container;
pub mod download;
pub mod host;
mod kept;
pub mod lines;
pub mod options;
pub mod recipe;
pub mod result;
pub mod signature;
pub mod tarball;
pub mod tree;

use super::image::{Built, Input};
use crate::docker::{Arguments, Engine, Place};
use crate::oci::credentials::Credentials;
use crate::problem::{Problem, Result};
use crate::progress::{Progress, Silent};
use crate::store::{Digest, Hasher, Key, KeyMaker, Lock, Store};
use std::path::{Path, PathBuf};

pub use recipe::{DOCKERFILE, SCRIPT};
pub use tarball::Source;

/// Raised when the same inputs would give other bytes.
const CODE: &str = "kernel from source 3";

/// What compiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compiler {
    /// Docker where an engine answers, else the host.
    Auto,
    Host,
    Docker,
}

/// What is built.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The project's `kernel` folder.
    pub folder: PathBuf,
    /// As in `5.10`.
    pub series: String,
    /// As in `228`.
    pub point: i64,
    /// As in `generic`.
    pub config: String,
    pub source: Source,
    /// An image repository that may have the kernel already, as in `HOST/hook-kernel`.
    pub repository: Option<String>,
    pub compiler: Compiler,
    /// The image that Docker starts from.
    pub base: String,
    /// The proxies that Docker's build is told.
    pub proxies: Arguments,
    /// Who we are to the registry of that image.
    pub credentials: Credentials,
    pub jobs: usize,
}

/// No series has had as many point releases; the longest had 337 (4.9) when this was written.
const MOST_POINTS: i64 = 1000;

/// The inputs, read.
#[derive(Debug, Clone)]
pub struct Plan {
    pub settings: Settings,
    /// `kernel/configs/generic-5.10.y-x86_64`.
    pub config: PathBuf,
    /// The Dockerfile, with the digest of today's `build.sh`.
    dockerfile: String,
    pub tag: String,
    /// The end of the tag: what the configuration and the recipe are.
    recipe: String,
    inputs: Vec<Input>,
}

impl Settings {
    /// As in `5.10.228`.
    pub fn version(&self) -> String {
        format!("{}.{}", self.series, self.point)
    }

    /// The source as an input.
    fn linux(&self, sha256: Digest) -> Input {
        Input { name: format!("linux-{}", self.version()), sha256 }
    }

    pub fn config_path(&self) -> PathBuf {
        self.folder.join("configs").join(format!("{}-{}.y-x86_64", self.config, self.series))
    }
}

impl Plan {
    /// Reads the files that decide the kernel. Uses no network and does not read the tarball.
    pub fn new(settings: Settings) -> Result<Self> {
        let config = settings.config_path();
        let text = std::fs::read(&config).map_err(|e| no_config(&settings, &config, e))?;
        let read = |name: &str| {
            let path = settings.folder.join(name);
            std::fs::read(&path)
                .map_err(|e| Problem::new("the kernel's recipe cannot be read").in_file(&path).because(e))
        };
        let script = Digest::of(&read(SCRIPT)?);
        let dockerfile = String::from_utf8(read(DOCKERFILE)?).map_err(|e| {
            Problem::usage("it is no text").in_file(settings.folder.join(DOCKERFILE)).because(e)
        })?;
        let dockerfile = recipe::renewed(&dockerfile, &script).map_or(dockerfile, |(_, text)| text);
        let mut hasher = Hasher::new();
        hasher.update(&text);
        hasher.update(dockerfile.as_bytes());
        let recipe = hasher.finish().hex()[..8].to_owned();
        let tag = format!("{}-{recipe}", settings.version());
        let mut inputs = vec![
            input(&config, &text),
            Input { name: DOCKERFILE.to_owned(), sha256: Digest::of(dockerfile.as_bytes()) },
            Input { name: SCRIPT.to_owned(), sha256: script },
        ];
        // A tree of another origin may have the same version.
        if let Source::File { sha256: Some(sha256), .. } = &settings.source {
            inputs.push(settings.linux(*sha256));
        }
        Ok(Self { config, dockerfile, tag, recipe, inputs, settings })
    }

    /// The same with another point release of kernel.org, to look for.
    fn with_point(&self, point: i64) -> Self {
        let source = Source::Mirror(String::new());
        let settings = Settings { point, source, ..self.settings.clone() };
        let tag = format!("{}-{}", settings.version(), self.recipe);
        let linux = format!("linux-{}", self.settings.version());
        let inputs = self.inputs.iter().filter(|input| input.name != linux).cloned().collect();
        Self { settings, tag, inputs, ..self.clone() }
    }

    /// The point releases of the series that the store has, made as this one is.
    pub fn stored_points(&self, store: &Store) -> Vec<i64> {
        (0..MOST_POINTS).filter(|point| self.with_point(*point).find(store).is_some()).collect()
    }

    /// The point release of a tag, if it is of this series and made as this one is.
    pub fn point_of(&self, tag: &str) -> Option<i64> {
        let version = tag.strip_suffix(&self.recipe)?.strip_suffix('-')?;
        let point: i64 = version.strip_prefix(&self.settings.series)?.strip_prefix('.')?.parse().ok()?;
        (self.with_point(point).tag == tag).then_some(point)
    }

    /// What the release service has it under.
    pub fn reference(&self) -> Option<String> {
        self.settings.repository.as_ref().map(|repository| format!("{repository}:{}", self.tag))
    }

    /// The kernel out of the store or out of a cache that builders share; else it is compiled.
    pub fn obtain(&self, store: &Store, progress: &dyn Progress) -> Result<Built> {
        let _lock = self.lock(store, progress)?;
        // Another process may have made it while this one waited.
        match self.find(store) {
            Some(built) => Ok(built),
            None => self.compile(store, progress, true),
        }
    }

    /// Compiles the kernel, whether or not the store has it.
    pub fn build(&self, store: &Store, progress: &dyn Progress) -> Result<Built> {
        let _lock = self.lock(store, progress)?;
        self.compile(store, progress, false)
    }

    /// One process compiles a kernel; the others wait.
    fn lock(&self, store: &Store, progress: &dyn Progress) -> Result<Lock> {
        let name = format!("kernel-{}", &Digest::of(self.tag.as_bytes()).hex()[..32]);
        let lock = store.lock_until_cancelled(&name, progress)?;
        lock.ok_or_else(Problem::cancelled)
    }

    fn compile(&self, store: &Store, progress: &dyn Progress, reuse: bool) -> Result<Built> {
        let engine = self.engine(progress)?;
        let tools = match engine {
            Some(_) => None,
            None => Some(host::tools(&self.settings.folder.join(SCRIPT), Some(&self.config))?),
        };
        let source = self.settings.source.wanted(&self.settings, store, progress)?;
        let key = self.key(tools.as_deref(), &source);
        if reuse && let Some(built) = Built::find(store, &key) {
            self.keep(store, &built)?;
            return Ok(built);
        }
        // Docker compiles on the engine's disk, which may be another machine's.
        if engine.is_none() {
            tree::check_room(&store.tmp(), tree::BUILD)?;
        }
        let tarball = self.settings.source.get(&self.settings, store, progress)?;
        let scratch = tempfile::Builder::new()
            .prefix("kernel-")
            .tempdir_in(store.tmp())
            .map_err(|e| Problem::new("a folder for the build cannot be made").because(e))?;
        let (found, warnings) = match engine {
            Some(engine) => container::compile(self, &engine, &tarball, scratch.path(), store, progress)?,
            None => host::compile(self, &tarball, scratch.path(), store, progress)?,
        };
        let mut inputs = self.inputs.clone();
        let linux = self.settings.linux(tarball.sha256);
        if !inputs.contains(&linux) {
            inputs.push(linux);
        }
        let built = result::image(self, &key, &found, inputs, warnings, store, progress)?;
        built.keep(store, &key)?;
        self.keep(store, &built)?;
        Ok(built)
    }

    /// Names the work: all that decides bytes. Which compiler Docker has is known when it has compiled, so that its
    /// work is not shared with other builders; a registry has it by its tag.
    fn key(&self, tools: Option<&str>, source: &Digest) -> Key {
        let mut key = KeyMaker::new(CODE).add("layer", crate::oci::layer::FORMAT).add("tag", &self.tag);
        for input in &self.inputs {
            key = key.add(&input.name, input.sha256.bytes());
        }
        let key = key.add("source", source.bytes());
        match tools {
            Some(tools) => key.add("tools", tools),
            None => key.add("base", &self.settings.base).local(),
        }
        .finish()
    }

    /// Why it cannot be compiled on this machine, as far as that can be told without trying.
    pub fn hindrance(&self) -> Option<Problem> {
        let docker = self.settings.compiler == Compiler::Docker;
        docker.then(|| self.engine(&Silent).err()).flatten()
    }

    /// What compiles: an engine, or none for the host.
    fn engine(&self, progress: &dyn Progress) -> Result<Option<Engine>> {
        let connect = || Place::find().and_then(|place| Engine::connect(&place));
        match self.settings.compiler {
            Compiler::Host => Ok(None),
            Compiler::Docker => connect().map(Some).map_err(|e| {
                Problem::new(e.to_string()).remedy(
                    "start Docker (or Podman's service, with DOCKER_HOST), or compile with this machine's own tools: \
                     --engine host",
                )
            }),
            Compiler::Auto => Ok(connect()
                .inspect_err(|e| progress.log(&format!("{e}; this machine's own compiler is used")))
                .ok()),
        }
    }
}

fn input(path: &Path, bytes: &[u8]) -> Input {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Input { name, sha256: Digest::of(bytes) }
}

/// The names of the files in `configs` below the kernel's folder, sorted.
fn config_files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder.join("configs"))
        .map(|entries| {
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
        })
        .unwrap_or_default();
    names.sort();
    names
}

/// The configurations that there are, as name and series.
pub fn configurations(folder: &Path) -> Vec<(String, String)> {
    let parts = |file: &String| {
        let (name, series) = file.strip_suffix(".y-x86_64")?.rsplit_once('-')?;
        Some((name.to_owned(), series.to_owned()))
    };
    config_files(folder).iter().filter_map(parts).collect()
}

/// Says which configurations there are.
fn no_config(settings: &Settings, path: &Path, error: std::io::Error) -> Problem {
    let names = config_files(&settings.folder);
    Problem::usage(format!("there is no configuration {} for Linux {}", settings.config, settings.series))
        .in_file(path)
        .because(error)
        .remedy(format!("there are {}; docs/kernel.md says how to add one", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(folder: &Path) -> Settings {
        Settings {
            folder: folder.to_owned(),
            series: "5.10".to_owned(),
            point: 228,
            config: "generic".to_owned(),
            source: Source::Mirror("https://kernel.example/v5.x".to_owned()),
            repository: Some("registry.example/hook-kernel".to_owned()),
            compiler: Compiler::Host,
            base: "debian:12".to_owned(),
            proxies: Arguments::default(),
            credentials: Credentials::None,
            jobs: 1,
        }
    }

    #[test]
    fn the_tag_is_made_of_version_configuration_and_dockerfile() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        std::fs::create_dir(folder.path().join("configs")).unwrap();
        write("configs/generic-5.10.y-x86_64", "ab");
        write("Dockerfile", "c");
        write("build.sh", "x");
        let plan = Plan::new(settings(folder.path())).unwrap();
        // sha256("abc"), FIPS 180-2 appendix B.1.
        assert_eq!(plan.tag, "5.10.228-ba7816bf");
        assert_eq!(plan.reference().unwrap(), "registry.example/hook-kernel:5.10.228-ba7816bf");
        // Of other point releases, what was made in the same way.
        assert_eq!(plan.point_of("5.10.259-ba7816bf"), Some(259));
        for tag in ["5.10.259-00000000", "5.1.259-ba7816bf", "5.10.-ba7816bf", "5.10.07-ba7816bf", "ba7816bf"]
        {
            assert_eq!(plan.point_of(tag), None, "{tag}");
        }
        assert_eq!(configurations(folder.path()), [("generic".to_owned(), "5.10".to_owned())]);
        // A Dockerfile that names the script changes with it, though nobody has edited it.
        let named = format!("RUN echo \"{}  /kernel/build.sh\" | check", "0".repeat(64));
        write("Dockerfile", &named);
        let one = Plan::new(settings(folder.path())).unwrap();
        write("build.sh", "y");
        let other = Plan::new(settings(folder.path())).unwrap();
        assert_ne!(other.tag, one.tag, "another recipe is another kernel");
        let hash = Digest::of(format!("ab{}", other.dockerfile).as_bytes()).hex();
        assert_eq!(other.tag, format!("5.10.228-{}", &hash[..8]));
        let missing = Settings { config: "big".to_owned(), ..settings(folder.path()) };
        let problem = Plan::new(missing).unwrap_err().to_string();
        assert!(
            problem.contains("generic-5.10.y-x86_64") && problem.contains("configuration big"),
            "{problem}"
        );
    }

    #[test]
    fn the_key_names_compiler_base_and_source() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("configs")).unwrap();
        for name in ["configs/generic-5.10.y-x86_64", "Dockerfile", "build.sh"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        let plan = Plan::new(settings(folder.path())).unwrap();
        let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
        let host = plan.key(Some("gcc 12"), &one);
        assert!(!host.is_local());
        assert_ne!(host, plan.key(Some("gcc 14"), &one), "another compiler gives other bytes");
        assert_ne!(host, plan.key(Some("gcc 12"), &two), "and so does another source");
        let docker = plan.key(None, &one);
        assert!(docker.is_local(), "nobody knows yet which compiler that is");
        let base = Settings { base: "debian:13".to_owned(), ..settings(folder.path()) };
        assert_ne!(docker, Plan::new(base).unwrap().key(None, &one));
    }
}
