//! Turns the compiled worker into a module that wrangler can bundle.
fn main() {}
