//! Encrypted connections: HTTP and WebSocket through a proxy that speaks TLS, with a certificate authority of the test.

use super::support::{Queue, service};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// A proxy that ends TLS; its port, and the file with the authority that vouches for it.
fn proxy(queue: &Queue) -> (u16, PathBuf) {
    let (authority_key, key) = (KeyPair::generate().expect("a key"), KeyPair::generate().expect("a key"));
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).expect("a certificate");
    let file = queue.file("authority.pem", authority.pem().as_bytes());
    let leaf = CertificateParams::new(vec!["localhost".into()]).expect("a name");
    let leaf = leaf.signed_by(&key, &Issuer::from_params(&params, &authority_key)).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("versions").with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key);
    let config = Arc::new(config.expect("a certificate with its key"));

    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let target = service().trim_start_matches("http://").trim_end_matches('/').to_owned();
    thread::spawn(move || {
        for down in listener.incoming().flatten() {
            let (Ok(up), Ok(tls)) = (TcpStream::connect(&target), ServerConnection::new(config.clone())) else {
                continue;
            };
            thread::spawn(move || shuffle(StreamOwned::new(tls, down), up));
        }
    });
    (port, file)
}

/// Copies both ways in turns: the encrypted side cannot be read and written from two threads.
fn shuffle(mut down: StreamOwned<ServerConnection, TcpStream>, mut up: TcpStream) {
    let look = Some(Duration::from_millis(2));
    let _ = (down.sock.set_read_timeout(look), up.set_read_timeout(look));
    while pass(&mut down, &mut up) && pass(&mut up, &mut down) {}
}

fn pass(from: &mut impl Read, to: &mut impl Write) -> bool {
    let mut buffer = [0; 16 * 1024];
    match from.read(&mut buffer) {
        Ok(0) => false,
        Ok(count) => to.write_all(&buffer[..count]).and_then(|()| to.flush()).is_ok(),
        Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

#[test]
fn requests_and_watches_are_encrypted_and_the_other_end_is_checked() {
    let queue = Queue::new("tls");
    let (port, authority) = proxy(&queue);
    let url = queue.url.replace(&service(), &format!("https://localhost:{port}"));
    let trusting = |args: &[&str]| {
        let mut command = queue.command(&[&["stream", "--url", &url], args].concat());
        command.env("SSL_CERT_FILE", &authority);
        super::support::end(command)
    };
    trusting(&["put", "-d", "secret"]).ok();
    assert_eq!(trusting(&["watch", "-y", "-q", "--count", "1"]).ok().stdout, "secret\n");
    // Nobody vouches for it without that file.
    queue.stream(&["info", "--url", &url]).code(1).says("cannot reach the service").says("ertificate");
    queue.stream(&["watch", "-y", "--url", &url]).code(1).says("ertificate");
}
