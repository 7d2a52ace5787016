//! HTTP clients: which certificates and which proxies they go with.

use super::fault::Fault;
use super::registries::{Registry, Tls};
use super::registry::Options;
use super::trust;
use reqwest::{Client, NoProxy, Proxy};
use std::time::Duration;

const CONNECT: Duration = Duration::from_secs(20);

/// A client for a host of which this is known.
pub(super) fn client(options: &Options, known: &Registry) -> Result<Client, Fault> {
    with_cryptography();
    let mut client = Client::builder()
        .user_agent(concat!("hookos/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT)
        .tls_danger_accept_invalid_certs(known.tls == Tls::Unverified);
    let given: Vec<&[u8]> =
        options.certificates.iter().chain(&known.certificates).map(Vec::as_slice).collect();
    if !given.is_empty() && known.tls != Tls::Unverified {
        client = client.tls_backend_preconfigured(trust::client(&given).map_err(Fault::lasting)?);
    }
    let no_proxy = options.no_proxy.as_deref().and_then(NoProxy::from_string);
    if let Some(proxy) = &options.https_proxy {
        client = client.proxy(Proxy::https(proxy)?.no_proxy(no_proxy.clone()));
    }
    if let Some(proxy) = &options.http_proxy {
        client = client.proxy(Proxy::http(proxy)?.no_proxy(no_proxy));
    }
    Ok(client.build()?)
}

/// Gives the HTTP client its cryptography, which it has none of: call it before one is made.
pub fn with_cryptography() {
    // Another part of the program may have been first, with the same.
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
}
