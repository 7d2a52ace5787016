//! What the kernel command line says about the worker.

use crate::image::{Image, registry};
use bollard::auth::DockerCredentials;
use hookos_guest::cmdline::Cmdline;
use hookos_guest::secret::Secrets;

/// The settings; empty texts where the command line says nothing, which the worker's environment shows.
#[derive(Clone, Default)]
pub struct Wanted {
    tink_worker_image: String,
    docker_registry: String,
    username: String,
    password: String,
    grpc_authority: String,
    tls: String,
    insecure_tls: String,
    pub worker_id: String,
    http_proxy: String,
    https_proxy: String,
    no_proxy: String,
}

impl Wanted {
    pub fn new(cmdline: &Cmdline) -> Self {
        let value = |key| cmdline.value(key).unwrap_or_default().trim().to_owned();
        Self {
            tink_worker_image: value("tink_worker_image"),
            docker_registry: value("docker_registry"),
            username: value("registry_username"),
            password: value("registry_password"),
            grpc_authority: value("grpc_authority"),
            tls: value("tinkerbell_tls"),
            insecure_tls: value("tinkerbell_insecure_tls"),
            worker_id: value("worker_id"),
            http_proxy: value("HTTP_PROXY"),
            https_proxy: value("HTTPS_PROXY"),
            no_proxy: value("NO_PROXY"),
        }
    }

    /// The image to run; none when nothing is said, an error when what is said is no image's name.
    pub fn image(&self) -> Option<Result<Image, String>> {
        let (key, text) = match (self.tink_worker_image.as_str(), self.docker_registry.as_str()) {
            ("", "") => return None,
            ("", registry) => {
                let bare = registry.split_once("://").map_or(registry, |(_, rest)| rest);
                ("docker_registry", format!("{}/tink-worker:latest", bare.trim_end_matches('/')))
            }
            (image, _) => ("tink_worker_image", image.to_owned()),
        };
        Some(Image::parse(&text).ok_or_else(|| {
            format!("{key}= on the kernel command line gives {text:?}, which is not the name of an image such as registry.example.com/tink-worker:v1")
        }))
    }

    /// What may be shown to the image's registry: the credentials belong to docker_registry and go
    /// nowhere else.
    pub fn credentials(&self, image: &Image) -> Option<DockerCredentials> {
        let own = !self.docker_registry.is_empty() && registry(&self.docker_registry) == image.registry;
        (own && self.has_credentials()).then(|| DockerCredentials {
            username: Some(self.username.clone()),
            password: Some(self.password.clone()),
            serveraddress: Some(image.registry.clone()),
            ..DockerCredentials::default()
        })
    }

    /// Why credentials that are there are not used.
    pub fn credentials_kept_back(&self, image: &Image) -> Option<String> {
        (self.has_credentials() && self.credentials(image).is_none()).then(|| {
            let owner = match self.docker_registry.as_str() {
                "" => "no registry (docker_registry= is missing)".to_owned(),
                own => registry(own),
            };
            format!("the image's registry {} gets no credentials: they belong to {owner}", image.registry)
        })
    }

    fn has_credentials(&self) -> bool {
        !(self.username.is_empty() && self.password.is_empty())
    }

    /// The worker's environment, all of it even where empty, as in the reference.
    pub fn environment(&self) -> Vec<String> {
        [
            ("DOCKER_REGISTRY", &self.docker_registry),
            ("REGISTRY_USERNAME", &self.username),
            ("REGISTRY_PASSWORD", &self.password),
            ("TINKERBELL_GRPC_AUTHORITY", &self.grpc_authority),
            ("TINKERBELL_TLS", &self.tls),
            ("TINKERBELL_INSECURE_TLS", &self.insecure_tls),
            ("WORKER_ID", &self.worker_id),
            ("ID", &self.worker_id),
            ("HTTP_PROXY", &self.http_proxy),
            ("HTTPS_PROXY", &self.https_proxy),
            ("NO_PROXY", &self.no_proxy),
        ]
        .map(|(key, value)| format!("{key}={value}"))
        .into()
    }

    /// What no line may show.
    pub fn secrets(&self) -> Secrets {
        let mut secrets = Secrets::default();
        secrets.add(&self.password);
        secrets.add_url(&self.http_proxy);
        secrets.add_url(&self.https_proxy);
        secrets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wanted(text: &str) -> Wanted {
        Wanted::new(&Cmdline::parse(text.as_bytes()))
    }

    #[test]
    fn the_image_and_its_fallback() {
        let full = |text: &str| wanted(text).image().unwrap().unwrap().full;
        assert_eq!(full("tink_worker_image=q.io/w:v1 docker_registry=r.io"), "q.io/w:v1");
        assert_eq!(full("docker_registry=r.io/p/ tink_worker_image"), "r.io/p/tink-worker:latest");
        assert_eq!(full("docker_registry=https://r.io"), "r.io/tink-worker:latest");
        assert!(wanted("quiet docker_registry=").image().is_none());
        assert!(wanted("tink_worker_image=http://x").image().unwrap().unwrap_err().contains("http://x"));
    }

    #[test]
    fn credentials_go_to_their_registry_alone() {
        let used = |text: &str| {
            let wanted = wanted(&format!("registry_username=u registry_password=p {text}"));
            let image = wanted.image().unwrap().unwrap();
            let used = wanted.credentials(&image);
            assert_eq!(used.is_none(), wanted.credentials_kept_back(&image).is_some());
            used.is_some()
        };
        assert!(used("docker_registry=Reg.example.com:443/x tink_worker_image=reg.example.com/y/w:1"));
        assert!(used("docker_registry=https://index.docker.io/v1/ tink_worker_image=me/worker"));
        assert!(used("docker_registry=r.example.com"));
        assert!(!used("docker_registry=reg.example.com tink_worker_image=quay.io/w"));
        assert!(!used("docker_registry=reg.example.com tink_worker_image=reg.example.com:5000/w"));
        assert!(!used("docker_registry=reg.example.com tink_worker_image=localhost:7443/w"));
        assert!(!used("tink_worker_image=me/worker"));
        let nobody = wanted("docker_registry=r.io");
        let image = nobody.image().unwrap().unwrap();
        assert!(nobody.credentials(&image).is_none() && nobody.credentials_kept_back(&image).is_none());
    }

    #[test]
    fn the_environment_of_the_reference() {
        let got = wanted(
            "docker_registry=r registry_username=u registry_password=p=1 grpc_authority=g:1 tinkerbell_tls=false \
             tinkerbell_insecure_tls=true worker_id=aa:bb HTTP_PROXY=http://h HTTPS_PROXY=http://s",
        );
        assert_eq!(
            got.environment().join(" "),
            "DOCKER_REGISTRY=r REGISTRY_USERNAME=u REGISTRY_PASSWORD=p=1 TINKERBELL_GRPC_AUTHORITY=g:1 \
             TINKERBELL_TLS=false TINKERBELL_INSECURE_TLS=true WORKER_ID=aa:bb ID=aa:bb HTTP_PROXY=http://h \
             HTTPS_PROXY=http://s NO_PROXY="
        );
    }

    proptest! {
        #[test]
        fn a_password_is_never_shown(password in "[A-Z0-9\"\\\\%äß]{4,12}", bytes in proptest::collection::vec(any::<u8>(), 0..99)) {
            let wanted = Wanted { password: password.clone(), ..Wanted::new(&Cmdline::parse(&bytes)) };
            let line = format!("{:?} {password}", password);
            prop_assert!(!wanted.secrets().hide(&line).contains(&password));
        }
    }
}
