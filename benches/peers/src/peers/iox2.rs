//! iceoryx2: publish-subscribe polled, the same with a copy out, the same woken by events,
//! and the request-response API polled.
//!
//! The payload is copied into the loan (the sender's data lives in its own buffer, as in all
//! rows); the receiver looks at it in place, except in the `copy` row.

use crate::core::*;
use anyhow::{Result, anyhow, bail};
use iceoryx2::port::{listener::Listener, notifier::Notifier, publisher::Publisher, subscriber::Subscriber};
use iceoryx2::prelude::*;
use std::hint::spin_loop;
use std::time::{Duration, Instant};

type S = ipc::Service;

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Poll,
    Copy,
    Event,
    ReqRes,
}

pub struct Iox2 {
    name: &'static str,
    note: &'static str,
    mode: Mode,
}

pub static PUBSUB: Iox2 = Iox2 {
    name: "iceoryx2-poll",
    note: "iceoryx2 0.10 publish-subscribe, busy-polled, received in place",
    mode: Mode::Poll,
};
pub static COPY: Iox2 =
    Iox2 { name: "iceoryx2-poll-copy", note: "the same, copied out of the sample", mode: Mode::Copy };
pub static EVENT: Iox2 = Iox2 {
    name: "iceoryx2-event",
    note: "the same in place, woken by notifier/listener (blocking_wait)",
    mode: Mode::Event,
};
pub static REQRES: Iox2 = Iox2 {
    name: "iceoryx2-reqres",
    note: "iceoryx2 0.10 request-response, busy-polled, in place",
    mode: Mode::ReqRes,
};

fn e<E: std::fmt::Debug>(x: E) -> anyhow::Error {
    anyhow!("{x:?}")
}

fn node(a: &Args) -> Result<Node<S>> {
    set_log_level(LogLevel::Error);
    let mut c = Config::default();
    c.global.prefix = FileName::new(format!("{}_", a.uid).as_bytes()).map_err(e)?;
    let root = a.path_str("iox");
    c.global.set_root_path(&Path::new(root.as_bytes()).map_err(e)?);
    NodeBuilder::new().config(&c).create::<S>().map_err(e)
}

struct IoxConn {
    tx: Publisher<S, [u8], ()>,
    rx: Subscriber<S, [u8], ()>,
    ev: Option<(Notifier<S>, Listener<S>)>,
    copy: bool,
    _node: Node<S>,
}

