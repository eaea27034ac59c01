//! The Worker: checks the token, finds the queue's object and hands the request on untouched. A request without a good
//! token never reaches, and so never creates, an object.

use worker::{Context, Env, Request, Response, Result, event};

use super::respond::respond;
use crate::wire::{Address, Answer, Head, address, auth};

/// Name of the secret that every request must carry.
const TOKEN: &str = "EDGEQUEUE_TOKEN";

#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: Context) -> Result<Response> {
    match route(&request, &env) {
        Ok(Route::Queue(name)) => env.durable_object("QUEUES")?.get_by_name(&name)?.fetch_with_request(request).await,
        Ok(Route::Page) => env.assets("ASSETS")?.fetch_request(request).await,
        Err(refused) => respond(refused),
    }
}

/// Where a request goes.
enum Route {
    /// To the object of a queue.
    Queue(String),
    /// To the files of the page.
    Page,
}

fn route(request: &Request, env: &Env) -> std::result::Result<Route, Answer> {
    let url = request.url().map_err(|error| Answer::bad(format!("the address cannot be read: {error}")))?;
    let headers = request.headers();
    let header = |name: &str| headers.get(name).ok().flatten();
    let method = request.inner().method();
    let head = Head { method: &method, path: url.path(), query: url.query().unwrap_or_default(), header: &header };
    if !address::is_api(&head) {
        return Ok(Route::Page);
    }
    let token = env.secret(TOKEN).ok().map(|secret| secret.to_string());
    auth::check(token.as_deref(), header("Authorization").as_deref())?;
    Ok(Route::Queue(Address::parse(head.path)?.queue_name()))
}
