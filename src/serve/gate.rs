//! Who comes in on which socket, and what they may ask for. On the web page's socket each request shows a token: the process
//! that passes it on is not trusted with more than carrying it.
use super::{
    backend::Backend,
    context::Context,
    problem::{Kind, Problem},
    token_store::TokenStore,
};
use crate::{
    app::{Asker, Request, Via},
    config::tokens::{Scope, Token},
};
use axum::http::{HeaderMap, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::sync::Arc;
use tokio::time::Instant;

/// Who may come in on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// Whoever could open it, for everything.
    Socket,
    /// Whoever shows a token with each request, for what its scope includes.
    Token,
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    /// Its user, as the kernel says.
    pub(super) uid: Option<u32>,
    /// Where it came in.
    pub(super) entrance: Entrance,
}

/// Whoever asks, as far as they may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Visitor {
    pub(super) by: Asker,
    scope: Scope,
}

impl Visitor {
    /// What the visitor may ask for.
    pub(super) fn scope(&self) -> Scope {
        self.scope
    }

    /// Refuse what the visitor's scope does not include.
    pub(super) fn needs(&self, needed: Scope) -> Result<(), Problem> {
        if self.scope >= needed {
            return Ok(());
        }
        let detail = match &self.by.token {
            Some(name) => {
                format!("token {name} has the scope {}; this needs {}", self.scope.name(), needed.name())
            }
            None => return Err(Problem::new(Kind::Token, ask_for_one(needed))),
        };
        Err(Problem::new(Kind::Scope, detail))
    }
}

/// What an act needs. What overrides a decision of the device, has it trust another repository, or can't be taken back is not for
/// everyday use.
pub(super) fn scope_of(request: &Request) -> Scope {
    let offers = match request {
        Request::Check(offers) => Some(offers),
        request => request.wanted().map(|wanted| &wanted.offers),
    };
    let elsewhere = offers.is_some_and(|offers| !offers.source.is_empty() || offers.channel.is_some());
    let forced = request.wanted().is_some_and(|wanted| wanted.retry_rejected || wanted.force_withdrawn);
    let removes = matches!(request, Request::ComponentRemove(_));
    if elsewhere || forced || removes { Scope::Admin } else { Scope::Operate }
}

/// Let whoever sends a request in, or not.
pub(super) async fn admit(context: &Context, peer: Peer, headers: &HeaderMap) -> Result<Visitor, Problem> {
    let shown = match peer.entrance {
        Entrance::Socket => None,
        Entrance::Token => shown(headers)?,
    };
    visitor(context, peer, shown.as_deref()).await
}

/// Let whoever shows this token in, or not.
pub(super) async fn visitor(context: &Context, peer: Peer, shown: Option<&str>) -> Result<Visitor, Problem> {
    let Peer { uid, entrance } = peer;
    if entrance == Entrance::Socket {
        return Ok(Visitor { by: Asker::new(Via::Api, uid), scope: Scope::Admin });
    }
    let token_store = token_store(context).await?;
    match shown {
        Some(shown) => match token_store.tokens.of(shown) {
            Some(Token { name, scope, .. }) => {
                let by = Asker { token: Some(name.clone()), ..Asker::new(Via::Web, uid) };
                Ok(Visitor { by, scope: *scope })
            }
            None => {
                log::warn!("web_token_refused");
                Err(Problem::new(
                    Kind::Token,
                    "this token is not known: `bistable token list` shows those that are",
                ))
            }
        },
        None if token_store.reads_are_open => {
            Ok(Visitor { by: Asker::new(Via::Web, uid), scope: Scope::Read })
        }
        None => Err(Problem::new(Kind::Token, ask_for_one(Scope::Read))),
    }
}

fn ask_for_one(needed: Scope) -> String {
    format!("a token with the scope {} is needed: `bistable token add` makes one", needed.name())
}

