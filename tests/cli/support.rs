//! Running the built binary.

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

pub const BINARY: &str = env!("CARGO_BIN_EXE_edgequeue");

/// Address of the service, without a path.
pub fn service() -> String {
    env::var("EDGEQUEUE_URL").expect("EDGEQUEUE_URL is not set: run `npm test -- cli`, which starts a service")
}

pub fn token() -> String {
    env::var("EDGEQUEUE_TOKEN").expect("EDGEQUEUE_TOKEN is not set: run `npm test -- cli`")
}

/// A queue of its own, and a home without configuration.
pub struct Queue {
    pub url: String,
    pub home: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    pub fn lines(&self) -> Vec<&str> {
        self.stdout.lines().collect()
    }

    /// Standard output as JSON objects.
    pub fn objects(&self) -> Vec<serde_json::Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        self.code(0)
    }

    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{text:?} is missing in {self:#?}");
        self
    }
}

impl Queue {
    pub fn new(name: &str) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_millis();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let url = format!("{}/api/predict/cli-{name}-{now}-{number}", service());
        Self { url, home: TempDir::new().expect("a temporary directory") }
    }

    /// The command with the queue in its environment.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.bare_command(args);
        command.env("EDGEQUEUE_URL", &self.url).env("EDGEQUEUE_TOKEN", token());
        command
    }

    /// The command with nothing in its environment.
    pub fn bare_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.args(args).env_clear().env("HOME", self.home.path()).current_dir(self.home.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs `edgequeue stream ...`.
    pub fn stream(&self, args: &[&str]) -> Ended {
        let args: Vec<&str> = ["stream"].iter().chain(args).copied().collect();
        end(self.command(&args))
    }

    /// The same with something on standard input.
    pub fn stream_with(&self, input: &[u8], args: &[&str]) -> Ended {
        let args: Vec<&str> = ["stream"].iter().chain(args).copied().collect();
        let mut child = self.command(&args).stdin(Stdio::piped()).spawn().expect("the binary starts");
        child.stdin.take().expect("piped").write_all(input).expect("it reads its input");
        wait(child)
    }

    /// Puts texts, one after the other.
    pub fn put(&self, texts: &[&str]) {
        for text in texts {
            self.stream(&["put", "-d", text]).ok();
        }
    }

    /// A file in the working directory of the commands.
    pub fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.home.path().join(name);
        std::fs::write(&path, content).expect("the temporary directory can be written");
        path
    }

    /// Bodies of everything in the queue, which stays there.
    pub fn bodies(&self) -> Vec<String> {
        let found = self.stream(&["get", "--keep", "-q", "-l", "1000000"]);
        if found.code == 3 { Vec::new() } else { found.ok().stdout.lines().map(str::to_owned).collect() }
    }
}

pub fn end(mut command: Command) -> Ended {
    wait(command.spawn().expect("the binary starts"))
}

pub fn wait(child: Child) -> Ended {
    let output = child.wait_with_output().expect("the command ends");
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Sends a signal by its name.
pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "the process is there");
}

/// Highest memory a process has used so far, in bytes; `None` where /proc does not tell or the process is gone.
pub fn memory_peak(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}
