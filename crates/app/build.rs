//! How the program is linked.

use std::{env, process::Command};

/// The first C library that reads packed relocations (glibc 2.36, `DT_RELR`).
const GLIBC: (u32, u32) = (2, 36);

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let of = |name: &str| env::var(name).unwrap_or_default();
    // The program is loaded at an address that differs each time, so that 108,000 pointers in it are adjusted at the start. Listed one by
    // one, as without this, they take 2.6 MB, all of which each start reads; packed, 40 KB. The price: the program does not start on a C
    // library before that version, even if it would otherwise. So it is for builds by the linker of a machine that has it, not for those
    // with a linker that somebody chose (`RUSTC_LINKER`), such as one for older systems; and for this architecture, where that was tried.
    let is_native = of("TARGET") == of("HOST") && of("RUSTC_LINKER").is_empty();
    if is_native && of("TARGET") == "x86_64-unknown-linux-gnu" && glibc().is_some_and(|found| found >= GLIBC)
    {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    // Where the linker says where it put each function, and in which order it puts them first: `scripts/order-functions` sets both. Only
    // LLD knows them.
    for (variable, argument) in [
        ("PORTICO_LINK_MAP", "-Wl,-Map="),
        ("PORTICO_FUNCTION_ORDER", "-Wl,--no-warn-symbol-ordering,--symbol-ordering-file="),
    ] {
        println!("cargo::rerun-if-env-changed={variable}");
        let path = of(variable);
        if !path.is_empty() {
            println!("cargo::rustc-link-arg-bins={argument}{path}");
        }
    }
    let order = of("PORTICO_FUNCTION_ORDER");
    if !order.is_empty() {
        println!("cargo::rerun-if-changed={order}");
    }
}

/// The version of the C library of this machine.
fn glibc() -> Option<(u32, u32)> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}
