//! Certificate and key from files.
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

/// A certificate with its chain and its key.
#[derive(Clone)]
pub struct Certificate(Arc<ServerConfig>);

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Certificate")
    }
}

/// Why a certificate or a key can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file can't be read.
    #[error("{}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file has nothing of what it should have.
    #[error("{}: no {what} in it (PEM)", .path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// What it should have.
        what: &'static str,
    },
    /// The two don't fit together, or one is of an unknown kind.
    #[error("certificate and key can't be used: {0}")]
    Unfit(#[from] rustls::Error),
}

impl Certificate {
    /// Read a certificate with its chain, and its key.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn read(certificate: &Path, key: &Path) -> Result<Certificate, CertificateError> {
        let empty = |path: &Path, what| CertificateError::Empty { path: path.into(), what };
        let chain: Vec<_> =
            CertificateDer::pem_slice_iter(&read(certificate)?).filter_map(Result::ok).collect();
        if chain.is_empty() {
            return Err(empty(certificate, "certificate"));
        }
        let private = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|_| empty(key, "private key"))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, private)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Certificate(Arc::new(config)))
    }

    pub(super) fn acceptor(self) -> TlsAcceptor {
        TlsAcceptor::from(self.0)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    fs::read(path).map_err(|source| CertificateError::Read { path: path.into(), source })
}
