//! Face search on the command line.
fn main() {}
