//! The table of all fields. To add one: a line in [`Id`], an entry in [`FIELDS`] at the same place,
//! then run `cargo test site::` and renew the generated files that it names.

use super::field::{Default, Field, Kind, Section};

/// Names a field in code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Id {
    ClusterDomain,
    KeycloakUrl,
    ReleaseSvc,
    OciReleaseSvc,
    TinkStackSvc,
    TinkServerSvc,
    OnboardingManagerSvc,
    OnboardingStreamSvc,
    OnboardingPort,
    LoggingSvc,
    ExtraHosts,
    HttpProxy,
    HttpsProxy,
    NoProxy,
    FtpProxy,
    SocksProxy,
    ExternalProxy,
    Nameservers,
    SearchDomains,
    NtpServers,
    CaFile,
    ServerCertFile,
    PlaceholderCertificates,
    KernelSource,
    KernelSeries,
    KernelPoint,
    KernelConfig,
    KernelTarball,
    KernelTarballSha256,
    KernelMirror,
    KernelRepository,
    KernelEngine,
    KernelBase,
    KernelAppend,
    ModuleGroupsOff,
    Compression,
    Getty,
    RootPasswordHash,
    Definition,
    ComponentsOff,
    ComponentsOn,
    Roles,
    VerifyKey,
    DebianMirror,
    DebianSecurityMirror,
    PublishRegistry,
    PublishRepository,
    PublishVersion,
    PublishKernelRepository,
    /// Of a test alone, which lays a line behind the table.
    #[cfg(test)]
    OneMore,
}

impl Id {
    /// The declaration of this field.
    pub fn field(self) -> &'static Field {
        &FIELDS[self as usize]
    }
}

/// What every declaration starts from.
pub(super) const PLAIN: Field = Field {
    id: Id::ClusterDomain,
    label: "",
    section: Section::Endpoints,
    key: "",
    flag: "",
    env: "",
    ambient: &[],
    config_key: None,
    image_key: None,
    kind: Kind::Host,
    default: Default::None,
    help: "",
    more: "",
    example: "",
    onboarding: false,
    needs: None,
};

