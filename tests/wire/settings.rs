//! The settings call and the deployment's defaults.

use edgequeue::queue::config::{DeadPolicy, PathPolicy, Settings};
use edgequeue::wire::http::settings::{Patch, defaults, keys, to_json};
use proptest::prelude::*;

fn error(body: &str) -> String {
    let answer = Patch::parse(body.as_bytes()).expect_err(body);
    assert_eq!(answer.status, 400);
    String::from_utf8(answer.body.to_vec()).unwrap()
}

#[test]
fn json_and_form_say_the_same() {
    let expected = Settings {
        max_delivery: 0,
        dead_message_policy: DeadPolicy::Drop as i32,
        auto_evict: true,
        max_payload_bytes: 8192,
        max_length: 10,
        max_idle_ms: 60_000,
        retention_ms: 86_400_000,
        max_silence_ms: 0,
        predictor: "https://a.example/v1".into(),
        predictor_path: PathPolicy::Fixed as i32,
        predictor_headers: "HEADERS".into(),
        predictor_timeout_ms: 5_000,
        worker_threads: 20,
        retry_delay_ms: 500,
        callback: "https://b.example/?x=1".into(),
    };
    for body in [
        r#"{"max_delivery":0,"dead_message_policy":"drop","auto_evict":true,"max_payload_size_kb":8,"max_length":10,
            "max_idle":"1m","retention":"24h","max_silence":0,"predictor":"https://a.example/v1",
            "predictor_path":"fixed","predictor_headers":"HEADERS","predictor_timeout":"5s","worker_threads":20,
            "retry_delay":"500ms","callback":"https://b.example/?x=1"}"#,
        r#" {"max_delivery":"0","dead_message_policy":"DROP","auto_evict":"True","max_payload_size_kb":"8",
            "max_length":"10","max_idle":60,"retention":86400,"max_silence":"0s","predictor":"https://a.example/v1",
            "predictor_path":"FIXED","predictor_headers":"HEADERS","predictor_timeout":5,"worker_threads":"20",
            "retry_delay":0.5,"callback":"https://b.example/?x=1"}"#,
        "max_delivery=0&dead_message_policy=Drop&auto_evict=1&max_payload_size_kb=8&max_length=10&max_idle=1m0s\
         &retention=24h0m0s&max_silence=0&predictor=https://a.example/v1&predictor_path=Fixed\
         &predictor_headers=HEADERS&predictor_timeout=5000ms&worker_threads=20&retry_delay=.5s\
         &callback=https%3A%2F%2Fb.example%2F%3Fx%3D1\n",
    ] {
        assert_eq!(Patch::parse(body.as_bytes()).unwrap().apply(&Settings::standard()), expected, "{body}");
    }
}

#[test]
fn what_is_not_named_stays() {
    let settings = Settings { max_idle_ms: 5_000, ..Settings::standard() };
    let changed = Patch::parse(b"max_delivery=1").unwrap().apply(&settings);
    assert_eq!(changed, Settings { max_delivery: 1, ..settings });
}

