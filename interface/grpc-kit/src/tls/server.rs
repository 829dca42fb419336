//! The server's side: its certificate, and the clients' when they have to have one.

use std::{path::PathBuf, sync::Arc, time::Duration};

use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        pki_types::{CertificateDer, UnixTime},
        server::{NoClientAuth, WebPkiClientVerifier, danger::ClientCertVerifier},
    },
    server::TlsStream,
};

use super::{
    HTTP_2,
    files::{Material, Reloading, TlsError},
    provider,
};
use crate::auth::Principal;
use crate::settings::value::{list, optional, whole};

/// How long a client may take for the handshake.
const PATIENCE: Duration = Duration::from_secs(10);

/// `GRPC__SERVER__TLS__*`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerTlsConfig {
    /// `CERT`: PEM file with the server's certificate and those between it and its authority. With it, only TLS is
    /// spoken.
    #[serde(deserialize_with = "optional")]
    pub cert: Option<PathBuf>,
    /// `KEY`: PEM file with the certificate's private key.
    #[serde(deserialize_with = "optional")]
    pub key: Option<PathBuf>,
    /// `CLIENT_CA`: PEM file with the authorities one of which must have signed the client's certificate. With it,
    /// clients need one, and who has one with a SPIFFE id needs no token.
    #[serde(deserialize_with = "optional")]
    pub client_ca: Option<PathBuf>,
    /// `RELOAD_SECONDS`, at least 1: how often the files are looked at for a change.
    #[serde(deserialize_with = "whole::<_, _, 1, 86_400>")]
    pub reload_seconds: u64,
    /// `TRUST_DOMAINS`: those whose SPIFFE ids say who calls, like `example.org`; none for any that CLIENT_CA signed.
    #[serde(deserialize_with = "list")]
    pub trust_domains: Vec<String>,
}

impl ServerTlsConfig {
    /// Whether a server can use the files, as far as they are named.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn check(&self) -> Result<(), TlsError> {
        ServerTls::new(self).map(drop)
    }
}

impl Default for ServerTlsConfig {
    fn default() -> Self {
        Self { cert: None, key: None, client_ca: None, reload_seconds: 30, trust_domains: Vec::new() }
    }
}

/// What handshakes are made by.
struct Handshakes {
    config: Arc<ServerConfig>,
    clients: Arc<dyn ClientCertVerifier>,
}

/// The server's side of handshakes.
#[derive(Clone, Debug)]
pub(crate) struct ServerTls {
    config: Arc<Reloading<Handshakes>>,
    every: Duration,
    trust_domains: Arc<[String]>,
}

impl ServerTls {
    /// Reads the files; `None` when TLS is not configured.
    pub(crate) fn new(config: &ServerTlsConfig) -> Result<Option<Self>, TlsError> {
        if config.cert.is_none() && config.key.is_none() && config.client_ca.is_none() {
            return Ok(None);
        }
        let files = [
            ("GRPC__SERVER__TLS__CERT", config.cert.clone()),
            ("GRPC__SERVER__TLS__KEY", config.key.clone()),
            ("GRPC__SERVER__TLS__CLIENT_CA", config.client_ca.clone()),
        ];
        let every = Duration::from_secs(config.reload_seconds.max(1));
        let trust_domains = config.trust_domains.iter().cloned().collect();
        Ok(Some(Self { config: Arc::new(Reloading::new(files, make)?), every, trust_domains }))
    }

    /// The handshake with one client; `None` when it fails or takes too long.
    pub(crate) async fn accept<I>(&self, io: I) -> Option<TlsStream<I>>
    where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        let handshake = TlsAcceptor::from(Arc::clone(&self.config.current().config)).accept(io);
        match tokio::time::timeout(PATIENCE, handshake).await {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a handshake failed");
                None
            }
            Err(_) => None,
        }
    }

    /// Who a client's verified certificate says it is: its SPIFFE id, of one of the trust domains.
    pub(crate) fn identity<I>(&self, stream: &TlsStream<I>) -> Option<Principal> {
        let id = spiffe_id(stream.get_ref().1.peer_certificates())?;
        let domain = id.strip_prefix("spiffe://")?.split('/').next()?;
        let trusted = self.trust_domains.is_empty() || self.trust_domains.iter().any(|known| known == domain);
        trusted.then(|| Principal::of_certificate(id))
    }

    /// Resolves when the client's certificate would not be accepted any more: it has expired, or its authority is not
    /// one of CLIENT_CA now. Looked at as often as the files are. Never, when it showed none.
    pub(crate) fn revoked<I>(&self, stream: &TlsStream<I>) -> impl Future<Output = ()> + use<I> {
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let chain: Vec<_> = chain.iter().map(|certificate| certificate.clone().into_owned()).collect();
        let tls = self.clone();
        async move {
            let Some((client, between)) = chain.split_first() else { return std::future::pending().await };
            loop {
                tokio::time::sleep(tls.every).await;
                let clients = Arc::clone(&tls.config.current().clients);
                if let Err(error) = clients.verify_client_cert(client, between, UnixTime::now()) {
                    return tracing::debug!(%error, "a client's certificate is not accepted any more");
                }
            }
        }
    }

    /// Reads the files again and again, for as long as it is polled.
    pub(crate) async fn keep_up_to_date(&self) {
        loop {
            tokio::time::sleep(self.every).await;
            match self.config.reload().await {
                Ok(true) => tracing::info!("the server's certificate was replaced"),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "the server's certificate was not replaced"),
            }
        }
    }
}

fn make(material: &Material) -> Result<Handshakes, TlsError> {
    const CERT: &str = "GRPC__SERVER__TLS__CERT";
    let (chain, key) = material.identity()?.ok_or(TlsError::Missing { setting: CERT })?;
    let clients = clients(material)?;
    let unusable =
        |error: tokio_rustls::rustls::Error| TlsError::Unusable { setting: CERT, problem: error.to_string() };
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_client_cert_verifier(Arc::clone(&clients))
        .with_single_cert(chain, key)
        .map_err(unusable)?;
    config.alpn_protocols = vec![HTTP_2.to_vec()];
    Ok(Handshakes { config: Arc::new(config), clients })
}

fn clients(material: &Material) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    const CLIENT_CA: &str = "GRPC__SERVER__TLS__CLIENT_CA";
    let Some(authorities) = material.authorities()? else { return Ok(Arc::new(NoClientAuth)) };
    let unusable = |problem: String| TlsError::Unusable { setting: CLIENT_CA, problem };
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority).map_err(|error| unusable(error.to_string()))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build();
    verifier.map_err(|error| unusable(error.to_string()))
}

/// The SPIFFE id of a verified client certificate: its one URI name, if that is one (SPIFFE X.509-SVID, section 2).
fn spiffe_id(certificates: Option<&[CertificateDer<'_>]>) -> Option<String> {
    let first = certificates?.first()?;
    let certificate = webpki::EndEntityCert::try_from(first).ok()?;
    let mut names = certificate.valid_uri_names();
    let id = names.next().filter(|name| name.starts_with("spiffe://"))?;
    // More than one makes it no SVID.
    names.next().is_none().then(|| id.to_owned())
}
