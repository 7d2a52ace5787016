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
//! | a kernel that somebody else has compiled | [`pulled`] |

pub mod container;
pub mod download;
pub mod host;
pub mod lines;
pub mod options;
pub mod pulled;
pub mod result;
pub mod signature;
pub mod tarball;
pub mod tree;

use super::image::{Built, Input};
use crate::docker::{Arguments, Engine, Place};
use crate::oci::credentials::Credentials;
use crate::problem::{Problem, Result};
use crate::progress::Progress;
use crate::store::{Digest, Hasher, Key, KeyMaker, Store};
use std::path::{Path, PathBuf};

pub use tarball::Source;

/// Raised when the same inputs would give other bytes.
const CODE: &str = "kernel from source 1";
pub const SCRIPT: &str = "build.sh";
pub const DOCKERFILE: &str = "Dockerfile";

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

/// The inputs, read.
#[derive(Debug, Clone)]
pub struct Plan {
    pub settings: Settings,
    /// `kernel/configs/generic-5.10.y-x86_64`.
    pub config: PathBuf,
    pub tag: String,
    pub key: Key,
    inputs: Vec<Input>,
}

impl Settings {
    /// As in `5.10.228`.
    pub fn version(&self) -> String {
        format!("{}.{}", self.series, self.point)
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
        let (dockerfile, script) = (read(DOCKERFILE)?, read(SCRIPT)?);
        let mut hasher = Hasher::new();
        hasher.update(&text);
        hasher.update(&dockerfile);
        let tag = format!("{}-{}", settings.version(), &hasher.finish().hex()[..8]);
        let mut inputs = vec![
            input(&config, &text),
            Input { name: DOCKERFILE.to_owned(), sha256: Digest::of(&dockerfile) },
            Input { name: SCRIPT.to_owned(), sha256: Digest::of(&script) },
        ];
        // A tree of another origin may have the same version.
        if let Source::File { sha256: Some(sha256), .. } = &settings.source {
            inputs.push(Input { name: format!("linux-{}", settings.version()), sha256: *sha256 });
        }
        let mut key = KeyMaker::new(CODE).add("layer", crate::oci::layer::FORMAT).add("tag", &tag);
        for input in &inputs {
            key = key.add(&input.name, input.sha256.bytes());
        }
        Ok(Self { config, tag, key: key.finish(), inputs, settings })
    }

    /// The kernel, if it is in the store.
    pub fn find(&self, store: &Store) -> Option<Built> {
        Built::find(store, &self.key)
    }

    /// What the release service has it under.
    pub fn reference(&self) -> Option<String> {
        self.settings.repository.as_ref().map(|repository| format!("{repository}:{}", self.tag))
    }

    /// Compiles the kernel, whether or not the store has it.
    pub fn build(&self, store: &Store, progress: &dyn Progress) -> Result<Built> {
        let failed = |e: crate::store::Error| Problem::new("the store cannot be used").because(e);
        let _lock = store.lock(&format!("kernel-{}", &self.key.hex()[..32])).map_err(failed)?;
        let engine = self.engine(progress)?;
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
        let name = format!("linux-{}", self.settings.version());
        if !inputs.iter().any(|input| input.name == name) {
            inputs.push(Input { name, sha256: tarball.sha256 });
        }
        let built = result::image(self, &found, inputs, warnings, store, progress)?;
        built.keep(store, &self.key)?;
        Ok(built)
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

/// Says which configurations there are.
fn no_config(settings: &Settings, path: &Path, error: std::io::Error) -> Problem {
    let mut names: Vec<String> = std::fs::read_dir(settings.folder.join("configs"))
        .map(|entries| {
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
        })
        .unwrap_or_default();
    names.sort();
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
        write("build.sh", "y");
        let other = Plan::new(settings(folder.path())).unwrap();
        assert_eq!(other.tag, plan.tag);
        assert_ne!(other.key.hex(), plan.key.hex(), "another recipe is other work");
        let missing = Settings { config: "big".to_owned(), ..settings(folder.path()) };
        let problem = Plan::new(missing).unwrap_err().to_string();
        assert!(
            problem.contains("generic-5.10.y-x86_64") && problem.contains("configuration big"),
            "{problem}"
        );
    }
}