/// Tokens that were read a moment ago, or now. One that is removed is taken for a second at most.
async fn token_store(context: &Context) -> Result<Arc<TokenStore>, Problem> {
    let mut kept = context.token_store.lock().await;
    if let Some((at, token_store)) = &*kept
        && at.elapsed() < context.limits.fresh
    {
        return Ok(Arc::clone(token_store));
    }
    let at = Instant::now();
    let token_store = Arc::new(context.call(Backend::token_store).await?);
    *kept = Some((at, Arc::clone(&token_store)));
    Ok(token_store)
}

/// The token that a request shows: as a bearer's, or as the password of any user.
pub(super) fn shown(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let Some(line) = lines.next() else { return Ok(None) };
    // Nothing of the header is repeated: it may be a token with a typing error.
    let malformed = || {
        Problem::new(Kind::Token, "Authorization must be `Bearer TOKEN`, or Basic with the token as password")
    };
    if lines.next().is_some() {
        return Err(malformed());
    }
    let (scheme, rest) = line.to_str().ok().and_then(|line| line.split_once(' ')).ok_or_else(malformed)?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Some(rest.to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(malformed());
    }
    let decoded = STANDARD.decode(rest).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
    pair.map(|(_, password)| Some(password.to_owned())).ok_or_else(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{ComponentUpdate, Named, Offers, Wanted};

    fn of(line: &str) -> Result<Option<String>, ()> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, line.parse().unwrap());
        shown(&headers).map_err(|problem| assert!(!problem.json().contains("s3cret"), "{}", problem.json()))
    }

    #[test]
    fn token_is_a_bearers_or_a_password() {
        assert_eq!(shown(&HeaderMap::new()).unwrap(), None);
        for line in ["Bearer s3cret", "bearer  s3cret", "Basic OnMzY3JldA==", "basic dXNlcjpzM2NyZXQ="] {
            assert_eq!(of(line), Ok(Some("s3cret".into())), "{line}");
        }
        assert_eq!(
            of("Basic dXNlcjpzM2NyZXQ6Og=="),
            Ok(Some("s3cret::".into())),
            "a password may have colons"
        );
        for line in ["s3cret", "Digest s3cret", "Basic s3cret!", "Basic czNjcmV0", "Basic //8="] {
            assert_eq!(of(line), Err(()), "{line}");
        }
        let mut twice = HeaderMap::new();
        twice.append(header::AUTHORIZATION, "Bearer a".parse().unwrap());
        twice.append(header::AUTHORIZATION, "Bearer b".parse().unwrap());
        assert!(shown(&twice).is_err());
    }

    #[test]
    fn what_overrides_the_device_needs_more() {
        let with = |change: fn(&mut Wanted)| {
            let mut wanted = Wanted::default();
            change(&mut wanted);
            scope_of(&Request::Update(wanted))
        };
        assert_eq!(with(|_| {}), Scope::Operate);
        assert_eq!(with(|wanted| wanted.dry_run = true), Scope::Operate);
        assert_eq!(with(|wanted| wanted.retry_rejected = true), Scope::Admin);
        assert_eq!(with(|wanted| wanted.force_withdrawn = true), Scope::Admin);
        assert_eq!(with(|wanted| wanted.offers.source.push("https://x".into())), Scope::Admin);
        let channel = Offers { channel: Some("beta".into()), ..Offers::default() };
        assert_eq!(scope_of(&Request::Check(channel)), Scope::Admin);
        assert_eq!(scope_of(&Request::Revert), Scope::Operate);
        let core = Named { component: "core".into() };
        assert_eq!(scope_of(&Request::ComponentRemove(core)), Scope::Admin);
        let of_component = |wanted| {
            scope_of(&Request::ComponentUpdate(ComponentUpdate { component: "core".into(), wanted }))
        };
        assert_eq!(of_component(Wanted::default()), Scope::Operate);
        assert_eq!(of_component(Wanted { retry_rejected: true, ..Wanted::default() }), Scope::Admin);
    }
}
