//! Writes the sample site into a directory, to view in a browser: `cargo run -p portico-renderer --example sample_site --
//! DIR`.

#[path = "../tests/sample/mod.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "shared with the tests")]
mod sample;

use std::{error::Error, fs, path::PathBuf};

use portico_renderer::HtmlRenderer;
use portico_sites::ports::SiteRenderer;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = PathBuf::from(std::env::args().nth(1).ok_or("name a directory")?);
    let files = HtmlRenderer::new()?.render(&sample::bakery())?;
    let pages = files.iter().map(|file| (file.path.as_str(), file.bytes.as_slice()));
    let pictures = sample::PICTURES.into_iter().map(|(path, text)| (path, text.as_bytes()));
    for (path, bytes) in pages.chain(pictures) {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().ok_or("no parent")?)?;
        fs::write(path, bytes)?;
    }
    Ok(())
}
