//! What a failure of TLS means, in words for a person and in kinds for a program.

use std::fmt;

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, InvalidMessage};

use super::verify::NotPinned;
use crate::error::Error;

/// The kinds of failures. Each begins its sentences with words of its own, which stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The certificate's time is over.
    Expired,
    /// The certificate's time is yet to come.
    NotYetValid,
    /// The certificate names others.
    WrongHost,
    /// No trusted authority has issued the certificate.
    UnknownIssuer,
    /// The certificate's authority has taken it back.
    Revoked,
    /// The server's key is not a pinned one.
    NotPinned,
    /// Anything else is wrong with the certificate.
    Refused,
    /// The peer has shown no certificate.
    NoCertificate,
    /// The peer wants a certificate of this end.
    CertificateDemanded,
    /// The peer does not take this end's certificate.
    OwnRefused,
    /// The peer speaks something else, such as plain HTTP.
    NotTls,
    /// No version of TLS, cipher suite or the like is known to both.
    NothingInCommon,
    /// The peer does not want to speak HTTP/1.1.
    NoProtocol,
    /// The peer reports a failure.
    Alert,
    /// The connection ended without the alert that says so.
    Truncated,
    /// The peer broke the rules of TLS, or somebody changed what it sent.
    Violation,
    /// This end failed.
    Failed,
}

/// What to tell the application: `host` is the peer as it knows it.
pub fn explain(error: &rustls::Error, host: &str) -> Error {
    Fault::of(error).error(&detail(error, host))
}

impl Fault {
    /// The kind of an error of rustls.
    pub fn of(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(error) => Self::of_certificate(error),
            rustls::Error::NoCertificatesPresented => Self::NoCertificate,
            rustls::Error::InvalidMessage(
                InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
            ) => Self::NotTls,
            rustls::Error::PeerIncompatible(_) => Self::NothingInCommon,
            rustls::Error::NoApplicationProtocol => Self::NoProtocol,
            rustls::Error::AlertReceived(alert) => match alert {
                AlertDescription::CertificateRequired => Self::CertificateDemanded,
                AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied => Self::OwnRefused,
                AlertDescription::ProtocolVersion | AlertDescription::InsufficientSecurity => {
                    Self::NothingInCommon
                }
                AlertDescription::NoApplicationProtocol => Self::NoProtocol,
                _ => Self::Alert,
            },
            rustls::Error::InappropriateMessage { .. }
            | rustls::Error::InappropriateHandshakeMessage { .. }
            | rustls::Error::InvalidMessage(_)
            | rustls::Error::PeerMisbehaved(_)
            | rustls::Error::PeerSentOversizedRecord
            | rustls::Error::DecryptError => Self::Violation,
            _ => Self::Failed,
        }
    }

    fn of_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::NotYetValid
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::WrongHost
            }
            CertificateError::UnknownIssuer => Self::UnknownIssuer,
            CertificateError::Revoked => Self::Revoked,
            CertificateError::Other(error) if error.0.is::<NotPinned>() => Self::NotPinned,
            _ => Self::Refused,
        }
    }

    /// Whether trying again cannot help: somebody has to change a certificate or a setting.
    pub fn is_permanent(self) -> bool {
        !matches!(
            self,
            Self::Alert | Self::Truncated | Self::Violation | Self::Failed
        )
    }

    /// The error whose sentence begins with the words of this kind.
    pub fn error(self, detail: &str) -> Error {
        Error::Tls(format!("{}: {detail}", self.words()).into())
    }

    /// What the sentences begin with. `WSABI_ERR_TLS` lists them.
    pub fn words(self) -> &'static str {
        match self {
            Self::Expired => "certificate expired",
            Self::NotYetValid => "certificate not yet valid",
            Self::WrongHost => "certificate for another host",
            Self::UnknownIssuer => "certificate of unknown issuer",
            Self::Revoked => "certificate revoked",
            Self::NotPinned => "certificate not pinned",
            Self::Refused => "certificate refused",
            Self::NoCertificate => "certificate missing",
            Self::CertificateDemanded => "certificate demanded",
            Self::OwnRefused => "own certificate refused",
            Self::NotTls => "not TLS",
            Self::NothingInCommon => "nothing in common",
            Self::NoProtocol => "no HTTP/1.1",
            Self::Alert => "alert received",
            Self::Truncated => "truncated",
            Self::Violation => "TLS violated",
            Self::Failed => "TLS failed",
        }
    }

    /// Every kind.
    #[cfg(test)]
    pub const ALL: [Self; 17] = [
        Self::Expired,
        Self::NotYetValid,
        Self::WrongHost,
        Self::UnknownIssuer,
        Self::Revoked,
        Self::NotPinned,
        Self::Refused,
        Self::NoCertificate,
        Self::CertificateDemanded,
        Self::OwnRefused,
        Self::NotTls,
        Self::NothingInCommon,
        Self::NoProtocol,
        Self::Alert,
        Self::Truncated,
        Self::Violation,
        Self::Failed,
    ];
}

