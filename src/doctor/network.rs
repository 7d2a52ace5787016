//! The servers that a build asks: whether they answer, and what time it is there.

use super::{Finding, State};
use crate::component::{self, Source};
use crate::debian::sources;
use crate::http::{self, with_sources};
use crate::oci::registries::{Registries, Tls};
use crate::site::{Id, ResolvedSite};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// Who does not answer in this time is not there: name, connection and answer.
const PATIENCE: Duration = Duration::from_secs(8);
/// More than this between two clocks spoils certificates and package lists, in seconds.
const APART: i64 = 300;
const DEFAULT_SOURCE: &str = "https://cdn.kernel.org/pub/linux/kernel";

/// A server, and what it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    name: &'static str,
    for_what: &'static str,
    /// As a person knows it.
    shown: String,
    /// Any of them will do: mirrors stand first.
    urls: Vec<String>,
    fix: &'static str,
}

/// What a look at all places has found.
pub struct Network {
    pub findings: Vec<Finding>,
    /// How many seconds this machine's clock is behind each server's.
    pub behind: Vec<i64>,
}

/// Asks every server at the same time. `site` names more of them.
pub fn look(root: &Path, site: Option<&ResolvedSite>) -> Network {
    let mut network = Network { findings: Vec::new(), behind: Vec::new() };
    let registries = Registries::of_user(root).unwrap_or_else(|problem| {
        let fix = problem.remedy_text().unwrap_or("mend the file that is named").to_owned();
        let found = problem.to_string().replace('\n', " ");
        network.findings.push(Finding::lacks("registries", "every registry", State::Bad, found, fix));
        Registries::default()
    });
    let places: Vec<Place> = places(root, site, &registries).into_iter().collect();
    let answers = match ask_all(&places) {
        Ok(answers) => answers,
        Err(why) => places.iter().map(|_| Err(why.clone())).collect(),
    };
    for (place, answer) in places.into_iter().zip(answers) {
        network.findings.push(match answer {
            Ok((url, time)) => {
                network.behind.extend(time.map(|time| time - jiff::Timestamp::now().as_second()));
                let by = if place.urls.len() > 1 { format!(" (by {url})") } else { String::new() };
                Finding::good(place.name, place.for_what, format!("{} answers{by}", place.shown))
            }
            Err(why) => {
                let found = format!("{}: {why}", place.shown);
                Finding::lacks(place.name, place.for_what, State::Limited, found, place.fix)
            }
        });
    }
    network
}

/// Whether the clocks of all servers agree that this one is wrong; by how many seconds it is behind.
pub fn apart(behind: &[i64]) -> Option<i64> {
    let nearest = behind.iter().copied().min_by_key(|seconds| seconds.abs())?;
    (nearest.abs() > APART).then_some(nearest)
}

/// The servers of the components, of the kernel, of Debian, and of a profile.
fn places(root: &Path, site: Option<&ResolvedSite>, registries: &Registries) -> BTreeSet<Place> {
    let mut places = BTreeSet::new();
    let mut registry = |for_what: &'static str, host: String| {
        let known = registries.get(&host);
        let urls = known.mirrors.iter().map(|mirror| mirror.split('/').next().unwrap_or_default());
        let urls = urls.chain([host.as_str()]).map(|host| api(host, registries)).collect();
        let fix = "set https_proxy if this network has a proxy, or a mirror in registries.toml; without a way out, import \
                   images from elsewhere (hookos images import)";
        places.insert(Place { name: "registry", for_what, shown: host.clone(), urls, fix });
    };
    for definition in component::load_all(&root.join("components")).unwrap_or_default() {
        if let Source::Image(pulled) = &definition.source {
            registry("components that are images", host_of(&pulled.reference));
        }
    }
    let text = |id: Id| site.and_then(|site| site.text(id)).filter(|text| !text.is_empty());
    for id in [Id::KernelRepository, Id::OciReleaseSvc] {
        if let Some(text) = text(id) {
            registry(
                "kernels that somebody else has compiled",
                text.split('/').next().unwrap_or("").to_owned(),
            );
            break;
        }
    }
    if let Some(host) = text(Id::PublishRegistry) {
        registry("publishing images and kernels", host);
    }
    let mut server = |name, for_what, url: String, fix| {
        places.insert(Place { name, for_what, shown: url.clone(), urls: vec![url], fix });
    };
    server(
        "kernel.org",
        "kernels from source",
        text(Id::KernelMirror).unwrap_or_else(|| DEFAULT_SOURCE.to_owned()),
        "set https_proxy, take a mirror (--kernel-mirror), or give the tarball (--tarball)",
    );
    let apt = Path::new("/etc/apt");
    let host = sources::of_host(&apt.join("sources.list"), &apt.join("sources.list.d")).ok();
    let mirrors = [
        text(Id::DebianMirror).or_else(|| host.as_ref()?.main.clone()),
        text(Id::DebianSecurityMirror).or_else(|| host.as_ref()?.security.clone()),
    ];
    for mirror in mirrors.into_iter().flatten().filter(|url| url.starts_with("http")) {
        server(
            "Debian",
            "packages",
            mirror,
            "give another: --debian-mirror URL, --debian-security-mirror URL",
        );
    }
    places
}

