//! Exceptions, each with its reason. An entry that is no longer needed is an error itself.

/// Files over the limit.
pub const LONG_FILES: [(&str, &str); 0] = [];

/// Functions over the limit, as `file: name`.
pub const LONG_FUNCTIONS: [(&str, &str); 0] = [];

/// Public items that only tests or benches use.
pub const TESTS_ONLY: [(&str, &str); 4] = [
    ("rows_mut", "tests of the store begin and end transactions themselves, which a shell does around the whole store"),
    ("into_rows", "tests of the store open the same rows again, as a restart does"),
    ("sql_mut", "tests of the store damage rows and explain statements"),
    ("into_sql", "tests of the store open the same database again, as a restart does"),
];

/// Type names that two rooms use for the same thing, each for its own.
pub const SAME_NAME: [(&str, &str); 2] = [
    ("Event", "what a machine takes in: `queue` and `inference` keep the same contract"),
    ("Wait", "what `broker` waits for, and the same as JavaScript sees it, in `worker`"),
];
