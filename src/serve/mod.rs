//! The read-only page, its JSON, metrics and health: what the service shows to people and programs.
