//! Closed loops: a number of connections, each of which sends its next request when the last one is answered.

use std::cell::RefCell;
use std::io::Result;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// One connection that does the same thing again and again.
pub trait Talk {
    /// Does it once and says how many entries that were.
    async fn once(&mut self) -> Result<u64>;
}

/// What was measured.
#[derive(Default)]
pub struct Figures {
    entries: u64,
    seconds: f64,
    micros: Vec<u32>,
}

/// When counting begins and ends.
#[derive(Clone, Copy)]
pub struct Window {
    pub from: Instant,
    pub until: Instant,
}

impl Window {
    /// Counting begins after a quarter of the time.
    pub fn new(seconds: f64) -> Self {
        let now = Instant::now();
        Self {
            from: now + Duration::from_secs_f64(seconds / 4.0),
            until: now + Duration::from_secs_f64(seconds * 5.0 / 4.0),
        }
    }

    pub fn seconds(self) -> f64 {
        (self.until - self.from).as_secs_f64()
    }
}

impl Figures {
    pub fn new(window: Window) -> Self {
        Self { seconds: window.seconds(), ..Self::default() }
    }

    /// How many in how long.
    pub fn of(entries: u64, seconds: f64) -> Self {
        Self { entries, seconds, ..Self::default() }
    }

    /// Something took from `began` until now.
    pub fn add(&mut self, window: Window, began: Instant, entries: u64) {
        let now = Instant::now();
        if now >= window.from && now < window.until {
            self.entries += entries;
            self.micros.push((now - began).as_micros() as u32);
        }
    }

    /// One line of JSON.
    pub fn print(mut self) {
        self.micros.sort_unstable();
        let at = |part: f64| {
            let last = self.micros.len().saturating_sub(1);
            self.micros.get((last as f64 * part) as usize).copied().unwrap_or(0)
        };
        println!(
            r#"{{"rate":{:.1},"entries":{},"p50_us":{},"p99_us":{},"p999_us":{}}}"#,
            self.entries as f64 / self.seconds,
            self.entries,
            at(0.5),
            at(0.99),
            at(0.999)
        );
    }
}

/// Runs all connections side by side.
pub async fn closed_loop<T: Talk + 'static>(talks: Vec<T>, seconds: f64) -> Result<Figures> {
    let window = Window::new(seconds);
    let figures = Rc::new(RefCell::new(Figures::new(window)));
    let mut tasks = Vec::new();
    for mut talk in talks {
        let figures = figures.clone();
        tasks.push(tokio::task::spawn_local(async move {
            while Instant::now() < window.until {
                let began = Instant::now();
                let entries = talk.once().await?;
                figures.borrow_mut().add(window, began, entries);
            }
            Ok::<(), std::io::Error>(())
        }));
    }
    for task in tasks {
        task.await.expect("a task does not panic")?;
    }
    Ok(Rc::into_inner(figures).expect("every task has ended").into_inner())
}
