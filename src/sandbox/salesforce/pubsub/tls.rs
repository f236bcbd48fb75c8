//! A certificate authority of the sandbox's own, made anew at each start, and the certificate that it gives.
//! Source: Salesforce reference §27.1.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};

/// What the server shows, and what a caller trusts.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The authority's certificate, PEM.
    pub ca: String,
    /// The server's certificate, PEM.
    pub certificate: String,
    /// The server's key, PEM.
    pub key: String,
}

impl Certificates {
    /// An authority and a certificate for this machine and for the vendor's names.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn make() -> Result<Self, rcgen::Error> {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        authority.distinguished_name.push(DnType::CommonName, "portal-gateway sandbox authority");
        let authority_key = KeyPair::generate()?;
        let ca = authority.self_signed(&authority_key)?.pem();
        let issuer = Issuer::new(authority, authority_key);

        let names = ["localhost", "*.salesforce.com", "*.my.salesforce.com", "*.pubsub.salesforce.com"];
        let mut leaf = CertificateParams::new(names.map(str::to_owned))?;
        let addresses = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        leaf.subject_alt_names.extend(addresses.map(SanType::IpAddress));
        leaf.distinguished_name.push(DnType::CommonName, "localhost");
        let key = KeyPair::generate()?;
        let certificate = leaf.signed_by(&key, &issuer)?.pem();
        Ok(Self { ca, certificate, key: key.serialize_pem() })
    }
}

/// The authority's certificate in a file, there for as long as this lives.
#[derive(Debug)]
pub struct CaFile(PathBuf);

impl CaFile {
    /// Writes the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(path: &Path, ca: &str) -> std::io::Result<Self> {
        std::fs::write(path, ca)?;
        Ok(Self(path.to_owned()))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for CaFile {
    fn drop(&mut self) {
        // Who has removed it before us has our blessing.
        let _ = std::fs::remove_file(&self.0);
    }
}