impl IoxConn {
    fn new(a: &Args, server: bool, mode: Mode) -> Result<Self> {
        let node = node(a)?;
        let stream = a.workload == Workload::Stream;
        let depth = if a.size > 4096 { 8 } else { 256 };
        let svc = |n: &str| -> Result<_> {
            node.service_builder(&n.try_into().map_err(e)?)
                .publish_subscribe::<[u8]>()
                .max_publishers(1)
                .max_subscribers(1)
                .history_size(0)
                .subscriber_max_buffer_size(if stream { depth } else { 2 })
                .enable_safe_overflow(false)
                .open_or_create()
                .map_err(e)
        };
        let (c2s, s2c) = (svc("c2s")?, svc("s2c")?);
        let (out, inp) = if server { (&s2c, &c2s) } else { (&c2s, &s2c) };
        let rx = inp.subscriber_builder().create().map_err(e)?;
        let tx = out
            .publisher_builder()
            .initial_max_slice_len(a.size.max(MIN_MSG))
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create()
            .map_err(e)?;
        let evs = |n: &str| -> Result<_> {
            node.service_builder(&n.try_into().map_err(e)?).event().open_or_create().map_err(e)
        };
        let ev = if mode == Mode::Event {
            let (ec, es) = (evs("ec2s")?, evs("es2c")?);
            let (eo, ei) = if server { (&es, &ec) } else { (&ec, &es) };
            let l = ei.listener_builder().create().map_err(e)?;
            let n = eo.notifier_builder().create().map_err(e)?;
            let t = Instant::now();
            if server {
                a.ready();
            }
            while eo.dynamic_config().number_of_listeners() == 0 {
                if t.elapsed() > Duration::from_secs(8) {
                    bail!("no listener came");
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            Some((n, l))
        } else {
            if server {
                a.ready();
            }
            None
        };
        let t = Instant::now();
        while out.dynamic_config().number_of_subscribers() == 0
            || inp.dynamic_config().number_of_publishers() == 0
        {
            if t.elapsed() > Duration::from_secs(8) {
                bail!("the other side did not come");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let mut c = IoxConn { tx, rx, ev, copy: mode == Mode::Copy, _node: node };
        // One exchange first: samples published before the subscriber has opened its end of
        // the connection are not held back by the delivery strategy, they are lost.
        let hello = message(MIN_MSG);
        if server {
            c.take()?;
            c.send(&hello)?;
        } else {
            c.send(&hello)?;
            c.take()?;
        }
        Ok(c)
    }

    #[inline]
    fn take(&mut self) -> Result<iceoryx2::sample::Sample<S, [u8], ()>> {
        loop {
            if let Some(s) = self.rx.receive().map_err(e)? {
                return Ok(s);
            }
            match &self.ev {
                Some((_, l)) => {
                    l.blocking_wait(|_| {}).map_err(e)?;
                }
                None => spin_loop(),
            }
        }
    }
}

impl Conn for IoxConn {
    #[inline]
    fn send(&mut self, m: &[u8]) -> Result<()> {
        let s = self.tx.loan_slice_uninit(m.len()).map_err(e)?;
        s.write_from_slice(m).send().map_err(e)?;
        if let Some((n, _)) = &self.ev {
            n.notify().map_err(e)?;
        }
        Ok(())
    }
    #[inline]
    fn recv(&mut self, buf: &mut Vec<u8>) -> Result<Head> {
        let s = self.take()?;
        if self.copy {
            set_len(buf, s.payload().len());
            buf.copy_from_slice(s.payload());
            return Head::of(buf);
        }
        Head::of(s.payload())
    }
    #[inline]
    fn echo(&mut self, buf: &mut Vec<u8>) -> Result<Head> {
        if self.copy {
            let h = self.recv(buf)?;
            self.send(buf)?;
            return Ok(h);
        }
        let s = self.take()?;
        let h = Head::of(s.payload())?;
        self.send(s.payload())?;
        Ok(h)
    }
}

type ReqFactory = iceoryx2::service::port_factory::request_response::PortFactory<S, [u8], (), [u8], ()>;

fn req_service(node: &Node<S>) -> Result<ReqFactory> {
    node.service_builder(&"rr".try_into().map_err(e)?)
        .request_response::<[u8], [u8]>()
        .max_servers(1)
        .max_clients(4)
        .open_or_create()
        .map_err(e)
}

fn req_serve(a: &Args) -> Result<()> {
    let node = node(a)?;
    let svc = req_service(&node)?;
    let srv = svc.server_builder().initial_max_slice_len(a.size.max(MIN_MSG)).create().map_err(e)?;
    a.ready();
    loop {
        let Some(r) = srv.receive().map_err(e)? else {
            spin_loop();
            continue;
        };
        let h = Head::of(r.payload())?;
        r.loan_slice_uninit(r.payload().len()).map_err(e)?.write_from_slice(r.payload()).send().map_err(e)?;
        if h.last && a.workload == Workload::PingPong {
            // Let the client take the answer before the port goes away.
            drop(r);
            std::thread::sleep(Duration::from_millis(20));
            return Ok(());
        }
    }
}

type Pending = iceoryx2::pending_response::PendingResponse<S, [u8], (), [u8], ()>;

struct ReqConn {
    c: iceoryx2::port::client::Client<S, [u8], (), [u8], ()>,
    p: Option<Pending>,
}

impl ReqConn {
    fn new(svc: &ReqFactory, size: usize) -> Result<Self> {
        let c = svc.client_builder().initial_max_slice_len(size.max(MIN_MSG)).create().map_err(e)?;
        Ok(ReqConn { c, p: None })
    }
}

impl Conn for ReqConn {
    #[inline]
    fn send(&mut self, m: &[u8]) -> Result<()> {
        self.p = Some(self.c.loan_slice_uninit(m.len()).map_err(e)?.write_from_slice(m).send().map_err(e)?);
        Ok(())
    }
    #[inline]
    fn recv(&mut self, _: &mut Vec<u8>) -> Result<Head> {
        let p = self.p.take().unwrap();
        loop {
            if let Some(r) = p.receive().map_err(e)? {
                return Head::of(r.payload());
            }
            spin_loop();
        }
    }
}

impl Peer for Iox2 {
    fn name(&self) -> &'static str {
        self.name
    }
    fn note(&self) -> &'static str {
        self.note
    }
    fn needs_two_cores(&self) -> bool {
        self.mode != Mode::Event
    }
    fn supports(&self, w: Workload, _: usize) -> bool {
        match w {
            Workload::PingPong => true,
            Workload::Stream => self.mode != Mode::ReqRes,
            Workload::Churn => self.mode == Mode::ReqRes,
            Workload::FanIn => false,
        }
    }
    fn serve(&self, a: &Args) -> Result<()> {
        std::fs::create_dir_all(a.path("iox"))?;
        if self.mode == Mode::ReqRes {
            return req_serve(a);
        }
        let mut c = IoxConn::new(a, true, self.mode)?;
        let r = drive_server(&mut c, a);
        std::thread::sleep(Duration::from_millis(20));
        r
    }
    fn client(&self, a: &Args) -> Result<Samples> {
        if self.mode == Mode::ReqRes {
            let node = node(a)?;
            if a.workload == Workload::Churn {
                let mut b = scratch(64);
                return drive_churn(a, |m, _| {
                    let svc = req_service(&node)?;
                    let mut c = ReqConn::new(&svc, 64)?;
                    c.send(m)?;
                    c.recv(&mut b)?;
                    Ok(())
                });
            }
            let svc = req_service(&node)?;
            return drive_client(&mut ReqConn::new(&svc, a.size)?, a);
        }
        drive_client(&mut IoxConn::new(a, false, self.mode)?, a)
    }
}
