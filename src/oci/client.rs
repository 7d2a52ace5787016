//! HTTP clients: which certificates and which proxies they go with.

use super::registries::{Registry, Tls};
use super::registry::Options;
use super::trust;
use crate::http::{self, Fault};
use reqwest::{Client, NoProxy, Proxy};

/// A client for a host of which this is known.
pub(super) fn client(options: &Options, known: &Registry) -> Result<Client, Fault> {
    let mut client = http::builder().tls_danger_accept_invalid_certs(known.tls == Tls::Unverified);
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
