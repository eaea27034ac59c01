//! Values of options, as several verbs take them.

/// Reads `key=value`. Names that begin with `_` are parameters of the protocol.
pub fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write it as key=value")?;
    if key.is_empty() {
        return Err("the name before = is empty".into());
    }
    if key.starts_with('_') {
        return Err(format!("tag key {key:?} contains prefix _ which is reserved"));
    }
    Ok((key.into(), value.into()))
}

/// Reads a duration as Go writes it, in milliseconds.
pub fn duration_ms(text: &str) -> Result<u64, String> {
    edgequeue::wire::duration::parse(text)
}
