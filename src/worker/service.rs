//! The Worker: finds the queue's object and hands the request on untouched. SKELETON: routes and tokens are to come.

use worker::{Context, Env, Request, Response, Result, event};

#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: Context) -> Result<Response> {
    let path = request.path();
    let Some(queue) = path
        .strip_prefix("/api/predict/")
        .and_then(|rest| rest.split('/').next())
        .filter(|name| !name.is_empty())
    else {
        return Response::error(format!("There is nothing at {path}."), 404);
    };
    env.durable_object("QUEUES")?
        .get_by_name(queue)?
        .fetch_with_request(request)
        .await
}