#[test]
fn mistakes_are_named() {
    for (body, text) in [
        ("max_deliverys=1", "\"max_deliverys\" is not a setting; there are max_delivery, dead_message_policy,"),
        ("max_delivery=-1", "max_delivery must be a whole number from 0 to 4294967295, not \"-1\""),
        ("max_delivery=4294967296", "max_delivery must be a whole number from 0 to 4294967295"),
        (r#"{"max_delivery":1.5}"#, "max_delivery must be a whole number"),
        (r#"{"max_delivery":null}"#, "\"max_delivery\" must be a number, a boolean or a string"),
        ("dead_message_policy=Keep", "dead_message_policy must be Rear or Drop, not \"Keep\""),
        ("auto_evict=yes", "auto_evict must be true or false, not \"yes\""),
        ("max_payload_size_kb=1758", "max_payload_size_kb must be a whole number from 1 to 1757"),
        ("max_payload_size_kb=0", "max_payload_size_kb must be a whole number from 1 to 1757"),
        ("max_length=0", "max_length must be a whole number from 1 to"),
        ("max_idle=1d", "max_idle must be a duration such as 500ms, 5s or 1m30s"),
        ("max_idle=1us", "max_idle must be 0 (off) or from 100ms to 87600h0m0s, not \"1us\""),
        ("retention=87601h", "retention must be 0 (off) or from 100ms"),
        ("max_silence=-1s", "max_silence must not be negative"),
        (
            "predictor=a.example",
            "predictor must be a URL (https://...), service:BINDING, ai:MODEL, or empty for none, not",
        ),
        ("predictor=https://u@a/", "predictor must not contain credentials"),
        ("predictor=service:", "predictor must name a service binding"),
        ("predictor=ai:", "predictor must name a model"),
        ("predictor_path=keep", "predictor_path must be append or fixed, not \"keep\""),
        ("predictor_headers=Authorization: x", "predictor_headers must be the name of a secret"),
        ("predictor_timeout=0", "predictor_timeout must be from 100ms to 15m0s, not \"0\""),
        ("predictor_timeout=16m", "predictor_timeout must be from 100ms to 15m0s"),
        ("worker_threads=0", "worker_threads must be a whole number from 1 to 1000"),
        ("worker_threads=1001", "worker_threads must be a whole number from 1 to 1000"),
        ("retry_delay=6m", "retry_delay must be 0 (off) or from 100ms to 5m0s, not \"6m\""),
        ("callback=ftp://a", "callback must be an absolute URL"),
        ("", "the body names no setting"),
        ("{}", "the body names no setting"),
        ("{", "the settings are not a JSON object"),
        ("[]", "\"[]\" is not a setting"),
    ] {
        assert!(error(body).starts_with(text), "{body}: {}", error(body));
    }
    assert!(Patch::parse(&[0xff, 0xfe]).is_err());
}

#[test]
fn shown_settings_can_be_set_again() {
    let settings = Settings {
        max_idle_ms: 1_500,
        retention_ms: 3_600_000,
        auto_evict: true,
        predictor: "service:SCORER/v1".into(),
        ..Settings::standard()
    };
    let text = to_json(&settings);
    assert_eq!(
        text,
        "{\"max_delivery\":5,\"dead_message_policy\":\"Rear\",\"auto_evict\":true,\"max_payload_size_kb\":1024,\
         \"max_length\":100000000,\"max_idle\":\"1.5s\",\"retention\":\"1h0m0s\",\"max_silence\":\"15m0s\",\
         \"predictor\":\"service:SCORER/v1\",\"predictor_path\":\"append\",\"predictor_headers\":\"\",\
         \"predictor_timeout\":\"1m0s\",\
         \"worker_threads\":5,\"retry_delay\":\"1s\",\"callback\":\"\"}\n"
    );
    assert_eq!(Patch::parse(text.as_bytes()).unwrap().apply(&Settings::default()), settings);
}

#[test]
fn deployment_defaults() {
    let variable = |name: &str| {
        let value = match name {
            "EDGEQUEUE_MAX_DELIVERY" => "3",
            "EDGEQUEUE_SINK_MAX_DELIVERY" => " 0 ",
            "EDGEQUEUE_SOURCE_AUTO_EVICT" => "true",
            "EDGEQUEUE_MAX_LENGTH" => "",
            _ => return None,
        };
        Some(value.to_string())
    };
    let source = Settings { max_delivery: 3, auto_evict: true, ..Settings::standard() };
    assert_eq!(defaults(false, &variable), Ok(source));
    assert_eq!(defaults(true, &variable), Ok(Settings { max_delivery: 0, ..Settings::standard() }));
    assert_eq!(defaults(true, &|_| None), Ok(Settings::standard()));
    let wrong = defaults(false, &|name| (name == "EDGEQUEUE_MAX_IDLE").then(|| "soon".into())).unwrap_err();
    assert!(wrong.starts_with("the variable EDGEQUEUE_MAX_IDLE is wrong: max_idle must be a duration"), "{wrong}");
}

fn any_key() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(keys().collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn any_body_is_read_or_refused(body in any::<Vec<u8>>()) {
        if let Err(answer) = Patch::parse(&body) {
            prop_assert_eq!(answer.status, 400);
        }
    }

    #[test]
    fn any_value_is_read_or_refused(key in any_key(), value in "[0-9a-z.]{0,12}") {
        if let Err(answer) = Patch::parse(format!("{key}={value}").as_bytes()) {
            prop_assert_eq!(answer.status, 400);
        }
    }
}