/// A table of fields.
#[derive(Debug, Clone, Copy)]
pub struct Fields(&'static [Field]);

impl std::ops::Deref for Fields {
    type Target = [Field];

    fn deref(&self) -> &[Field] {
        #[cfg(test)]
        if let Some(longer) = super::one_more::table() {
            return longer;
        }
        self.0
    }
}

impl IntoIterator for Fields {
    type Item = &'static Field;
    type IntoIter = std::slice::Iter<'static, Field>;

    fn into_iter(self) -> Self::IntoIter {
        FIELDS.iter()
    }
}

/// All fields, in the order of [`Id`]; sections in the order of [`Section`]. env_config and
/// `config.template` keep this order too.
pub static FIELDS: Fields = Fields(&[
    Field {
        id: Id::ClusterDomain,
        label: "Cluster domain",
        key: "cluster_domain",
        flag: "cluster-domain",
        env: "HOOKOS_CLUSTER_DOMAIN",
        help: "Domain of the orchestrator; endpoints follow from it",
        more: "Endpoints that are not given are this domain with the names before it that an Edge Orchestrator uses.",
        example: "edge.example.com",
        ..PLAIN
    },
    Field {
        id: Id::KeycloakUrl,
        label: "Keycloak",
        key: "keycloak_url",
        flag: "keycloak-url",
        env: "HOOKOS_KEYCLOAK_URL",
        config_key: Some("keycloak_url"),
        image_key: Some("KEYCLOAK_URL"),
        kind: Kind::HostPort,
        default: Default::OfDomain("keycloak.{}:443"),
        help: "Identity provider: host, or host and port",
        more: "The machine asks it for tokens over HTTPS. The host that hands out release tokens is this name with `keycloak` replaced by `release`, so the name should contain `keycloak`.",
        example: "keycloak.edge.example.com:443",
        onboarding: true,
        ..PLAIN
    },
    Field {
        id: Id::ReleaseSvc,
        label: "Release service",
        key: "release_svc",
        flag: "release-svc",
        env: "HOOKOS_RELEASE_SVC",
        config_key: Some("release_svc"),
        image_key: Some("release_svc"),
        default: Default::OfDomain("files-rs.{}"),
        help: "Release service for files, such as system images",
        more: "Port 443 is always used.",
        example: "files-rs.edge.example.com",
        onboarding: true,
        ..PLAIN
    },
    Field {
        id: Id::OciReleaseSvc,
        label: "OCI release service",
        key: "oci_release_svc",
        flag: "oci-release-svc",
        env: "HOOKOS_OCI_RELEASE_SVC",
        config_key: Some("oci_release_svc"),
        image_key: Some("oci_release_svc"),
        default: Default::OfDomain("registry-rs.{}"),
        help: "Release service for OCI images (installer's actions)",
        more: "Port 443 is always used.",
        example: "registry-rs.edge.example.com",
        onboarding: true,
        ..PLAIN
    },
    Field {
        id: Id::TinkStackSvc,
        label: "Tinkerbell stack",
        key: "tink_stack_svc",
        flag: "tink-stack-svc",
        env: "HOOKOS_TINK_STACK_SVC",
        config_key: Some("tink_stack_svc"),
        image_key: Some("tink_stack_svc"),
        default: Default::OfDomain("tink-stack.{}"),
        help: "Tinkerbell stack: serves the files of a workflow",
        more: "Port 443 is always used.",
        example: "tink-stack.edge.example.com",
        onboarding: true,
        ..PLAIN
    },
    Field {
        id: Id::TinkServerSvc,
        label: "Tinkerbell server",
        key: "tink_server_svc",
        flag: "tink-server-svc",
        env: "HOOKOS_TINK_SERVER_SVC",
        config_key: Some("tink_server_svc"),
        image_key: Some("tink_server_svc"),
        default: Default::OfDomain("tink-stack.{}"),
        help: "Tinkerbell server: hands workflows to the worker (gRPC)",
        more: "Port 443 is always used.",
        example: "tink-server.edge.example.com",
        onboarding: true,
        ..PLAIN
    },
    Field {
        id: Id::OnboardingManagerSvc,
        label: "Onboarding manager",
        key: "onboarding_manager_svc",
        flag: "onboarding-manager-svc",
        env: "HOOKOS_ONBOARDING_MANAGER_SVC",
        config_key: Some("onboarding_manager_svc"),
        image_key: Some("onboarding_manager_svc"),
        default: Default::OfDomain("onboarding.{}"),
        help: "Registers a machine when a person logs in (gRPC)",
        example: "onboarding.edge.example.com",
        onboarding: true,
        ..PLAIN
    },
    Field {
        id: Id::OnboardingStreamSvc,
        label: "Onboarding stream",
        key: "onboarding_stream_svc",
        flag: "onboarding-stream-svc",
        env: "HOOKOS_ONBOARDING_STREAM_SVC",
        config_key: Some("onboarding_stream_svc"),
        image_key: Some("onboarding_stream_svc"),
        default: Default::OfDomain("onboarding-stream.{}"),
        help: "Registers a machine without a person (gRPC)",
        example: "onboarding-stream.edge.example.com",
        onboarding: true,
        ..PLAIN
    },
    Field {
        id: Id::OnboardingPort,
        label: "Onboarding port",
        key: "onboarding_port",
        flag: "onboarding-port",
        env: "HOOKOS_ONBOARDING_PORT",
        image_key: Some("OBM_PORT"),
        kind: Kind::Integer(1, 65535),
        default: Default::Is("443"),
        help: "TCP port of the onboarding manager and stream",
        example: "443",
        onboarding: true,
        ..PLAIN
    },
    Field {
        id: Id::LoggingSvc,
        label: "Log collector",
        key: "logging_svc",
        flag: "logging-svc",
        env: "HOOKOS_LOGGING_SVC",
        config_key: Some("logging_svc"),
        image_key: Some("logging_svc"),
        default: Default::OfDomain("logs-node.{}"),
        help: "Log collector of the orchestrator",
        more: "Port 443 is always used.",
        example: "logs-node.edge.example.com",
        onboarding: true,
        ..PLAIN
    },
    Field {
        id: Id::ExtraHosts,
        label: "Extra hosts",
        section: Section::Network,
        key: "extra_hosts",
        flag: "extra-hosts",
        env: "HOOKOS_EXTRA_HOSTS",
        config_key: Some("extra_hosts"),
        image_key: Some("EXTRA_HOSTS"),
        kind: Kind::Hosts,
        help: "Lines for /etc/hosts, for names that DNS does not know",
        example: "192.0.2.10 keycloak.edge.example.com,192.0.2.10 onboarding.edge.example.com",
        ..PLAIN
    },
    Field {
        id: Id::HttpProxy,
        label: "HTTP proxy",
        section: Section::Network,
        key: "http_proxy",
        flag: "http-proxy",
        env: "HOOKOS_HTTP_PROXY",
        ambient: &["http_proxy"],
        config_key: Some("http_proxy"),
        image_key: Some("http_proxy"),
        kind: Kind::Proxy,
        help: "Proxy that the image uses for http://",
        more: "A proxy with a user name and password is not saved in a profile: give it in the environment when you build.",
        example: "http://proxy.example.com:3128",
        ..PLAIN
    },
    Field {
        id: Id::HttpsProxy,
        label: "HTTPS proxy",
        section: Section::Network,
        key: "https_proxy",
        flag: "https-proxy",
        env: "HOOKOS_HTTPS_PROXY",
        ambient: &["https_proxy", "HTTPS_PROXY"],
        config_key: Some("https_proxy"),
        image_key: Some("https_proxy"),
        kind: Kind::Proxy,
        help: "Proxy that the image uses for https://",
        more: "A proxy with a user name and password is not saved in a profile: give it in the environment when you build.",
        example: "http://proxy.example.com:3128",
        ..PLAIN
    },
    Field {
        id: Id::NoProxy,
        label: "No proxy for",
        section: Section::Network,
        key: "no_proxy",
        flag: "no-proxy",
        env: "HOOKOS_NO_PROXY",
        ambient: &["no_proxy", "NO_PROXY"],
        config_key: Some("no_proxy"),
        image_key: Some("no_proxy"),
        kind: Kind::NoProxy,
        help: "Hosts, domains and networks reached without a proxy",
        example: "localhost,127.0.0.0/8,.edge.example.com",
        ..PLAIN
    },
    Field {
        id: Id::FtpProxy,
        label: "FTP proxy",
        section: Section::Network,
        key: "ftp_proxy",
        flag: "ftp-proxy",
        env: "HOOKOS_FTP_PROXY",
        ambient: &["ftp_proxy"],
        config_key: Some("ftp_proxy"),
        kind: Kind::Proxy,
        help: "Proxy for ftp://",
        more: "Kept because `config` files have it; nothing in the image reads it.",
        example: "http://proxy.example.com:3128",
        ..PLAIN
    },
    Field {
        id: Id::SocksProxy,
        label: "SOCKS proxy",
        section: Section::Network,
        key: "socks_proxy",
        flag: "socks-proxy",
        env: "HOOKOS_SOCKS_PROXY",
        ambient: &["socks_proxy"],
        config_key: Some("socks_proxy"),
        kind: Kind::Proxy,
        help: "SOCKS proxy",
        more: "Kept because `config` files have it; nothing in the image reads it.",
        example: "socks5://proxy.example.com:1080",
        ..PLAIN
    },
    Field {
        id: Id::ExternalProxy,
        label: "External proxy",
        section: Section::Network,
        key: "external_proxy",
        flag: "external-proxy",
        env: "HOOKOS_EXTERNAL_PROXY",
        config_key: Some("external_proxy"),
        kind: Kind::Proxy,
        help: "Proxy of the site towards the internet",
        more: "Kept because `config` files have it; nothing in the image reads it.",
        example: "proxy.example.com:911",
        ..PLAIN
    },
    Field {
        id: Id::Nameservers,
        label: "Name servers",
        section: Section::Network,
        key: "nameservers",
        flag: "nameservers",
        env: "HOOKOS_NAMESERVERS",
        config_key: Some("nameserver"),
        kind: Kind::Ips(3),
        help: "DNS servers to use until DHCP names others",
        more: "Resolvers read at most three.",
        example: "192.0.2.53,2001:db8::53",
        ..PLAIN
    },
    Field {
        id: Id::SearchDomains,
        label: "Search domains",
        section: Section::Network,
        key: "search_domains",
        flag: "search-domains",
        env: "HOOKOS_SEARCH_DOMAINS",
        kind: Kind::Domains,
        help: "Domains that DNS tries for short names, until DHCP says",
        example: "edge.example.com",
        ..PLAIN
    },
    Field {
        id: Id::NtpServers,
        label: "Time servers",
        section: Section::Network,
        key: "ntp_servers",
        flag: "ntp-servers",
        env: "HOOKOS_NTP_SERVERS",
        kind: Kind::Servers,
        help: "Time servers; `none` leaves the clock alone",
        more: "Default: the servers that DHCP names, else the public pool.",
        example: "ntp.example.com,192.0.2.123",
        ..PLAIN
    },
    Field {
        id: Id::CaFile,
        label: "CA file",
        section: Section::Certificates,
        key: "ca",
        flag: "ca-file",
        env: "HOOKOS_CA_FILE",
        kind: Kind::Path,
        help: "PEM file of the authorities that the image trusts",
        more: "Default: certs/<profile>/ca.pem, where `hookos certs` puts it. A relative path counts from the profile's folder.",
        example: "orchestrator-ca.pem",
        ..PLAIN
    },
    Field {
        id: Id::ServerCertFile,
        label: "Server certificate",
        section: Section::Certificates,
        key: "server_cert",
        flag: "server-cert-file",
        env: "HOOKOS_SERVER_CERT_FILE",
        kind: Kind::Path,
        help: "PEM file that the identity provider is checked against",
        more: "Default: certs/<profile>/server_cert.pem, else the same certificates as the CA file.",
        example: "keycloak.pem",
        ..PLAIN
    },
    Field {
        id: Id::PlaceholderCertificates,
        label: "Accept placeholders",
        section: Section::Certificates,
        key: "placeholder",
        flag: "placeholder-certificates",
        env: "HOOKOS_PLACEHOLDER_CERTIFICATES",
        kind: Kind::Bool,
        default: Default::Is("false"),
        help: "Accept placeholder certificates, which no server can use",
        more: "The image's build record says so. Never set it for a real site.",
        example: "true",
        ..PLAIN
    },
    Field {
        id: Id::KernelSource,
        label: "Kernel from",
        section: Section::Kernel,
        key: "source",
        flag: "kernel-source",
        env: "HOOKOS_KERNEL_SOURCE",
        kind: Kind::Choice(&["debian", "source"]),
        default: Default::Is("debian"),
        help: "Where the kernel comes from",
        more: "debian: the prebuilt 5.10 kernel package. source: compiled from kernel.org's source, or had from the release service (docs/kernel.md).",
        example: "source",
        ..PLAIN
    },
    Field {
        id: Id::KernelSeries,
        label: "Series",
        section: Section::Kernel,
        key: "series",
        flag: "kernel-series",
        env: "HOOKOS_KERNEL_SERIES",
        kind: Kind::Text,
        default: Default::Is("5.10"),
        help: "Series of a kernel from source",
        more: "kernel/configs has a configuration for each series that can be built.",
        example: "5.10",
        needs: Some((Id::KernelSource, "source")),
        ..PLAIN
    },
    Field {
        id: Id::KernelPoint,
        label: "Point release",
        section: Section::Kernel,
        key: "point",
        flag: "kernel-point",
        env: "HOOKOS_KERNEL_POINT",
        kind: Kind::Integer(0, 9999),
        default: Default::Is("228"),
        help: "Point release of a kernel from source",
        more: "`hookos kernel --update` sets it to the newest.",
        example: "228",
        needs: Some((Id::KernelSource, "source")),
        ..PLAIN
    },
    Field {
        id: Id::KernelConfig,
        label: "Configuration",
        section: Section::Kernel,
        key: "config",
        flag: "kernel-config",
        env: "HOOKOS_KERNEL_CONFIG",
        kind: Kind::Text,
        default: Default::Is("generic"),
        help: "Configuration of a kernel from source",
        more: "NAME stands for the file kernel/configs/NAME-SERIES.y-x86_64.",
        example: "tiny",
        needs: Some((Id::KernelSource, "source")),
        ..PLAIN
    },
    Field {
        id: Id::KernelTarball,
        label: "Source tarball",
        section: Section::Kernel,
        key: "tarball",
        flag: "kernel-tarball",
        env: "HOOKOS_KERNEL_TARBALL",
        kind: Kind::Path,
        help: "The kernel's source as a file, instead of a download",
        more: "Its SHA-256 must be given too.",
        example: "linux-5.10.228.tar.xz",
        needs: Some((Id::KernelSource, "source")),
        ..PLAIN
    },
    Field {
        id: Id::KernelTarballSha256,
        label: "SHA-256 of tarball",
        section: Section::Kernel,
        key: "tarball_sha256",
        flag: "kernel-tarball-sha256",
        env: "HOOKOS_KERNEL_TARBALL_SHA256",
        kind: Kind::Text,
        help: "SHA-256 of that file, 64 hex digits",
        example: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        needs: Some((Id::KernelSource, "source")),
        ..PLAIN
    },
    Field {
        id: Id::KernelMirror,
        label: "kernel.org mirror",
        section: Section::Kernel,
        key: "mirror",
        flag: "kernel-mirror",
        env: "HOOKOS_KERNEL_MIRROR",
        kind: Kind::Url,
        default: Default::Is("https://cdn.kernel.org/pub/linux/kernel"),
        help: "Where the kernel's source is downloaded from",
        more: "A folder laid out like kernel.org's: v5.x/linux-5.10.228.tar.xz beside v5.x/sha256sums.asc, whose signature is checked.",
        example: "https://mirror.example.com/linux/kernel",
        needs: Some((Id::KernelSource, "source")),
        ..PLAIN
    },
    Field {
        id: Id::KernelRepository,
        label: "Release repository",
        section: Section::Kernel,
        key: "repository",
        flag: "kernel-repository",
        env: "HOOKOS_KERNEL_REPOSITORY",
        kind: Kind::Text,
        help: "Repository that has finished kernels from source",
        more: "A kernel that is not in the store is looked for there, by its tag, before it is compiled. Without it: in the repository `publish.kernel_repository` of `oci_release_svc`.",
        example: "registry.example.com/hookos/hook-kernel",
        needs: Some((Id::KernelSource, "source")),
        ..PLAIN
    },
    Field {
        id: Id::KernelEngine,
        label: "Compiled by",
        section: Section::Kernel,
        key: "engine",
        flag: "kernel-engine",
        env: "HOOKOS_KERNEL_ENGINE",
        kind: Kind::Choice(&["auto", "docker", "host"]),
        default: Default::Is("auto"),
        help: "What compiles a kernel from source",
        more: "docker: kernel/Dockerfile. host: this machine's compiler. auto: Docker where it answers, else the host.",
        example: "host",
        needs: Some((Id::KernelSource, "source")),
        ..PLAIN
    },
    Field {
        id: Id::KernelBase,
        label: "Compiler image",
        section: Section::Kernel,
        key: "base",
        flag: "kernel-base",
        env: "HOOKOS_KERNEL_BASE",
        kind: Kind::Text,
        default: Default::Is("debian:12"),
        help: "Image in which Docker compiles the kernel",
        more: "A Debian image, or one that has the tools already: then no network is needed.",
        example: "hookos-kernel-tools:12",
        needs: Some((Id::KernelSource, "source")),
        ..PLAIN
    },
    Field {
        id: Id::KernelAppend,
        label: "Kernel parameters",
        section: Section::Kernel,
        key: "append",
        flag: "kernel-append",
        env: "HOOKOS_KERNEL_APPEND",
        kind: Kind::Text,
        help: "More kernel parameters for `hookos boot`",
        more: "Machines that boot over the network get their parameters from the boot server.",
        example: "loglevel=7",
        ..PLAIN
    },
    Field {
        id: Id::ModuleGroupsOff,
        label: "Module groups off",
        section: Section::Kernel,
        key: "module_groups_off",
        flag: "module-groups-off",
        env: "HOOKOS_MODULE_GROUPS_OFF",
        kind: Kind::Names,
        help: "Groups of kernel modules to leave out, by name",
        more: "The groups are the headings of kernel/modules.list, in lower case with `-` between words.",
        example: "usb-network-cards",
        needs: Some((Id::KernelSource, "debian")),
        ..PLAIN
    },
    Field {
        id: Id::Compression,
        label: "Compression",
        section: Section::Image,
        key: "compression",
        flag: "compression",
        env: "HOOKOS_COMPRESSION",
        kind: Kind::Choice(&["zstd", "gzip"]),
        default: Default::Is("zstd"),
        help: "Compression of the initramfs",
        more: "gzip gives a larger image that every kernel can unpack.",
        example: "gzip",
        ..PLAIN
    },
    Field {
        id: Id::Getty,
        label: "Consoles",
        section: Section::Image,
        key: "getty",
        flag: "getty",
        env: "HOOKOS_GETTY",
        kind: Kind::Choice(&["login", "insecure", "off"]),
        default: Default::Is("off"),
        help: "What each console shows",
        more: "login: a log-in prompt for root; insecure: a root shell without a password; off: nothing.",
        example: "insecure",
        ..PLAIN
    },
    Field {
        id: Id::RootPasswordHash,
        label: "Root password hash",
        section: Section::Image,
        key: "root_password_hash",
        flag: "root-password-hash",
        env: "HOOKOS_ROOT_PASSWORD_HASH",
        kind: Kind::PasswordHash,
        help: "Hash of root's password, for getty = login",
        more: "A profile never holds it: give it in the environment when you build. `openssl passwd -6` makes one.",
        example: "$6$saltsalt$abcdefgh.ijkl/0123",
        needs: Some((Id::Getty, "login")),
        ..PLAIN
    },
    Field {
        id: Id::Definition,
        label: "Image definition",
        section: Section::Image,
        key: "definition",
        flag: "definition",
        env: "HOOKOS_DEFINITION",
        kind: Kind::Path,
        help: "Image definition in LinuxKit's YAML",
        more: "Default: components/hook.yaml of the project.",
        example: "my-hook.yaml",
        ..PLAIN
    },
    Field {
        id: Id::ComponentsOff,
        label: "Components off",
        section: Section::Image,
        key: "components_off",
        flag: "components-off",
        env: "HOOKOS_COMPONENTS_OFF",
        kind: Kind::Names,
        help: "Parts of the image definition to leave out, by name",
        example: "acpid",
        ..PLAIN
    },
    Field {
        id: Id::ComponentsOn,
        label: "Components on",
        section: Section::Image,
        key: "components_on",
        flag: "components-on",
        env: "HOOKOS_COMPONENTS_ON",
        kind: Kind::Names,
        help: "Components to add to the image definition, by name",
        more: "A component is added where its component.toml says (init, onboot, onshutdown or service).",
        example: "sshd",
        ..PLAIN
    },
    Field {
        id: Id::Roles,
        label: "Roles",
        section: Section::Image,
        key: "roles",
        flag: "roles",
        env: "HOOKOS_ROLES",
        kind: Kind::Roles,
        help: "Which component takes a role, where several can",
        more: "A component's role stands in its component.toml.",
        example: "logging=syslog-ng",
        ..PLAIN
    },
    Field {
        id: Id::VerifyKey,
        label: "Key of signatures",
        section: Section::Image,
        key: "verify_key",
        flag: "verify-key",
        env: "HOOKOS_VERIFY_KEY",
        kind: Kind::Path,
        help: "Public key that has signed what registries are to give",
        more: "A PEM file, as cosign.pub. What is not signed with it is not taken: components, images of the definition, a kernel of the release service, a published image that is stamped. A key for one registry stands in registries.toml (docs/registries.md).",
        example: "cosign.pub",
        ..PLAIN
    },
    Field {
        id: Id::DebianMirror,
        label: "Debian mirror",
        section: Section::Debian,
        key: "mirror",
        flag: "debian-mirror",
        env: "HOOKOS_DEBIAN_MIRROR",
        kind: Kind::Url,
        help: "Debian archive to download packages from",
        more: "Default: what this machine's apt uses.",
        example: "http://debian.example.com/debian",
        ..PLAIN
    },
    Field {
        id: Id::DebianSecurityMirror,
        label: "Security mirror",
        section: Section::Debian,
        key: "security_mirror",
        flag: "debian-security-mirror",
        env: "HOOKOS_DEBIAN_SECURITY_MIRROR",
        kind: Kind::Url,
        help: "Debian security archive to download packages from",
        more: "Default: what this machine's apt uses.",
        example: "http://debian.example.com/debian-security",
        ..PLAIN
    },
    Field {
        id: Id::PublishRegistry,
        label: "Registry",
        section: Section::Publish,
        key: "registry",
        flag: "publish-registry",
        env: "HOOKOS_PUBLISH_REGISTRY",
        kind: Kind::HostPort,
        help: "Registry that images and kernels are published to",
        more: "Logins are those of `docker login` and `podman login`; docs/registries.md explains private CAs.",
        example: "registry.example.com:5000",
        ..PLAIN
    },
    Field {
        id: Id::PublishRepository,
        label: "Image repository",
        section: Section::Publish,
        key: "repository",
        flag: "publish-repository",
        env: "HOOKOS_PUBLISH_REPOSITORY",
        kind: Kind::Repository,
        default: Default::Is("edge-orch/en/files/provisioning-hook-os"),
        help: "Repository of the registry for finished images",
        example: "edge-orch/en/files/provisioning-hook-os",
        ..PLAIN
    },
    Field {
        id: Id::PublishVersion,
        label: "Image version",
        section: Section::Publish,
        key: "version",
        flag: "publish-version",
        env: "HOOKOS_PUBLISH_VERSION",
        kind: Kind::Tag,
        default: Default::Is(env!("CARGO_PKG_VERSION")),
        help: "Tag that a finished image gets",
        more: "A tag that names another image is not overwritten unless --force says so.",
        example: "1.2.3",
        ..PLAIN
    },
    Field {
        id: Id::PublishKernelRepository,
        label: "Kernel repository",
        section: Section::Publish,
        key: "kernel_repository",
        flag: "publish-kernel-repository",
        env: "HOOKOS_PUBLISH_KERNEL_REPOSITORY",
        kind: Kind::Repository,
        default: Default::Is("edge-orch/edge-node/hook-kernel"),
        help: "Repository of the registry for kernel images",
        more: "The release service has them under the same name.",
        example: "edge-orch/edge-node/hook-kernel",
        ..PLAIN
    },
]);

#[cfg(test)]
mod tests {
    use super::super::value::Value;
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_table_is_in_the_order_of_the_ids_and_of_the_sections() {
        for (i, field) in FIELDS.iter().enumerate() {
            assert_eq!(field.id as usize, i, "{}", field.key);
        }
        assert!(FIELDS.is_sorted_by_key(|f| f.section));
    }

    #[test]
    fn every_field_is_complete_and_has_names_of_its_own() {
        let mut names = BTreeSet::new();
        for f in FIELDS {
            assert!(
                !f.help.is_empty() && !f.help.ends_with('.'),
                "{}: help is one line without a dot",
                f.key
            );
            assert!(f.more.is_empty() || f.more.ends_with('.'), "{}: more is sentences", f.key);
            // On a screen of 60 columns longer ones would be cut.
            assert!(f.help.len() <= 57, "{}: {} columns of help", f.key, f.help.len());
            assert!((1..=20).contains(&f.label.len()) && names.insert(f.label.to_owned()), "{}", f.label);
            if let Some((other, value)) = f.needs {
                let Kind::Choice(choices) = other.field().kind else { panic!("{}: needs no choice", f.key) };
                assert!(choices.contains(&value), "{}: nothing is ever {value}", f.key);
            }
            let value = Value::parse(f.kind, f.example);
            assert!(matches!(value, Ok(Some(_))), "{}: example {:?}: {value:?}", f.key, f.example);
            assert!(names.insert(format!("--{}", f.flag)), "{}", f.flag);
            assert!(names.insert(f.path()), "{}", f.path());
            assert!(names.insert(f.env.to_owned()) && f.env.starts_with("HOOKOS_"), "{}", f.env);
            if let Default::Is(text) = f.default {
                assert!(matches!(Value::parse(f.kind, text), Ok(Some(_))), "{}: default {text:?}", f.key);
            }
            if matches!(f.default, Default::OfDomain(_)) {
                assert!(f.default_value(Some("x.example.com")).is_some(), "{}", f.key);
            }
        }
    }
}
