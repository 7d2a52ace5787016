//! Caddy's configuration: JSON, as <https://caddyserver.com/docs/json/> describes it, within what
//! version 2.6 knows.

use crate::routes::{Credentials, ROUTES, Route};
use crate::site::{Level, Upstream};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub upstream: Upstream,
    /// Caddy's address to connect to: the upstream, or our tunnel to it.
    pub dial: String,
}

/// What the configuration is made of.
#[derive(Debug)]
pub struct Config<'a> {
    pub level: Level,
    /// The Unix socket of the token endpoint.
    pub socket: &'a Path,
    /// The certificates to trust, and nothing else.
    pub ca: &'a Path,
    /// For each of [`ROUTES`], its target or why it has none.
    pub targets: [Result<Target, String>; ROUTES.len()],
    /// Added to every port that is listened on; 0 on a machine.
    pub offset: u16,
}

impl Config<'_> {
    pub fn render(&self) -> Value {
        let mut ports: BTreeMap<u16, Vec<Value>> = BTreeMap::new();
        for (route, target) in ROUTES.iter().zip(&self.targets) {
            ports.entry(route.port).or_default().push(self.route(route, target));
        }
        let servers: Map<String, Value> = ports
            .into_iter()
            .map(|(port, mut routes)| {
                routes.push(json!({ "handle": [answer(404, "nothing is served at this path")] }));
                let server = json!({
                    "listen": [format!("127.0.0.1:{}", port.saturating_add(self.offset))],
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
                "encoder": {
                    "format": "filter",
                    "wrap": { "format": "json", "time_format": "iso8601" },
                    // Caddy leaves the values of `Authorization` out by itself; but nothing says that
                    // an upstream does not repeat a token in a header of another name.
                    "fields": {
                        "headers": { "filter": "delete" },
                        "request>headers": { "filter": "delete" },
                        "resp_headers": { "filter": "delete" },
                    },
                },
            } } },
            "apps": { "http": { "grace_period": "1s", "servers": servers } },
        })
    }

    fn route(&self, route: &Route, target: &Result<Target, String>) -> Value {
        let handle = match target {
            Ok(target) => vec![self.credentials(route.credentials), self.proxy(route, target)],
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

    fn proxy(&self, route: &Route, target: &Target) -> Value {
        let Upstream { host, port } = &target.upstream;
        let mut proxy = json!({
            "handler": "reverse_proxy",
            "upstreams": [{ "dial": target.dial }],
            "headers": { "request": { "set": { "Host": [format!("{host}:{port}")] } } },
            "transport": {
                "protocol": "http",
                "dial_timeout": "10s",
                // The client's own wish for compression is passed on; Caddy's would change the bytes.
                "compression": false,
                "versions": ["1.1", "2"],
                "tls": {
                    "root_ca_pem_files": [self.ca.display().to_string()],
                    "server_name": host,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn render(target: &Result<Target, String>) -> Value {
        let config = Config {
            level: Level::Error,
            socket: Path::new("/run/caddy/tokens.sock"),
            ca: Path::new("/etc/idp/ca.pem"),
            targets: std::array::from_fn(|_| target.clone()),
            offset: 0,
        };
        config.render()
    }

    #[test]
    fn every_listener_is_on_loopback_and_there_is_no_admin_port() {
        let upstream = Upstream { host: "a.example.com".to_owned(), port: 443 };
        let all = render(&Ok(Target { upstream, dial: "a.example.com:443".to_owned() }));
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
