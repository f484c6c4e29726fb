//! How the program is linked, and which files are compiled in compressed.

use std::{
    env,
    error::Error,
    io::{Cursor, Read},
    process::Command,
};

use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::ZipArchive;

/// The first C library that reads packed relocations (glibc 2.36, `DT_RELR`).
const GLIBC: (u32, u32) = (2, 36);

/// The files of Swagger UI that the page of the API document loads.
const SWAGGER_UI: [&str; 2] = ["swagger-ui-bundle.js", "swagger-ui.css"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    portico_embedded::pack_file("../../docs/openapi.json")?;
    pack_swagger_ui()?;
    choose_linking();
    Ok(())
}

/// Of the archive that a crate brings: without a network, and without what is for other pages.
fn pack_swagger_ui() -> Result<(), Box<dyn Error>> {
    let mut archive = ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED))?;
    for index in 0..archive.len() {
        let mut file = archive.by_index(index)?;
        let path = file.name()?.into_owned();
        if let Some(name) = SWAGGER_UI.iter().find(|name| path.ends_with(&format!("/dist/{name}"))) {
            let mut content = Vec::new();
            file.read_to_end(&mut content)?;
            portico_embedded::pack(name, &content)?;
        }
    }
    Ok(())
}

fn choose_linking() {
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
    println!("cargo::rustc-link-arg-bins=-Wl,--icf=safe");
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