/// Where a registry's API is.
fn api(host: &str, registries: &Registries) -> String {
    let scheme = if registries.get(host).tls == Tls::Off { "http" } else { "https" };
    let host = if matches!(host, "docker.io" | "index.docker.io") { "registry-1.docker.io" } else { host };
    format!("{scheme}://{host}/v2/")
}

/// The registry of a reference; Docker's own where none is said.
fn host_of(reference: &str) -> String {
    let first = reference.split('/').next().unwrap_or_default();
    let is_host =
        reference.contains('/') && (first.contains('.') || first.contains(':') || first == "localhost");
    if is_host { first.to_owned() } else { "docker.io".to_owned() }
}

/// The URL that answered, and the seconds since 1970 there.
type Answer = Result<(String, Option<i64>), String>;

fn ask_all(places: &[Place]) -> Result<Vec<Answer>, String> {
    let client = http::builder()
        // Whom to trust is asked when something is taken from there, and a wrong clock must not hide a server.
        .tls_danger_accept_invalid_certs(true)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|e| e.to_string())?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let answers =
        runtime.block_on(futures_util::future::join_all(places.iter().map(|place| ask(&client, place))));
    // A name that is still being looked up is not waited for.
    runtime.shutdown_background();
    Ok(answers)
}

async fn ask(client: &reqwest::Client, place: &Place) -> Answer {
    let mut whys = Vec::new();
    for url in &place.urls {
        match tokio::time::timeout(PATIENCE, client.head(url).send()).await {
            Err(_) => whys.push(format!("{url} does not answer in {} s", PATIENCE.as_secs())),
            Ok(Err(e)) => whys.push(with_sources(&e)),
            Ok(Ok(response)) => return Ok((url.clone(), date(&response))),
        }
    }
    Err(whys.join("; "))
}

/// What the server says the time is (RFC 9110, section 6.6.1).
fn date(response: &reqwest::Response) -> Option<i64> {
    let text = response.headers().get(reqwest::header::DATE)?.to_str().ok()?;
    Some(jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader, Write as _};

    #[test]
    fn the_registry_of_a_reference() {
        assert_eq!(host_of("fluent/fluent-bit:2.1"), "docker.io");
        assert_eq!(host_of("registry.example.com/a/b@sha256:00"), "registry.example.com");
        assert_eq!(
            (host_of("localhost:5000/x"), host_of("caddy:2")),
            ("localhost:5000".into(), "docker.io".into())
        );
        let none = Registries::default();
        assert_eq!(api("docker.io", &none), "https://registry-1.docker.io/v2/");
    }

    #[test]
    fn clocks_must_agree_that_this_one_is_wrong() {
        assert_eq!(apart(&[]), None);
        assert_eq!(apart(&[4000, -2]), None, "one server is right enough");
        assert_eq!(apart(&[4000, 3990]), Some(3990));
        assert_eq!(apart(&[-86_400]), Some(-86_400));
    }

    /// A server that says it is 2001.
    fn server() -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let _ = lines.take_while(|line| !line.is_empty()).count();
                let _ = stream.write_all(
                    b"HTTP/1.1 401 Unauthorized\r\nDate: Tue, 02 Jan 2001 03:04:05 GMT\r\nContent-Length: 0\r\n\r\n",
                );
            }
        });
        host
    }

    #[test]
    fn a_mirror_answers_for_its_registry_and_says_the_time() {
        let host = server();
        let text = format!(
            "[registry.\"r.invalid\"]\nmirrors = [\"{host}/hub\"]\n[registry.\"{host}\"]\ntls = \"off\"\n"
        );
        let registries = Registries::parse(Path::new("registries.toml"), &text).unwrap();
        let urls = [host.as_str(), "r.invalid"].map(|host| api(host, &registries)).to_vec();
        assert_eq!(urls, [format!("http://{host}/v2/"), "https://r.invalid/v2/".to_owned()]);
        let place = |urls: &[String]| Place {
            name: "registry",
            for_what: "a test",
            shown: "r.invalid".to_owned(),
            urls: urls.to_vec(),
            fix: "",
        };
        let gone = "http://127.0.0.1:1/v2/".to_owned();
        let answers =
            ask_all(&[place(&urls), place(std::slice::from_ref(&gone)), place(&[gone, urls[0].clone()])])
                .unwrap();
        assert_eq!(answers[0], Ok((urls[0].clone(), Some(978_404_645))));
        assert!(answers[1].is_err(), "{answers:?}");
        assert_eq!(answers[2], answers[0]);
    }
}
