//! The Worker: it checks the token, finds the queue's object and passes the request on unread. A request without a
//! valid token never reaches an object, and so never creates one.
//!
//! It is synchronous on purpose, and returns the object's promise instead of awaiting it. When a client goes away, the
//! platform drops the Worker's side of the request without notice, and a future that waits here would never be freed.

use std::{cell::OnceCell, rc::Rc};

use js_sys::Promise;
use wasm_bindgen::{JsCast, prelude::*};
use worker::Env;

use super::{head::HeadText, host};
use crate::wire::{
    Address, Answer,
    http::{address, auth, cors},
};

/// Name of the secret with the token that every request must carry.
const TOKEN: &str = "EDGEQUEUE_TOKEN";

#[wasm_bindgen]
extern "C" {
    #[derive(Clone)]
    type Namespace;
    #[wasm_bindgen(method, catch, js_name = getByName)]
    fn by_name(this: &Namespace, name: &str) -> Result<Fetcher, JsValue>;

    /// Something that answers requests: an object, or the files of the page.
    type Fetcher;
    #[wasm_bindgen(method, catch)]
    fn fetch(this: &Fetcher, request: &web_sys::Request) -> Result<Promise, JsValue>;
}

/// Answers a request with a response, or with the promise of one. `head` is its [`HeadText`].
#[wasm_bindgen]
pub fn fetch(request: &web_sys::Request, head: &str, env: Env) -> Result<JsValue, JsValue> {
    let bindings = Bindings::of(&env)?;
    let fetcher: Fetcher = match route(&HeadText::new(head), &bindings) {
        Ok(Route::Queue(name)) => bindings.queues.by_name(&name)?,
        Ok(Route::Page) => js_sys::Reflect::get(env.as_ref(), &"ASSETS".into())?.unchecked_into(),
        Err(refused) => return Ok(host::response(&refused)?.into()),
    };
    Ok(fetcher.fetch(request)?.into())
}

/// The parts of the deployment that every request needs. They do not change while an instance lives, and each look-up
/// costs a crossing.
struct Bindings {
    queues: Namespace,
    token: Option<String>,
    /// The list of [`cors`].
    origins: String,
}

impl Bindings {
    fn of(env: &Env) -> Result<Rc<Self>, JsValue> {
        thread_local!(static KNOWN: OnceCell<Rc<Bindings>> = const { OnceCell::new() });
        KNOWN.with(|known| {
            if let Some(bindings) = known.get() {
                return Ok(bindings.clone());
            }
            let queues = env.durable_object("QUEUES")?.as_ref().unchecked_ref::<Namespace>().clone();
            let token = env.secret(TOKEN).ok().map(|secret| secret.to_string());
            let origins = env.var(cors::VARIABLE).map(|list| list.to_string()).unwrap_or_default();
            Ok(known.get_or_init(|| Rc::new(Self { queues, token, origins })).clone())
        })
    }
}

/// Where a request goes.
enum Route {
    /// To the object of a queue.
    Queue(String),
    /// To the files of the page.
    Page,
}

fn route(told: &HeadText<'_>, bindings: &Bindings) -> Result<Route, Answer> {
    told.read(|head| {
        // Other methods than these are not for the page: a body that nobody reads breaks connections through some
        // proxies.
        if matches!(head.method, "GET" | "HEAD") && !address::is_api(head) {
            return Ok(Route::Page);
        }
        if head.method == "OPTIONS"
            && let Some(origin) = told.sent("Origin")
            && told.sent("Access-Control-Request-Method").is_some()
        {
            return Err(cors::preflight(&bindings.origins, &origin));
        }
        let sent = told.sent("Authorization");
        let carried = sent.is_none().then(|| told.carried("Authorization")).flatten();
        auth::check(bindings.token.as_deref(), sent.as_deref().or(carried.as_deref()))?;
        if carried.is_some() {
            cors::may_connect(&bindings.origins, told.sent("Origin").as_deref(), told.url.authority)?;
        }
        Ok(Route::Queue(Address::of_client(head.method, head.path)?.queue_name()))
    })
}

/// The headers, in lines, that an answer to this origin gets in a deployment with this list of origins.
#[wasm_bindgen]
pub fn origin_headers(list: &str, origin: Option<String>) -> String {
    let headers = cors::headers(list, origin.as_deref());
    headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
}
