//! One request and its answer. The server that this one is compared with (benches/) has the same file.

use std::{
    convert::Infallible,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body, Bytes, Incoming},
    header::{ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue},
    rt::{Read, Write},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioTimer;

/// A request line and headers of more bytes are 431; hyper counts at most a hundred headers.
pub const LARGEST_REQUEST: u32 = 16 * 1024;

/// Reads a request for at most so long, and answers it. True: that was all that the client has sent or owes. Leaves the
/// connection open.
pub async fn answer(bytes: impl Read + Write + Unpin, patience: Duration) -> hyper::Result<bool> {
    let is_whole = AtomicBool::new(false);
    let service = service_fn(|request: Request<Incoming>| {
        is_whole.store(request.body().is_end_stream(), Relaxed);
        let response = respond(request.method());
        async { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .max_buf_size(LARGEST_REQUEST as usize)
        // A client may have ended its direction by then.
        .half_close(true)
        .title_case_headers(true)
        .auto_date_header(false)
        .serve_connection(bytes, service);
    let behind = connection.without_shutdown().await?.read_buf;
    Ok(is_whole.load(Relaxed) && behind.is_empty())
}

fn respond(method: &Method) -> Response<Full<Bytes>> {
    log::debug!("{method}");
    if method == Method::GET {
        return text(StatusCode::OK, "running");
    }
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
    response
}

fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
