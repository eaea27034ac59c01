//! Text to steps.

/// A script.
pub struct Script {
    pub steps: Vec<Step>,
}

/// One thing that happens, and what is expected to follow.
pub struct Step {
    pub line: usize,
    pub action: String,
    pub expected: Vec<String>,
}

impl Script {
    /// Reads a script; an error is a line and a sentence.
    pub fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut steps: Vec<Step> = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            let is_title = text.starts_with('#');
            if line == 1 && !is_title {
                return Err((1, "the first line must be a comment that says what the script is about".into()));
            }
            let text = if is_title { "" } else { text.split(" # ").next().unwrap_or("").trim() };
            if text.is_empty() {
                continue;
            }
            let (action, items) = text.split_once("->").unwrap_or((text, ""));
            let items: Vec<String> =
                items.split(';').map(|item| words(item).join(" ")).filter(|item| !item.is_empty()).collect();
            if items.is_empty() {
                return Err((line, "nothing is expected; write `-> nothing` if nothing follows".into()));
            }
            let action = words(action).join(" ");
            if action.is_empty() {
                let Some(step) = steps.last_mut() else {
                    return Err((line, "an expectation before anything happened".into()));
                };
                step.expected.extend(items);
            } else {
                steps.push(Step { line, action, expected: items });
            }
        }
        if steps.is_empty() {
            return Err((1, "the script says nothing".into()));
        }
        for step in &mut steps {
            if step.expected.iter().any(|item| item == "nothing") {
                if step.expected.len() > 1 {
                    return Err((step.line, "`nothing` stands alone".into()));
                }
                step.expected.clear();
            }
        }
        Ok(Self { steps })
    }
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}
