//! Answers for a person: the page, a refusal, the way back.
use super::{
    super::{page, problem::Problem},
    upstream::value,
};
use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
    response::IntoResponse,
};
use serde_json::Value;

/// Back to the page: a reload of what is shown then does nothing again.
pub(super) fn see_page() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/"));
    response
}

/// A refusal of the daemon's, for a person.
pub(super) async fn retold(refused: Response<Body>) -> Result<Response<Body>, Problem> {
    let (status, headers) = (refused.status(), refused.headers().clone());
    let problem = value(refused).await.unwrap_or_default();
    let text = |key: &str| problem.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut response = html(status, page::message(&text("title"), &text("detail")));
    for name in [header::WWW_AUTHENTICATE, header::RETRY_AFTER] {
        for value in headers.get_all(&name) {
            response.headers_mut().append(name.clone(), value.clone());
        }
    }
    Ok(response)
}

/// A refusal of our own, for a person.
pub(super) fn shown(problem: &Problem) -> Response<Body> {
    let (title, detail) = problem.words();
    let mut response = problem.clone().into_response();
    *response.body_mut() = Body::from(page::message(title, detail));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(page::HTML));
    response
}

pub(super) fn html(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(page::HTML));
    response
}
