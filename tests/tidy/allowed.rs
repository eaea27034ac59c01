//! Exceptions, each with its reason. An entry that is no longer needed is an error itself.

/// Files over the limit.
pub const LONG_FILES: [(&str, &str); 0] = [];

/// Functions over the limit, as `file: name`.
pub const LONG_FUNCTIONS: [(&str, &str); 0] = [];

/// Public items that only tests or benches use.
pub const TESTS_ONLY: [(&str, &str); 0] = [];

/// Type names that two rooms use for the same thing, each for its own.
pub const SAME_NAME: [(&str, &str); 1] =
    [("Event", "what a machine takes in: `queue` and `inference` keep the same contract")];
