//! Cargo looks at the files a crate named when it was compiled last; a browser application that was built for the first
//! time since has none of those names.

#![allow(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]

fn main() {
    println!("cargo:rerun-if-changed=../../ui/dist");
}
