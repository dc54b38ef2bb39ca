//! The `nsrun` command.

fn main() {}
