//! Certificates of an authority of the test's own.

use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType, string::Ia5String,
};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::folder::temporary;

/// An authority, and a folder for what it signs.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    /// Its own certificate is `ca.pem`.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let authority = Authority { issuer, folder: temporary() };
        authority.write("ca.pem", &authority.issuer.pem());
        authority
    }

    /// Writes the certificate of a server on this machine: `NAME.pem` and `NAME.key`.
    pub fn sign_server(&self, name: &str) {
        self.sign(name, SanType::IpAddress([127, 0, 0, 1].into()));
    }

    /// Writes the certificate of a client that is known by a SPIFFE id: `NAME.pem` and `NAME.key`.
    pub fn sign_client(&self, name: &str) {
        let id = Ia5String::try_from(format!("spiffe://test/{name}")).expect("ASCII");
        self.sign(name, SanType::URI(id));
    }

    fn sign(&self, name: &str, of: SanType) {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.subject_alt_names = vec![of];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        self.write(&format!("{name}.key"), &key.serialize_pem());
        self.write(&format!("{name}.pem"), &certificate.pem());
    }

    /// Takes connections over HTTP/2 with the certificate `NAME.pem`.
    pub(crate) fn acceptor(&self, name: &str) -> TlsAcceptor {
        let pem = |extension: &str| self.path().join(name).with_extension(extension);
        let chain = CertificateDer::pem_file_iter(pem("pem")).expect("certificates");
        let chain = chain.collect::<Result<Vec<_>, _>>().expect("certificates");
        let key = PrivateKeyDer::from_pem_file(pem("key")).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.expect("versions").with_no_client_auth();
        let mut config = builder.with_single_cert(chain, key).expect("a certificate and its key");
        config.alpn_protocols = vec![b"h2".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }

    /// The path of a file, as text.
    pub fn file(&self, name: &str) -> String {
        self.path().join(name).to_str().expect("a path as text").to_owned()
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).expect("written");
    }
}

impl Default for Authority {
    fn default() -> Self {
        Authority::new()
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("folder", &self.folder).finish_non_exhaustive()
    }
}
