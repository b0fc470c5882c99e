//! The body of an act, as a request.
//!
//! The daemon is root and the one who asks isn't: a request over the socket must not name anything on this machine, or it
//! would have root open it.
use super::{
    problem::{Kind, Problem},
    routes::{Act, ComponentAct},
};
use crate::{
    app::{ComponentConfigure, ComponentUpdate, From, Named, Request, Wanted},
    source::Location,
};
use bistable_format::name::check_name;
use serde::{Deserialize, de::DeserializeOwned};

/// The body of what has no parameters.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// The request that an act's body makes. No body is the same as `{}`.
pub(super) fn request(act: Act, body: &[u8]) -> Result<Request, Problem> {
    let request = match act {
        Act::Check => Request::Check(or_default(body)?),
        Act::Install => Request::Install(or_default(body)?),
        Act::Update => Request::Update(or_default(body)?),
        Act::Preflight => plain(body, Request::Preflight)?,
        Act::SelfTest => plain(body, Request::SelfTest)?,
        Act::Health => plain(body, Request::Health)?,
        Act::Arm => plain(body, Request::Arm)?,
        Act::Reboot => plain(body, Request::Reboot)?,
        Act::Commit => plain(body, Request::Commit)?,
        Act::Revert => plain(body, Request::Revert)?,
    };
    names_nothing_here(&request)?;
    Ok(request)
}

/// The request that an act's body makes about a component.
pub(super) fn of_component(act: ComponentAct, component: &str, body: &[u8]) -> Result<Request, Problem> {
    if let Err(e) = check_name("component", component) {
        return Err(Problem::new(Kind::NotFound, format!("there is no component of that name: {e}")));
    }
    let component = component.to_owned();
    let named = |component| Named { component };
    let request = match act {
        ComponentAct::Install => {
            Request::ComponentInstall(ComponentUpdate { component, wanted: or_default(body)? })
        }
        ComponentAct::Update => {
            Request::ComponentUpdate(ComponentUpdate { component, wanted: or_default(body)? })
        }
        ComponentAct::Configure => {
            Request::ComponentConfigure(ComponentConfigure { component, change: or_default(body)? })
        }
        ComponentAct::Resume => plain(body, Request::ComponentResume(named(component)))?,
        ComponentAct::Revert => plain(body, Request::ComponentRevert(named(component)))?,
        ComponentAct::Start => plain(body, Request::ComponentStart(named(component)))?,
        ComponentAct::Stop => plain(body, Request::ComponentStop(named(component)))?,
        ComponentAct::Remove => plain(body, Request::ComponentRemove(named(component)))?,
        ComponentAct::Reset => plain(body, Request::ComponentReset(named(component)))?,
    };
    names_nothing_here(&request)?;
    Ok(request)
}

fn plain(body: &[u8], request: Request) -> Result<Request, Problem> {
    or_default(body).map(|Nothing {}| request)
}

fn or_default<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, Problem> {
    if body.is_empty() { Ok(T::default()) } else { read(body) }
}

/// The body as an object of that form.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // A list would be read as fields in their order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::new(Kind::Malformed, "the body: expected a JSON object"));
    }
    serde_json::from_slice(body).map_err(|e| Problem::new(Kind::Malformed, format!("the body: {e}")))
}

fn names_nothing_here(request: &Request) -> Result<(), Problem> {
    if let Some(Wanted { from: From::Bundle(_), .. }) = request.wanted() {
        let detail =
            "`from.bundle` names a file: name a version, or install the file with `bistable install FILE`";
        return Err(Problem::new(Kind::LocalPath, detail));
    }
    let offers = match request {
        Request::Check(offers) => Some(offers),
        request => request.wanted().map(|wanted| &wanted.offers),
    };
    for source in offers.into_iter().flat_map(|offers| &offers.source) {
        match Location::parse(source) {
            Ok(Location::Web(_)) => {}
            Ok(Location::Folder(_)) => {
                let detail =
                    format!("the source {source:?} is a folder: only https:// and http:// are served");
                return Err(Problem::new(Kind::LocalPath, detail));
            }
            Err(_) => {
                let detail = format!("the source {source:?} is not an https:// or http:// address");
                return Err(Problem::new(Kind::Malformed, detail));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const ACTS: [Act; 3] = [Act::Check, Act::Install, Act::Update];

    /// Texts that look like addresses and paths.
    fn source() -> impl Strategy<Value = String> {
        "((https?|HTTPS|file|FILE|s3|)(://|:/|:|))?(localhost|[a-z.%/ \\\\-]{0,3}|\\PC){0,4}"
    }

    fn from() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(json!("channel")),
            Just(json!({ "version": "1.2.0" })),
            source().prop_map(|path| json!({ "bundle": path })),
            source().prop_map(|text| json!({ "version": text })),
        ]
    }

    proptest! {
        #[test]
        fn what_is_accepted_names_nothing_here(
            act in prop::sample::select(&ACTS[..]),
            sources in prop::collection::vec(source(), 0..3),
            from in from(),
        ) {
            let offers = json!({ "source": sources });
            let body = if act == Act::Check { offers } else { json!({ "from": from, "offers": offers }) };
            match request(act, body.to_string().as_bytes()) {
                Ok(Request::Check(offers)) => prop_assert!(offers.source.iter().all(|url| is_web(url))),
                Ok(Request::Install(wanted) | Request::Update(wanted)) => {
                    prop_assert!(!matches!(wanted.from, From::Bundle(_)));
                    prop_assert!(wanted.offers.source.iter().all(|url| is_web(url)));
                }
                Ok(other) => prop_assert!(false, "{other:?}"),
                Err(problem) => prop_assert!(!problem.json().contains(char::is_control)),
            }
        }

        #[test]
        fn any_bytes_are_a_request_or_refused(bytes in prop::collection::vec(any::<u8>(), 1..40)) {
            for act in ACTS {
                prop_assert!(request(act, &bytes).is_err());
            }
        }
    }

    #[test]
    fn request_about_a_component_names_nothing_here_and_a_name_that_none_can_have_is_not_found() {
        let kind = |name: &str, body: &str| {
            of_component(ComponentAct::Update, name, body.as_bytes())
                .map_err(|problem| problem.status().as_u16())
        };
        assert!(kind("core", "").is_ok());
        for (name, body, status) in [
            ("core", r#"{"from":{"bundle":"/etc/shadow"}}"#, 400),
            ("core", r#"{"offers":{"source":["/etc"]}}"#, 400),
            ("core", r#"{"component":"x"}"#, 400),
            ("", "", 404),
            ("%2e%2e", "", 404),
        ] {
            assert_eq!(kind(name, body), Err(status), "{name} {body}");
        }
        assert!(of_component(ComponentAct::Stop, "core", br#"{"x":1}"#).is_err());
    }

    fn is_web(url: &str) -> bool {
        let url = url.to_ascii_lowercase();
        url.starts_with("https://") || url.starts_with("http://")
    }
}
