//! Where a repository is read: at its mirrors, in order, and last at its own registry.

use super::acquire::LARGEST_DOCUMENT;
use super::client::client;
use super::registries::Tls;
use super::registry::Options;
use super::wire::{Ask, Endpoint};
use crate::http::{ATTEMPTS, Fault};
use crate::progress::Progress;
use crate::store::Digest;
use oci_spec::distribution::Reference;
use reqwest::header::ACCEPT;
use reqwest::{Method, Url};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Attempts at a mirror, where another place is left.
const ATTEMPTS_AT_MIRROR: u32 = 2;
/// The header in which a registry says which digest a manifest has.
pub(super) const CONTENT_DIGEST: &str = "docker-content-digest";

pub(super) const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// The places of a repository; the last is its own registry.
pub(super) struct Places<'a> {
    all: Vec<Endpoint<'a>>,
    /// The first place that is still asked: one that failed where a later one did not is left for good.
    current: AtomicUsize,
    progress: &'a dyn Progress,
}

impl<'a> Places<'a> {
    /// The registry that the reference names, and before it its mirrors if they are wanted.
    pub fn of(
        reference: &Reference,
        mirrors: bool,
        options: &Options,
        progress: &'a dyn Progress,
    ) -> Result<Self, Fault> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|e| Fault::lasting(e.to_string()))?;
        let (runtime, options) = (Arc::new(runtime), Arc::new(options.clone()));
        let endpoint = |host: &str, repository: &str| -> Result<Endpoint<'a>, Fault> {
            let known = options.registries.get(host);
            let plain = known.tls == Tls::Off || options.insecure.iter().any(|insecure| insecure == host);
            // Docker Hub's registry is not where its name is.
            let docker_hub = matches!(host, "docker.io" | "index.docker.io");
            let at = if docker_hub { "registry-1.docker.io" } else { host };
            let root = format!("{}://{at}/", if plain { "http" } else { "https" });
            let root: Url =
                root.parse().map_err(|e| Fault::lasting(format!("{root:?} is no address: {e}")))?;
            let client = client(&options, &known)?;
            Ok(Endpoint::new(host, repository, root, client, &runtime, &options, progress))
        };
        let host = reference.registry();
        let mut all = Vec::new();
        if mirrors {
            for mirror in options.registries.get(host).mirrors {
                let (mirror, prefix) = mirror.split_once('/').unwrap_or((&mirror, ""));
                let repository = format!("{prefix}/{}", reference.repository());
                all.push(endpoint(mirror, repository.trim_start_matches('/'))?);
            }
        }
        all.push(endpoint(host, reference.repository())?);
        Ok(Self { all, current: AtomicUsize::new(0), progress })
    }

    /// The repository's own registry, which alone is written to.
    pub fn own(&self) -> &Endpoint<'a> {
        &self.all[self.all.len() - 1]
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn at(&self, n: usize) -> &Endpoint<'a> {
        &self.all[n]
    }

    /// How often place `n` is asked for one thing.
    pub fn attempts(&self, n: usize) -> u32 {
        if n + 1 == self.all.len() { ATTEMPTS } else { ATTEMPTS_AT_MIRROR }
    }

    /// The place after `n`, which has failed, if there is one.
    pub fn after(&self, n: usize, fault: &Fault) -> Option<usize> {
        if fault.cancelled || n + 1 == self.all.len() {
            return None;
        }
        self.progress.log(&format!("mirror {}: {}", self.all[n].host, fault.why));
        Some(n + 1)
    }

    /// What the first place gives that gives something; `skip` places have given wrong bytes before. `from`
    /// gets the place, its number, and how often to ask.
    pub fn first<'r, T>(
        &'r self,
        skip: u32,
        from: impl Fn(&'r Endpoint<'a>, usize, u32) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let start = self.current.load(Ordering::Relaxed).saturating_add(skip);
        let mut n = start.min(self.all.len() - 1);
        loop {
            match from(&self.all[n], n, self.attempts(n)) {
                Ok(done) => {
                    self.stay(n);
                    return Ok(done);
                }
                Err(fault) => match self.after(n, &fault) {
                    Some(next) => n = next,
                    None => return Err(fault),
                },
            }
        }
    }

    /// Place `n` gave what was asked for: those before it are not asked again.
    pub fn stay(&self, n: usize) {
        self.current.fetch_max(n, Ordering::Relaxed);
    }
}

/// A manifest or an index by tag or digest. It has the digest that was asked for, or that the registry says.
pub(super) fn manifest(place: &Endpoint<'_>, name: &str) -> Result<Vec<u8>, Fault> {
    let ask = Ask::new(Method::GET, place.url(&format!("manifests/{name}"))?).header(ACCEPT, MANIFESTS);
    let response = place.ask(&ask)?;
    let said = response.headers().get(CONTENT_DIGEST).and_then(|value| value.to_str().ok());
    // A tag may look like a digest; that one has no colon.
    let wanted: Option<Digest> = match name.contains(':') {
        true => Some(name.parse().map_err(|e| Fault::lasting(format!("{e}")))?),
        false => said.and_then(|said| said.parse().ok()),
    };
    let bytes = place.whole(response, LARGEST_DOCUMENT)?;
    let found = Digest::of(&bytes);
    match wanted {
        Some(wanted) if wanted != found => {
            Err(Fault::passing(format!("the manifest {wanted} comes with the digest {found}")))
        }
        _ => Ok(bytes),
    }
}
