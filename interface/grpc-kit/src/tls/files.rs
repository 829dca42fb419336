//! PEM files, and what is made of them, kept up to date.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

/// Files that cannot be used. Names the setting, never the path or the content.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that cannot be read.
    #[error("{setting} names a file that cannot be read")]
    Unreadable {
        /// `CERT`, `KEY`, `CA` or `CLIENT_CA`.
        setting: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// Too large for what it should be.
    #[error("{setting} names a file above 1 MiB")]
    TooLarge {
        /// The setting.
        setting: &'static str,
    },
    /// No PEM of the right kind in it.
    #[error("{setting} names a file without a usable PEM block")]
    NoPem {
        /// The setting.
        setting: &'static str,
    },
    /// Well formed, and still of no use: a key of another certificate, for instance.
    #[error("{setting} cannot be used: {problem}")]
    Unusable {
        /// The setting.
        setting: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// One without the other.
    #[error("{setting} is needed beside the other file")]
    Missing {
        /// The setting.
        setting: &'static str,
    },
}

const MAX_BYTES: usize = 1024 * 1024;

/// A setting's name and the file it names, if it does.
pub(super) type Named = (&'static str, Option<PathBuf>);

/// The content of the three files: certificate, key, authorities.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Material {
    names: [&'static str; 3],
    contents: [Option<Vec<u8>>; 3],
}

impl Material {
    fn read(files: &[Named; 3]) -> Result<Self, TlsError> {
        let mut contents = [None, None, None];
        for ((setting, path), content) in files.iter().zip(&mut contents) {
            if let Some(path) = path {
                *content = Some(read(setting, path)?);
            }
        }
        Ok(Self { names: [files[0].0, files[1].0, files[2].0], contents })
    }

    /// The certificate chain and its key; `None` when neither is configured.
    pub(super) fn identity(
        &self,
    ) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>, TlsError> {
        let [cert, key, _] = self.names;
        match &self.contents {
            [None, None, _] => Ok(None),
            [Some(_), None, _] => Err(TlsError::Missing { setting: key }),
            [None, Some(_), _] => Err(TlsError::Missing { setting: cert }),
            [Some(chain), Some(secret), _] => {
                let secret =
                    PrivateKeyDer::from_pem_slice(secret).map_err(|_| TlsError::NoPem { setting: key })?;
                Ok(Some((certificates(cert, chain)?, secret)))
            }
        }
    }

    /// Which setting names the authorities.
    pub(super) fn authorities_setting(&self) -> &'static str {
        self.names[2]
    }

    /// The certificates of the authorities; `None` when none are configured.
    pub(super) fn authorities(&self) -> Result<Option<Vec<CertificateDer<'static>>>, TlsError> {
        self.contents[2].as_ref().map(|pem| certificates(self.names[2], pem)).transpose()
    }
}

fn read(setting: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let content = std::fs::read(path).map_err(|source| TlsError::Unreadable { setting, source })?;
    if content.len() > MAX_BYTES { Err(TlsError::TooLarge { setting }) } else { Ok(content) }
}

fn certificates(setting: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    found.ok().filter(|found| !found.is_empty()).ok_or(TlsError::NoPem { setting })
}

/// What is made of three files, made anew when they change.
pub(super) struct Reloading<C> {
    files: [Named; 3],
    make: fn(&Material) -> Result<C, TlsError>,
    held: RwLock<(Material, Arc<C>)>,
}

impl<C> std::fmt::Debug for Reloading<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reloading").finish_non_exhaustive()
    }
}

impl<C: Send + Sync + 'static> Reloading<C> {
    /// Reads the files now.
    pub(super) fn new(
        files: [Named; 3],
        make: fn(&Material) -> Result<C, TlsError>,
    ) -> Result<Self, TlsError> {
        let material = Material::read(&files)?;
        let made = Arc::new(make(&material)?);
        Ok(Self { files, make, held: RwLock::new((material, made)) })
    }

    pub(super) fn current(&self) -> Arc<C> {
        Arc::clone(&self.held.read().unwrap_or_else(PoisonError::into_inner).1)
    }

    /// Reads the files again; whether they changed. What cannot be used does not replace what is in use: a certificate
    /// and its key are two files, and one of them is written first.
    pub(super) async fn reload(self: &Arc<Self>) -> Result<bool, TlsError> {
        let this = Arc::clone(self);
        let reload = tokio::task::spawn_blocking(move || this.reload_now());
        reload.await.unwrap_or(Ok(false))
    }

    fn reload_now(&self) -> Result<bool, TlsError> {
        let material = Material::read(&self.files)?;
        if self.held.read().unwrap_or_else(PoisonError::into_inner).0 == material {
            return Ok(false);
        }
        let made = Arc::new((self.make)(&material)?);
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = (material, made);
        Ok(true)
    }
}