fn detail(error: &rustls::Error, host: &str) -> String {
    match error {
        rustls::Error::InvalidCertificate(error) => certificate_detail(error, host),
        rustls::Error::NoCertificatesPresented => format!("{host} has shown none"),
        rustls::Error::AlertReceived(alert) => {
            format!("{} from {host}", alert_name(*alert))
        }
        rustls::Error::NoApplicationProtocol => format!("{host} wants another protocol"),
        error if Fault::of(error) == Fault::NotTls => {
            format!("{host} has sent something else")
        }
        rustls::Error::PeerIncompatible(why) => format!("{host} and this end: {why:?}"),
        error => format!("{host}: {error}"),
    }
}

fn certificate_detail(error: &CertificateError, host: &str) -> String {
    match error {
        CertificateError::ExpiredContext { time, not_after } => {
            format!(
                "that of {host} ended {} ago",
                Span::between(not_after, time)
            )
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            format!(
                "that of {host} begins in {}",
                Span::between(time, not_before)
            )
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => {
            let expected = expected.to_str();
            match names(presented).as_str() {
                "" => format!("it is for no host at all, and not for {expected}"),
                names => format!("it is for {names}, and not for {expected}"),
            }
        }
        CertificateError::UnknownIssuer => {
            format!("that of {host} comes from no authority that is trusted here")
        }
        CertificateError::Other(other) if let Some(it) = other.0.downcast_ref::<NotPinned>() => {
            format!("the key of {host} is {}", it.presented)
        }
        CertificateError::BadEncoding => format!("that of {host} is malformed"),
        CertificateError::BadSignature => format!("a signature that {host} relies on is wrong"),
        error => format!("that of {host}: {error}"),
    }
}

/// The alternative names of a certificate, such as `DnsName("a.example")`, bare and not too many.
fn names(presented: &[String]) -> String {
    const MOST: usize = 5;
    let mut names: Vec<_> = presented
        .iter()
        .take(MOST)
        .map(|name| {
            let inner = name.split_once('(').map_or(name.as_str(), |(_, rest)| rest);
            inner.trim_end_matches(')').trim_matches('"')
        })
        .collect();
    if presented.len() > MOST {
        names.push("others");
    }
    names.join(", ")
}

/// The alert as RFC 8446 §6 spells it, and its number.
fn alert_name(alert: AlertDescription) -> String {
    let mut name = String::new();
    let mut was_lower = false;
    for letter in alert.as_str().unwrap_or("unknown").chars() {
        if letter.is_ascii_uppercase() && was_lower {
            name.push('_');
        }
        was_lower = letter.is_ascii_lowercase();
        name.push(letter.to_ascii_lowercase());
    }
    format!("{name} ({})", u8::from(alert))
}

/// A time from one moment to another, roughly.
struct Span {
    seconds: u64,
}

impl Span {
    fn between(from: &UnixTime, to: &UnixTime) -> Self {
        Self {
            seconds: to.as_secs().saturating_sub(from.as_secs()),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (amount, unit) = match self.seconds {
            seconds @ ..120 => (seconds, "seconds"),
            seconds @ ..7_200 => (seconds / 60, "minutes"),
            seconds @ ..172_800 => (seconds / 3_600, "hours"),
            seconds => (seconds / 86_400, "days"),
        };
        write!(f, "{amount} {unit}")
    }
}
