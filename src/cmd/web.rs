//! `web`: the page, in a process that is trusted with nothing.
use super::{Answer, Failed, place::Place};
use crate::{
    Error, app,
    app::Served,
    cli::{GlobalArgs, WebArgs},
    config::{self, WebSettings},
    daemon::watchdog,
    serve::{
        Stopper,
        web::{Certificate, Web},
    },
};
use std::{
    env,
    net::TcpListener,
    path::{Path, PathBuf},
};

/// The daemon's socket, if no other one is named.
const SOCKET: &str = "/run/bistable/web.sock";
/// Names of the credentials that the unit makes of the files in `/etc/bistable/web`.
const CERTIFICATE: &str = "web_certificate.pem";
const KEY: &str = "web_key.pem";

/// Serve the page until a signal ends the program.
pub(super) fn run(at: &GlobalArgs, args: &WebArgs) -> Result<Answer, Failed> {
    let settings = config::web_settings(&Place::of(at)?.root(at))?;
    let files = files(&settings, env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from).as_deref())?;
    let listen = args.listen.unwrap_or(settings.listen);
    if files.is_none() && !listen.ip().is_loopback() {
        let text = format!(
            "{listen} is reached by other machines, and tokens would cross the network in clear: put certificate.pem and \
             key.pem into /etc/bistable/web, or set web.certificate and web.key, or listen on 127.0.0.1"
        );
        return Err(Error::Usage(text).into());
    }
    let read = |(certificate, key): (PathBuf, PathBuf)| {
        Certificate::read(&certificate, &key).map_err(|e| Error::Usage(e.to_string()))
    };
    let certificate = files.map(read).transpose()?;
    let cant = |source| Error::Listen { address: listen, source };
    let listener = TcpListener::bind(listen).map_err(cant)?;
    let address = listener.local_addr().map_err(cant)?;
    let scheme = if certificate.is_some() { "https" } else { "http" };
    let upstream = args.socket.clone().unwrap_or_else(|| SOCKET.into());
    let names = settings.names.iter().map(|name| name.as_str().to_owned()).collect();
    // Dropped when the program ends.
    let (_stopper, stopped) = Stopper::new();
    watchdog::ready();
    log::info!(address:%, scheme; "web_ready");
    if args.announce {
        super::out(&format!("{scheme}://{address}"));
    }
    Web { listener, certificate, upstream, names }.serve(stopped).map_err(cant)?;
    let text = format!("{scheme}://{address} is no longer served");
    Ok(Answer::new(text, app::Answer::Served(Served { address: address.to_string() })))
}

/// Certificate and key: as configured, else as the unit hands them over.
fn files(settings: &WebSettings, credentials: Option<&Path>) -> Result<Option<(PathBuf, PathBuf)>, Error> {
    match (&settings.certificate, &settings.key) {
        (Some(certificate), Some(key)) => return Ok(Some((certificate.clone(), key.clone()))),
        (None, None) => {}
        _ => return Err(Error::Usage("web.certificate and web.key belong together: set both".into())),
    }
    let Some(folder) = credentials else { return Ok(None) };
    let (certificate, key) = (folder.join(CERTIFICATE), folder.join(KEY));
    match (certificate.exists(), key.exists()) {
        (true, true) => Ok(Some((certificate, key))),
        (false, false) => Ok(None),
        _ => Err(Error::Usage("/etc/bistable/web needs both certificate.pem and key.pem".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificate_and_key_come_together_or_not_at_all() {
        let of = |certificate: Option<&str>, key: Option<&str>| WebSettings {
            certificate: certificate.map(Into::into),
            key: key.map(Into::into),
            ..WebSettings::default()
        };
        assert_eq!(files(&of(None, None), None).unwrap(), None);
        assert_eq!(files(&of(Some("/c"), Some("/k")), None).unwrap(), Some(("/c".into(), "/k".into())));
        assert!(files(&of(Some("/c"), None), None).is_err() && files(&of(None, Some("/k")), None).is_err());
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(files(&of(None, None), Some(folder.path())).unwrap(), None);
        std::fs::File::create(folder.path().join(KEY)).unwrap();
        assert!(files(&of(None, None), Some(folder.path())).is_err());
        std::fs::File::create(folder.path().join(CERTIFICATE)).unwrap();
        assert!(files(&of(None, None), Some(folder.path())).unwrap().is_some());
    }
}
