//! The templates are compiled in compressed.

use std::io;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    portico_embedded::pack_folder("templates")
}
