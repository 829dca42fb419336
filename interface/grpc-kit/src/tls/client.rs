//! The client's side: whom it trusts, and its own certificate when servers want one.

use std::{error::Error, path::PathBuf, sync::Arc};

use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, pki_types::ServerName},
};

use super::{
    HTTP_2,
    files::{Material, Reloading, TlsError},
    provider,
};
use crate::settings::value::optional;

/// `GRPC__CLIENT__TLS__*`; used for targets with `https` in their URL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientTlsConfig {
    /// `CA`: PEM file with the authorities to trust; by default the system's.
    #[serde(deserialize_with = "optional")]
    pub ca: Option<PathBuf>,
    /// `CERT`: PEM file with the client's own certificate, for servers that want one.
    #[serde(deserialize_with = "optional")]
    pub cert: Option<PathBuf>,
    /// `KEY`: PEM file with the certificate's private key.
    #[serde(deserialize_with = "optional")]
    pub key: Option<PathBuf>,
    /// `SERVER_NAME`: the name the server's certificate must have; by default the target's first host.
    #[serde(deserialize_with = "optional")]
    pub server_name: Option<String>,
}

impl ClientTlsConfig {
    /// Whether clients can use the files, as far as they are named.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn check(&self) -> Result<(), TlsError> {
        ClientTls::new(self, "localhost").map(drop)
    }
}

/// The client's side of handshakes with one target.
#[derive(Clone, Debug)]
pub(crate) struct ClientTls {
    config: Arc<Reloading<ClientConfig>>,
    name: ServerName<'static>,
    protocol: &'static [u8],
}

impl ClientTls {
    /// Reads the files.
    pub(crate) fn new(config: &ClientTlsConfig, host: &str) -> Result<Self, TlsError> {
        let name = config.server_name.as_deref().unwrap_or(host);
        let name = server_name(name, "GRPC__CLIENT__TLS__SERVER_NAME")?;
        let files = [
            ("GRPC__CLIENT__TLS__CERT", config.cert.clone()),
            ("GRPC__CLIENT__TLS__KEY", config.key.clone()),
            ("GRPC__CLIENT__TLS__CA", config.ca.clone()),
        ];
        let config = Arc::new(Reloading::new(files, |material| make(material, HTTP_2))?);
        Ok(Self { config, name, protocol: HTTP_2 })
    }

    /// For one request to a server of key sets.
    pub(crate) fn for_http1(ca: Option<PathBuf>, host: &str) -> Result<Self, TlsError> {
        let name = server_name(host, "GRPC__SERVER__AUTH__JWKS_URL")?;
        let files = [("", None), ("", None), ("GRPC__SERVER__AUTH__JWKS_CA", ca)];
        let config = Arc::new(Reloading::new(files, |material| make(material, HTTP_1))?);
        Ok(Self { config, name, protocol: HTTP_1 })
    }

    /// The handshake with a server. Connections are few, so the files are looked at for each of them.
    pub(crate) async fn connect(
        &self,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Box<dyn Error + Send + Sync>> {
        if let Err(error) = self.config.reload().await {
            tracing::warn!(%error, "the client's certificates were not replaced");
        }
        let stream = TlsConnector::from(self.config.current()).connect(self.name.clone(), stream).await?;
        match stream.get_ref().1.alpn_protocol() {
            Some(spoken) if spoken == self.protocol => Ok(stream),
            // A server that does not say speaks what all of them once did.
            None if self.protocol == HTTP_1 => Ok(stream),
            _ => Err("the server speaks another protocol".into()),
        }
    }
}

const HTTP_1: &[u8] = b"http/1.1";

fn server_name(name: &str, setting: &'static str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_owned())
        .map_err(|error| TlsError::Unusable { setting, problem: error.to_string() })
}

fn make(material: &Material, protocol: &[u8]) -> Result<ClientConfig, TlsError> {
    let ca = material.authorities_setting();
    let mut roots = RootCertStore::empty();
    let authorities = match material.authorities()? {
        Some(authorities) => authorities,
        None => rustls_native_certs::load_native_certs().certs,
    };
    // Systems carry authorities that are no certificates by today's rules; the others serve.
    let (added, _) = roots.add_parsable_certificates(authorities);
    if added == 0 {
        return Err(TlsError::Unusable { setting: ca, problem: "nobody to trust".to_owned() });
    }
    let unusable = |setting| {
        move |error: tokio_rustls::rustls::Error| TlsError::Unusable { setting, problem: error.to_string() }
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(unusable(ca))?
        .with_root_certificates(roots);
    let mut config = match material.identity()? {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            builder.with_client_auth_cert(chain, key).map_err(unusable("GRPC__CLIENT__TLS__CERT"))?
        }
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(config)
}
