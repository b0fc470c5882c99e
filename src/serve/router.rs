//! From the table of routes to a router. What has no route is refused with its reason.
use super::{
    context::Context,
    dispatch::dispatch,
    problem::Problem,
    routes::{Method, TABLE, allow},
};
use axum::{
    Router,
    extract::{Request, State},
    response::IntoResponse,
    routing::{MethodFilter, MethodRouter, on},
};
use std::sync::Arc;

/// The router of all routes.
pub(super) fn router(context: Arc<Context>) -> Router {
    let mut paths: Vec<&'static str> = TABLE.iter().map(|route| route.path).collect();
    paths.sort_unstable();
    paths.dedup();
    let router = paths.into_iter().fold(Router::new(), |router, path| router.route(path, methods(path)));
    router
        .fallback(|State(context): State<Arc<Context>>, request: Request| async move {
            context
                .head(&request)
                .err()
                .unwrap_or_else(|| Problem::no_path(request.uri().path()))
                .into_response()
        })
        .with_state(context)
}

fn methods(path: &'static str) -> MethodRouter<Arc<Context>> {
    let routes = TABLE.iter().filter(|route| route.path == path);
    let methods = routes.fold(MethodRouter::new(), |methods, route| {
        let filter = match route.method {
            Method::Get => MethodFilter::GET,
            Method::Post => MethodFilter::POST,
            Method::Delete => MethodFilter::DELETE,
        };
        let target = route.target;
        let handler =
            move |State(context): State<Arc<Context>>, request: Request| dispatch(context, target, request);
        methods.merge(on(filter, handler))
    });
    methods.fallback(move |State(context): State<Arc<Context>>, request: Request| async move {
        let refused = context.head(&request).err();
        refused.unwrap_or_else(|| Problem::method(request.method().as_str(), allow(path))).into_response()
    })
}
