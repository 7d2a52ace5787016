//! Caddy's configuration: JSON, as <https://caddyserver.com/docs/json/> describes it, within what
//! version 2.6 knows.

use crate::routes::{Credentials, ROUTES, Route};
use crate::site::{Level, Missing, Upstream};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// What the configuration is made of.
#[derive(Debug)]
pub struct Config<'a> {
    pub level: Level,
    /// The Unix socket of the token endpoint.
    pub socket: &'a Path,
    /// The certificates to trust, and nothing else.
    pub ca: &'a Path,
    /// For each of [`ROUTES`], the upstream or why it has none.
    pub upstreams: [Result<Upstream, String>; ROUTES.len()],
    /// The port to listen on in place of a route's own.
    pub port: fn(u16) -> u16,
}

impl Config<'_> {
    pub fn render(&self) -> Value {
        let mut ports: BTreeMap<u16, Vec<Value>> = BTreeMap::new();
        for (route, upstream) in ROUTES.iter().zip(&self.upstreams) {
            ports.entry(route.port).or_default().push(self.route(route, upstream));
        }
        let servers: Map<String, Value> = ports
            .into_iter()
            .map(|(port, mut routes)| {
                routes.push(json!({ "handle": [answer(404, "nothing is served at this path")] }));
                let server = json!({
                    "listen": [format!("127.0.0.1:{}", (self.port)(port))],
                    "protocols": ["h1", "h2", "h2c"],
                    "automatic_https": { "disable": true },
                    "routes": routes,
                });
                (format!("port-{port}"), server)
            })
            .collect();
        json!({
            "admin": { "disabled": true, "config": { "persist": false } },
            "logging": { "logs": { "default": {
                "level": self.level.name(),
                "writer": { "output": "stderr" },
                "encoder": { "format": "json", "time_format": "iso8601" },
            } } },
            "apps": { "http": { "grace_period": "1s", "servers": servers } },
        })
    }

    fn route(&self, route: &Route, upstream: &Result<Upstream, String>) -> Value {
        let handle = match upstream {
            Ok(upstream) => vec![self.credentials(route.credentials), self.proxy(route, upstream)],
            Err(reason) => vec![answer(503, reason)],
        };
        let mut all = json!({ "handle": handle, "terminal": true });
        if !route.paths.is_empty() {
            all["match"] = json!([{ "path": route.paths }]);
        }
        all
    }

    /// Asks the token endpoint, as Caddy's `forward_auth` would: an answer with status 2xx gives the
    /// request its headers, in place of what the client sent; any other goes to the client.
    fn credentials(&self, credentials: Credentials) -> Value {
        let copied: Map<String, Value> = (credentials.headers().iter())
            .map(|name| ((*name).to_owned(), json!([format!("{{http.reverse_proxy.header.{name}}}")])))
            .collect();
        json!({
            "handler": "reverse_proxy",
            "upstreams": [{ "dial": format!("unix/{}", self.socket.display()) }],
            // GET, so that the body stays for the upstream.
            "rewrite": { "method": "GET", "uri": credentials.path() },
            "handle_response": [{
                "match": { "status_code": [2] },
                "routes": [{ "handle": [{ "handler": "headers", "request": { "set": copied } }] }],
            }],
        })
    }

    fn proxy(&self, route: &Route, upstream: &Upstream) -> Value {
        let mut proxy = json!({
            "handler": "reverse_proxy",
            "upstreams": [{ "dial": format!("{}:{}", upstream.host, upstream.port) }],
            "headers": { "request": { "set": { "Host": ["{http.reverse_proxy.upstream.hostport}"] } } },
            "transport": {
                "protocol": "http",
                "dial_timeout": "10s",
                // The client's own wish for compression is passed on; Caddy's would change the bytes.
                "compression": false,
                "versions": ["1.1", "2"],
                "tls": {
                    "root_ca_pem_files": [self.ca.display().to_string()],
                    "server_name": upstream.host,
                },
            },
        });
        if route.streams {
            proxy["flush_interval"] = json!(-1);
        }
        proxy
    }
}

/// An answer of Caddy's own.
fn answer(status: u16, text: &str) -> Value {
    json!({
        "handler": "static_response",
        "status_code": status,
        "headers": { "Content-Type": ["text/plain; charset=utf-8"] },
        "body": format!("{}\n", text.replace(['{', '}'], "'")),
    })
}

/// The sentences for the console: what each route lacks.
pub fn lacking(upstreams: &[Result<Upstream, Missing>; ROUTES.len()]) -> Vec<String> {
    let pairs = ROUTES.iter().zip(upstreams);
    pairs.filter_map(|(route, up)| up.as_ref().err().map(|why| why.reason(route.service))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(upstream: &Result<Upstream, String>) -> Value {
        let config = Config {
            level: Level::Error,
            socket: Path::new("/run/caddy/tokens.sock"),
            ca: Path::new("/etc/idp/ca.pem"),
            upstreams: std::array::from_fn(|_| upstream.clone()),
            port: |port| port,
        };
        config.render()
    }

    #[test]
    fn every_listener_is_on_loopback_and_there_is_no_admin_port() {
        let all = render(&Ok(Upstream { host: "a.example.com".to_owned(), port: 443 }));
        assert_eq!(all["admin"]["disabled"], true);
        let servers = all["apps"]["http"]["servers"].as_object().unwrap();
        let mut listen: Vec<_> = servers.values().map(|s| s["listen"][0].as_str().unwrap()).collect();
        listen.sort_unstable();
        assert_eq!(listen, ["127.0.0.1:24224", "127.0.0.1:42113", "127.0.0.1:7443", "127.0.0.1:80"]);
        let routes = servers["port-80"]["routes"].as_array().unwrap();
        assert_eq!(routes[0]["match"][0]["path"][0], "/tink-stack/*");
        assert_eq!(routes[1]["handle"][0]["rewrite"]["uri"], "/credentials/release");
        assert_eq!(routes[1]["handle"][1]["transport"]["tls"]["server_name"], "a.example.com");
        assert_eq!(routes[2]["handle"][0]["status_code"], 404);
        assert_eq!(all["logging"]["logs"]["default"]["level"], "ERROR");
    }

    #[test]
    fn a_reason_cannot_be_a_placeholder() {
        let all = render(&Err("no {env.SECRET}".to_owned()));
        let handler = &all["apps"]["http"]["servers"]["port-7443"]["routes"][0]["handle"][0];
        assert_eq!(handler["body"], "no 'env.SECRET'\n");
        assert_eq!(handler["status_code"], 503);
    }
}
