//! Contexts, environment and flags.

use super::support::{Queue, end, token};
use std::os::unix::fs::PermissionsExt;

#[test]
fn what_is_stronger_wins_and_is_named() {
    let queue = Queue::new("sources");
    let url = queue.url.clone();
    let save = ["stream", "config", "--url", &url, "--token", "token-of-the-context", "--group", "of-the-context"];
    let saved = end(queue.bare_command(&save)).ok().says("Saved context default");
    assert_eq!(saved.stdout, "");
    let shown = end(queue.bare_command(&["stream", "config"])).ok();
    assert_eq!(
        shown.lines(),
        [
            "context : default (default)",
            &format!("url : {url} (context default)"),
            "token : ********text (context default)",
            "group : of-the-context (context default)",
            "user : default_user (default)",
        ]
    );
    let mut command = queue.bare_command(&["stream", "--user", "flagged", "--json", "config"]);
    command.env("EDGEQUEUE_TOKEN", "short").env("EDGEQUEUE_USER", "weaker");
    // With a flag it saves; the environment never gets into the file.
    end(command).ok();
    let mut command = queue.bare_command(&["stream", "config", "--json"]);
    command.env("EDGEQUEUE_TOKEN", "short").env("EDGEQUEUE_GROUP", "");
    let shown = &end(command).ok().objects()[0];
    assert_eq!(shown["token"], serde_json::json!({ "value": "********", "source": "environment EDGEQUEUE_TOKEN" }));
    assert_eq!(shown["user"], serde_json::json!({ "value": "flagged", "source": "context default" }));
    assert_eq!(shown["group"]["source"], "context default", "an empty variable is none");
}

#[test]
fn a_saved_context_works_and_only_its_owner_can_read_it() {
    let queue = Queue::new("context");
    let url = queue.url.clone();
    end(queue.bare_command(&["stream", "config", "--url", &url, "--token", &token()])).ok();
    let file = queue.home.path().join(".config/edgequeue/contexts/default.toml");
    let mode = |path: &std::path::Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(file.parent().expect("a directory")), 0o700);
    end(queue.bare_command(&["stream", "put", "-d", "x"])).ok();
    assert_eq!(queue.bodies(), ["x"]);
    // A file that others could read does not stay so.
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("it is ours");
    end(queue.bare_command(&["stream", "config", "--group", "g"])).ok();
    assert_eq!(mode(&file), 0o600);
}

#[test]
fn contexts_are_listed_used_and_removed() {
    let queue = Queue::new("contexts");
    for name in ["one", "two"] {
        let url = format!("http://{name}.example/api/predict/x");
        end(queue.bare_command(&["stream", "config", "--context", name, "--url", &url])).ok();
    }
    let list = || end(queue.bare_command(&["context", "list"])).ok().stdout;
    assert_eq!(list(), "* one : http://one.example/api/predict/x\n  two : http://two.example/api/predict/x\n");
    end(queue.bare_command(&["context", "use", "two"])).ok();
    assert!(end(queue.bare_command(&["stream", "config"])).ok().stdout.contains("http://two.example"));
    let mut command = queue.bare_command(&["stream", "config"]);
    command.env("EDGEQUEUE_CONTEXT", "one");
    assert!(
        end(command).ok().stdout.contains("context : one (environment EDGEQUEUE_CONTEXT)\nurl : http://one.example")
    );
    end(queue.bare_command(&["context", "remove", "two"])).ok();
    assert_eq!(end(queue.bare_command(&["context", "list", "-q"])).ok().stdout, "one\n");
    end(queue.bare_command(&["context", "remove", "two"])).code(3);
    end(queue.bare_command(&["context", "use", "../../etc/passwd"])).code(2);
}

#[test]
fn nonsense_is_not_saved_and_not_guessed() {
    let queue = Queue::new("nonsense");
    end(queue.bare_command(&["stream", "config", "--url", "http://a/x?y=1"])).code(2);
    assert!(!queue.home.path().join(".config/edgequeue/contexts/default.toml").exists());
    let directory = queue.home.path().join(".config/edgequeue/contexts");
    std::fs::create_dir_all(&directory).expect("ours");
    std::fs::write(directory.join("default.toml"), "url = 3\ntoken = 'secret-token'").expect("ours");
    let ended = end(queue.bare_command(&["stream", "info"])).code(2).says("makes no sense");
    assert!(!ended.stderr.contains("secret-token"), "a token is never shown: {ended:?}");
}

#[test]
fn a_token_can_come_from_standard_input() {
    let queue = Queue::new("stdin");
    let token = format!("{}\n", token());
    queue.stream_with(token.as_bytes(), &["info", "--token", "-"]).ok();
    queue.stream_with(b"\n", &["info", "--token", "-"]).code(2).says("no token on standard input");
}
