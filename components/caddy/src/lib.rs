//! Caddy as the machine's way to the orchestrator's services: programs talk plain HTTP to 127.0.0.1,
//! Caddy talks TLS to the service and adds the machine's token.
//!
//! | listener on 127.0.0.1 | upstream, TLS | headers added |
//! |---|---|---|
//! | 7443 | `oci_release_svc` | `Authorization`: release token |
//! | 80 `/tink-stack/*` | `tink_stack_svc` | `Authorization`: access token |
//! | 80 `/files-edge-orch/repository/*` | `release_svc` | `Authorization`: release token |
//! | 42113 (gRPC) | `tink_server_svc` | `Authorization`: access token |
//! | 24224 | `logging_svc` | `Authorization`: access token, `X-Scope-OrgID`: project, `hostGuid` |
//!
//! Caddy's configuration holds no token. For each request Caddy first asks this program over a Unix
//! socket ([`endpoint`]) and copies the headers of the answer into the request. So a token that
//! onboarding has replaced counts from the next request on, also on connections that stay open for
//! days; a new configuration would not reach those, since Caddy keeps a connection with the
//! configuration it was opened under.
//!
//! | module | holds |
//! |---|---|
//! | [`service`] | what is started, and how it ends |
//! | [`routes`], [`site`], [`config`] | what decides Caddy's configuration, and that |
//! | [`tokens`], [`endpoint`] | the headers of the moment, and who hands them out |
//! | [`tunnel`] | the site's proxy |
//! | [`output`] | what of Caddy's log is kept |

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod config;
pub mod endpoint;
pub mod output;
pub mod routes;
pub mod service;
pub mod site;
pub mod tokens;
pub mod tunnel;

/// The component's name, at the start of its lines.
pub const NAME: &str = "caddy";
