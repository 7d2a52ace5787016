//! Connections: TLS, HTTP of either version, and the ways in which a connection itself goes wrong.

use crate::misbehaviour::{LATE, Misbehaviour};
use crate::record::Event;
use crate::tls::Tls;
use crate::{Shared, grpc, web};
use hookos_onboarding::messages::ONBOARD_NODE_STREAM;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tonic::body::Body;

const HANDSHAKE: Duration = Duration::from_secs(20);

pub async fn serve(listener: TcpListener, tls: Tls, shared: Arc<Shared>) {
    let tls = Arc::new(tls);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, Arc::clone(&tls), Arc::clone(&shared)));
            }
            // Out of descriptors, most likely: some will be free again.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn connection(stream: TcpStream, tls: Arc<Tls>, shared: Arc<Shared>) {
    let mut breaks = shared.conduct.breaks();
    breaks.mark_unchanged();
    let how = shared.conduct.now();
    if how == Some(Misbehaviour::Drop) {
        return shared.records.add(Event::Refused { why: "the stand-in drops connections".to_owned() });
    }
    let _ = stream.set_nodelay(true);
    let greeted = tokio::time::timeout(HANDSHAKE, tls.acceptor(how).accept(stream)).await;
    let stream = match greeted {
        Ok(Ok(stream)) => stream,
        Ok(Err(e)) => return shared.records.add(Event::Refused { why: format!("TLS handshake: {e}") }),
        Err(_) => {
            return shared
                .records
                .add(Event::Refused { why: "TLS handshake: no end within 20 s".to_owned() });
        }
    };
    let service = service_fn(|request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(answer(request, shared).await) }
    });
    let builder = Builder::new(TokioExecutor::new());
    let serving = builder.serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // A client that goes away in the middle of something is no news.
        _ = serving => {}
        _ = breaks.changed() => {}
    }
}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Response<Body> {
    match shared.conduct.now() {
        Some(Misbehaviour::Hang) => std::future::pending().await,
        // The onboarding stream is late with each of its answers instead.
        Some(Misbehaviour::Slow) if request.uri().path() != ONBOARD_NODE_STREAM => {
            tokio::time::sleep(LATE).await;
        }
        _ => {}
    }
    if grpc::is(&request) { grpc::answer(request, shared).await } else { web::answer(request, &shared).await }
}
