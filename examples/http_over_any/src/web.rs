//! The page, served by hyper over a connection's bytes.

use std::{convert::Infallible, io, time::Duration};

use hobnob::{
    Address, Peer, Result,
    tokio::{ByteStream, Connection, new_server, serve},
};
use http_body_util::{Either, Full};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::CONTENT_TYPE,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;

/// A page of ours, or what came in on its way back.
type Body = Either<Full<Bytes>, Incoming>;

pub async fn serve_page(address: &Address) -> Result<()> {
    let interrupted = crate::interrupted()?;
    let mut server = new_server(address)?;
    let stop = server.stop_handle()?;
    tokio::spawn(async move {
        interrupted.await;
        stop.stop();
    });
    println!("listening on {address}");
    serve(server, Duration::from_secs(2), attend).await?;
    Ok(())
}

async fn attend(client: Connection) -> Result<()> {
    let peer = client.peer().clone();
    log::info!("client: {peer}");
    let answer = service_fn(|request| {
        let answer = answer(request, &peer);
        async { Ok::<_, Infallible>(answer) }
    });
    let bytes = TokioIo::new(ByteStream::new(client));
    http1::Builder::new().serve_connection(bytes, answer).await.map_err(io::Error::other)?;
    Ok(())
}

fn answer(request: Request<Incoming>, peer: &Peer) -> Response<Body> {
    log::debug!("{} {}", request.method(), request.uri());
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/") => text(StatusCode::OK, format!("hello, {peer}\n")),
        (&Method::POST, "/echo") => Response::new(Either::Right(request.into_body())),
        (_, path) => text(StatusCode::NOT_FOUND, format!("no {path} here: GET / or POST /echo\n")),
    }
}

fn text(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Either::Left(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("text/plain"));
    response
}
