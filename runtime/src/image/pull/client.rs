//! Transfers over HTTP.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Body};

use super::names::Names;
use super::url::{Place, Url};
use crate::error::{Error, Kind, Result};

/// Longest that connecting may take, and a server may be silent.
const CONNECT: Duration = Duration::from_secs(30);
const SILENCE: Duration = Duration::from_secs(60);

/// Most redirections.
const REDIRECTIONS: u32 = 10;

/// Most addresses that are tried, as many as the client's list has room for.
const ADDRESSES: usize = 16;

/// Largest file of checksums, as in systemd's importd.
const SMALL: u64 = 1 << 20;

/// A client for one server and those that it redirects to.
#[derive(Debug)]
pub(super) struct Client(Agent);

impl Client {
    /// Reads all that it needs of the host: certificates of authorities (where they usually
    /// are, or as `$SSL_CERT_FILE` and `$SSL_CERT_DIR` say), names, proxies (`$https_proxy` and the like).
    pub(super) fn new(url: &Url) -> Self {
        let encrypted = matches!(
            url.place(),
            Place::Web {
                encrypted: true,
                ..
            }
        );
        let found = rustls_native_certs::load_native_certs().certs.into_iter();
        let roots: Vec<_> = found
            .map(|found| Certificate::from_der(&found).to_owned())
            .collect();
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&roots))
            .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
            .build();
        let config = Config::builder()
            .tls_config(tls)
            // What began encrypted is not redirected to what is not.
            .https_only(encrypted)
            .max_redirects(REDIRECTIONS)
            .user_agent(concat!("nsrun/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .build();
        let names = HostNames(Names::of_host());
        Self(Agent::with_parts(
            config,
            DefaultConnector::default(),
            names,
        ))
    }

    /// Opens a file on the server; its length, if the server tells.
    pub(super) fn open(&self, url: &str) -> Result<(impl Read + use<>, Option<u64>)> {
        let body = self.get(url)?;
        let length = body.content_length();
        let reader = body.into_with_config().limit(u64::MAX).reader();
        Ok((reader, length))
    }

    /// A small file as text; `None` if the server has none.
    pub(super) fn read(&self, url: &str) -> Result<Option<String>> {
        match self.get(url) {
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(body) => {
                let body = body.into_with_config().limit(SMALL).lossy_utf8(true);
                body.read_to_string().map(Some).map_err(explain)
            }
        }
    }

    fn get(&self, url: &str) -> Result<Body> {
        let response = self.0.get(url).call().map_err(explain)?;
        Ok(response.into_body())
    }
}

/// An error of the transfer in words; that a file does not exist is told apart.
fn explain(error: ureq::Error) -> Error {
    match error {
        ureq::Error::StatusCode(status @ (404 | 410)) => Error::new(
            Kind::NotFound,
            format!("the server answers {status}: there is no such file"),
        ),
        ureq::Error::StatusCode(status) => {
            Error::new(Kind::Failed, format!("the server answers {status}"))
        }
        ureq::Error::HostNotFound => Error::new(Kind::Failed, "there is no such host"),
        ureq::Error::RequireHttpsOnly(_) => {
            let what = "the server redirects to a place that is not encrypted";
            Error::new(Kind::Failed, what)
        }
        ureq::Error::Io(error) => {
            certificate_hint(Error::new(Kind::Failed, "the transfer failed").because(error))
        }
        error => certificate_hint(Error::new(Kind::Failed, error.to_string())),
    }
}

fn certificate_hint(error: Error) -> Error {
    if !error.to_string().contains("certificate") {
        return error;
    }
    error.hint("SSL_CERT_FILE=FILE names the certificates of authorities to trust")
}

/// Looks names up for the client.
#[derive(Debug)]
struct HostNames(Names);

impl Resolver for HostNames {
    fn resolve(
        &self,
        uri: &Uri,
        _config: &Config,
        _timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().ok_or(ureq::Error::HostNotFound)?;
        let usual = if uri.scheme_str() == Some("https") {
            443
        } else {
            80
        };
        let port = uri.port_u16().unwrap_or(usual);
        let mut addresses = self.empty();
        for address in self.0.look_up(host)?.into_iter().take(ADDRESSES) {
            addresses.push(SocketAddr::new(address, port));
        }
        if addresses.is_empty() {
            return Err(ureq::Error::HostNotFound);
        }
        Ok(addresses)
    }
}
