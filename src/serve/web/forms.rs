//! The buttons of a page without JavaScript: a form that is sent becomes a request to the daemon, and then the page is shown again.
use super::{
    super::{
        problem::{Kind, Problem},
        routes::COMPONENTS,
    },
    answers::{retold, see_page},
    multipart::{FirstPart, boundary},
    upstream::Upstream,
};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, Response, header, request::Parts},
};
use bistable_format::name::check_name;

/// Bytes of a form without a file.
const FORM: usize = 4 << 10;
/// Acts whose button is all there is to say.
const PLAIN: [&str; 8] = ["check", "preflight", "self-test", "health", "update", "arm", "reboot", "commit"];

/// The same of a component.
const OF_COMPONENT: [&str; 6] = ["update", "resume", "revert", "start", "stop", "reset"];

/// Do what a form asks for.
pub(super) async fn take(
    upstream: &Upstream,
    act: &str,
    head: &Parts,
    body: Body,
) -> Result<Response<Body>, Problem> {
    if head.uri.query().is_some() {
        return Err(Problem::new(Kind::Malformed, "this path takes no parameters"));
    }
    let mut headers = HeaderMap::new();
    for token in head.headers.get_all(header::AUTHORIZATION) {
        headers.append(header::AUTHORIZATION, token.clone());
    }
    let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if act == "upload" {
        let boundary = content_type.and_then(boundary).ok_or_else(|| {
            Problem::new(Kind::Malformed, "the form must be multipart/form-data with a boundary")
        })?;
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        let bundle = Body::new(FirstPart::new(body, boundary));
        return answered(upstream.pass(Method::POST, "/v1/bundles", &headers, bundle).await?).await;
    }
    let fields = fields(upstream, body).await?;
    let field = |name: &str| fields.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
    let target = match act {
        "cancel" => {
            let job = field("job").unwrap_or_default();
            if job.is_empty() || !job.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
                return Err(Problem::new(Kind::Malformed, "the form names no job"));
            }
            format!("/v1/jobs/{job}/cancel")
        }
        "component" => {
            let (component, act) = (field("component").unwrap_or_default(), field("act").unwrap_or_default());
            if check_name("component", component).is_err() || !OF_COMPONENT.contains(&act) {
                return Err(Problem::new(Kind::Malformed, "the form names no component, or nothing to do"));
            }
            format!("{COMPONENTS}/{component}/{act}")
        }
        "revert" if field("sure") != Some("yes") => {
            return Err(Problem::new(
                Kind::Malformed,
                "a revert has to be confirmed: go back and tick the box",
            ));
        }
        act if act == "revert" || PLAIN.contains(&act) => format!("/v1/{act}"),
        _ => return Err(Problem::new(Kind::NotFound, format!("there is no button {act:?}"))),
    };
    answered(upstream.pass(Method::POST, &target, &headers, Body::empty()).await?).await
}

async fn answered(response: Response<Body>) -> Result<Response<Body>, Problem> {
    if response.status().is_success() { Ok(see_page()) } else { retold(response).await }
}

/// The fields of a form. Our own values need no encoding, so none is decoded.
async fn fields(upstream: &Upstream, body: Body) -> Result<Vec<(String, String)>, Problem> {
    let bytes = upstream.whole("form", body, FORM).await?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    Ok(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}
