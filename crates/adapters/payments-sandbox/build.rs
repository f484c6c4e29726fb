//! What each call takes is compiled in compressed.

use std::io;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    portico_embedded::pack_file("spec/parameters.json")
}
