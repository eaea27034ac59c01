//! Requests over HTTP.

use edgequeue::client::{Endpoint, Failure, HttpRequest, HttpResponse};
use edgequeue::wire::names::{HEADER_REPEATED, HEADER_REQUEST_ID};
use std::io::{self, ErrorKind};
use std::thread::sleep;
use std::time::Duration;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Timeout, http};

use crate::stop::{Exit, Stop};

/// How long the service may take for an answer, beyond what it was asked to wait.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest answer: well above the 16 MiB of entries a get may return, in any encoding.
const ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Connections that are kept for the next request.
const IDLE_CONNECTIONS_MAX: usize = 256;
/// Attempts for a request that can be repeated and got no answer: a connection the other end has closed in the meantime
/// is found out only by using it.
const ATTEMPTS: u32 = 3;

/// Why there is no answer.
#[derive(Clone, Debug)]
pub enum Unanswered {
    /// The request never left.
    NotSent(String),
    /// It left, and what became of it is not known.
    NoAnswer(String),
    /// The time was up.
    TooLate,
}

impl From<Unanswered> for Stop {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::NotSent(why) => unreachable(&why),
            Unanswered::NoAnswer(why) => Self::new(
                Exit::Failure,
                format!("the connection broke before the answer came: {why}"),
                "What was asked for may have been done; look with `edgequeue stream info` before you repeat it.",
            ),
            Unanswered::TooLate => Self::new(
                Exit::Nothing,
                "no answer came in time",
                "What was asked for may have been done; look with `edgequeue stream info` before you repeat it.",
            ),
        }
    }
}

/// The service cannot be reached.
pub fn unreachable(why: &str) -> Stop {
    Stop::new(
        Exit::Failure,
        format!("cannot reach the service: {why}"),
        "Does it run, and is the address right? `edgequeue stream config` shows which one is used.",
    )
}

/// A queue that can be asked, from any thread.
#[derive(Clone)]
pub struct Http {
    pub endpoint: Endpoint,
    agent: Agent,
}

impl Http {
    pub fn new(endpoint: Endpoint) -> Self {
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .max_idle_connections(IDLE_CONNECTIONS_MAX)
            .max_idle_connections_per_host(IDLE_CONNECTIONS_MAX)
            .user_agent(concat!("edgequeue/", env!("CARGO_PKG_VERSION")))
            .accept("")
            .build();
        Self { endpoint, agent: config.new_agent() }
    }

    /// Sends a request and reads its answer.
    pub fn ask<T>(&self, request: &HttpRequest, read: impl Fn(&HttpResponse) -> Result<T, Failure>) -> Result<T, Stop> {
        Ok(read(&self.send(request, ANSWER_TIMEOUT)?)?)
    }

    /// Sends a request; one that can be repeated is, when no answer comes.
    pub fn send(&self, request: &HttpRequest, timeout: Duration) -> Result<HttpResponse, Unanswered> {
        let mut attempt = 1;
        loop {
            match self.send_once(request, timeout) {
                Err(Unanswered::NoAnswer(_)) if request.repeatable && attempt < ATTEMPTS => {
                    sleep(Duration::from_millis(50) * attempt);
                    attempt += 1;
                }
                answered => return answered,
            }
        }
    }

    fn send_once(&self, request: &HttpRequest, timeout: Duration) -> Result<HttpResponse, Unanswered> {
        let mut builder = http::Request::builder().method(request.method).uri(self.endpoint.http_url(&request.target));
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        let not_sent = |error: http::Error| Unanswered::NotSent(error.to_string());
        let answer = if matches!(request.method, "GET" | "DELETE") {
            let request = builder.body(()).map_err(not_sent)?;
            self.agent.run(self.agent.configure_request(request).timeout_global(Some(timeout)).build())
        } else {
            let request = builder.body(request.body.as_ref()).map_err(not_sent)?;
            self.agent.run(self.agent.configure_request(request).timeout_global(Some(timeout)).build())
        };
        let mut answer = answer.map_err(unanswered)?;
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec().map_err(unanswered)?;
        let request_id = answer.headers().get(HEADER_REQUEST_ID).and_then(|value| value.to_str().ok());
        Ok(HttpResponse {
            status: answer.status().as_u16(),
            request_id: request_id.map(str::to_owned),
            repeated: answer.headers().contains_key(HEADER_REPEATED),
            body: body.into(),
        })
    }
}

fn unanswered(error: ureq::Error) -> Unanswered {
    let text = error.to_string();
    match error {
        ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => Unanswered::NotSent("it does not answer".into()),
        ureq::Error::Timeout(_) => Unanswered::TooLate,
        ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::BadUri(_)
        | ureq::Error::Http(_)
        | ureq::Error::InvalidProxyUrl
        | ureq::Error::ConnectProxyFailed(_)
        | ureq::Error::Tls(_)
        | ureq::Error::Rustls(_) => Unanswered::NotSent(text),
        ureq::Error::Io(error) if never_left(&error) => Unanswered::NotSent(error.to_string()),
        _ => Unanswered::NoAnswer(text),
    }
}

/// Whether there never was a connection: no server listened, or its certificate is not trusted.
fn never_left(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
        || matches!(
            error.kind(),
            ErrorKind::ConnectionRefused
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
                | ErrorKind::AddrNotAvailable
        )
}
