//! Harness for testing nsrun from outside.
