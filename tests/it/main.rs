//! One integration binary: a builder harness; cases as files.
