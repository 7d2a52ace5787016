//! The build: stages, events, runs, cancellation.
