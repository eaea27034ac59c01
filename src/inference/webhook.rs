//! The callback about the end of a request, signed as <https://www.standardwebhooks.com> describes.

use super::outcome::Ending;
use crate::queue::entry::Index;
use alloc::{format, string::String, vec::Vec};
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac_sha256::HMAC;

/// Secret with the signing keys: `whsec_` and base64, several separated by blanks while keys change.
pub const SECRET: &str = "EDGEQUEUE_CALLBACK_SECRET";
const PREFIX: &str = "whsec_";

/// Tag with the id of a webhook, which is the same in every attempt to send it.
pub const TAG_WEBHOOK: &str = "webhookId";

/// The body of a callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook<'a> {
    /// The request id.
    pub request_id: &'a str,
    /// The service it was put to.
    pub service: &'a str,
    /// How it ended.
    pub status: Ending,
    /// Its index in the input queue.
    pub index: u64,
    /// Index of its result in the sink; missing if there is none.
    pub sink_index: Option<u64>,
    /// Code of the last failure; missing if there was none.
    pub code: Option<&'a str>,
    /// Reason of the last failure; missing if there was none.
    pub reason: Option<&'a str>,
}

impl Webhook<'_> {
    /// Its JSON.
    pub fn body(&self) -> Vec<u8> {
        let (id, service) = (quoted(self.request_id), quoted(self.service));
        let (status, index) = (self.status.word(), self.index);
        let mut body = format!(r#"{{"requestId":{id},"service":{service},"status":"{status}","index":{index}"#);
        if let Some(index) = self.sink_index {
            body.push_str(&format!(r#","sinkIndex":{index}"#));
        }
        for (key, text) in [("code", self.code), ("reason", self.reason)] {
            if let Some(text) = text {
                body.push_str(&format!(r#","{key}":{}"#, quoted(text)));
            }
        }
        body.push('}');
        body.into_bytes()
    }
}

/// A text as JSON.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// The id of a webhook, the same in every attempt to send it.
pub fn id(service: &str, index: Index) -> String {
    format!("msg_{service}_{}", index.0)
}

/// The signing keys of a deployment.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Keys(Vec<Vec<u8>>);

impl Keys {
    /// Reads the secret. The error is a sentence that does not show the secret.
    pub fn parse(secret: &str) -> Result<Self, String> {
        let key = |text: &str| STANDARD.decode(text.strip_prefix(PREFIX)?).ok().filter(|key| key.len() >= 16);
        let keys: Option<Vec<Vec<u8>>> = secret.split_whitespace().map(key).collect();
        keys.filter(|keys| !keys.is_empty())
            .map(Self)
            .ok_or_else(|| format!("the secret {SECRET} must be {PREFIX} and the base64 of at least 16 random bytes"))
    }

    /// The header `webhook-signature` of a webhook that is sent at this time, Unix seconds.
    pub fn sign(&self, id: &str, sent_s: u64, body: &[u8]) -> String {
        let signatures = self.0.iter().map(|key| {
            let mut mac = HMAC::new(key);
            mac.update(format!("{id}.{sent_s}."));
            mac.update(body);
            format!("v1,{}", STANDARD.encode(mac.finalize()))
        });
        signatures.collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_signed_as_the_specification_has_it() {
        // The example of the specification's reference libraries.
        let keys = Keys::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a good secret");
        let body = br#"{"test": 2432232314}"#;
        let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(keys.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body), signature);
        let both = Keys::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw whsec_AAAAAAAAAAAAAAAAAAAAAAAA").expect("two");
        let signatures = both.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signatures.split(' ').count(), 2);
        assert!(signatures.starts_with(signature));
    }

    #[test]
    fn bad_secrets_are_refused_and_not_shown() {
        for secret in [
            "",
            "hunter2-hunter2-hunter2",
            "whsec_",
            "whsec_c2hvcnQ=",
            "whsec_%%%",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw x",
        ] {
            let wrong = Keys::parse(secret).err().expect("refused");
            assert!(secret.is_empty() || !wrong.contains("hunter2") && !wrong.contains("MfKQ"), "{wrong}");
        }
    }

    #[test]
    fn a_webhook_says_what_became_of_the_request() {
        let webhook = Webhook {
            request_id: "a\"b",
            service: "s",
            status: Ending::Failed,
            index: 7,
            sink_index: Some(3),
            code: Some("500"),
            reason: None,
        };
        let body = r#"{"requestId":"a\"b","service":"s","status":"failed","index":7,"sinkIndex":3,"code":"500"}"#;
        assert_eq!(webhook.body(), body.as_bytes());
    }
}
