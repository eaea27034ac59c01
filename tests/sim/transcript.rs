//! What happened, as one number to compare runs by and, on demand, as lines to read.

use edgequeue::queue::effect::{Delivery, Effect, Reply};
use edgequeue::queue::event::Event;
use std::fmt::{self, Write};

/// FNV-1a over everything written to it.
#[derive(Clone, Copy)]
pub struct Digest(pub u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
        Ok(())
    }
}

/// The digest, and the lines when somebody wants to read them.
#[derive(Clone, Default)]
pub struct Transcript {
    pub digest: Digest,
    pub lines: Option<Vec<String>>,
}

impl Transcript {
    pub fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(line());
        }
    }

    pub fn turn(&mut self, now: u64, side: impl fmt::Debug, event: &Event, effects: &[Effect]) {
        write!(self.digest, "{now}{side:?}{event:?}{effects:?}").expect("a digest takes everything");
        self.note(|| format!("    {now} {side:?} {}", brief_event(event)));
        for effect in effects {
            self.note(|| format!("        -> {}", brief_effect(effect)));
        }
    }
}

fn brief_event(event: &Event) -> String {
    match event {
        Event::Put(ticket, entries) => {
            let briefly = |entry: &edgequeue::queue::event::NewEntry| {
                format!("priority {} {:?} {} bytes", entry.priority.0, entry.tags.get("color"), entry.data.len())
            };
            let shown: Vec<String> = entries.iter().take(4).map(briefly).collect();
            format!("put {} ({}): {}", ticket.0, entries.len(), shown.join("; "))
        }
        other => shortened(format!("{other:?}")),
    }
}

fn brief_effect(effect: &Effect) -> String {
    match effect {
        Effect::Reply(ticket, Reply::Entries(found)) => {
            format!("reply {}: {}", ticket.0, found.iter().map(brief_delivery).collect::<Vec<_>>().join(", "))
        }
        Effect::Push(watcher, delivery) => format!("push to watcher {}: {}", watcher.0, brief_delivery(delivery)),
        other => shortened(format!("{other:?}")),
    }
}

fn brief_delivery(delivery: &Delivery) -> String {
    let entry = &delivery.entry;
    let gained = if delivery.gained.is_empty() { String::new() } else { format!(" gained {:?}", delivery.gained) };
    format!("#{} priority {}{gained}", entry.index.0, entry.priority.0)
}

fn shortened(mut text: String) -> String {
    if text.len() > 600 {
        let end = (0..=600).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text += "...";
    }
    text
}
