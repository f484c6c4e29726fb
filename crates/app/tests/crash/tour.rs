//! What the README has people do.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use crate::process::{Server, text};

#[tokio::test(flavor = "multi_thread")]
async fn the_site_of_the_readme_is_not_empty() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let (_, section) = readme.split_once("## A site in one call").unwrap();
    let (_, block) = section.split_once("```sh\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let script = block.replace("http://127.0.0.1:7600", &server.url);
    let run = Command::new("timeout")
        .args(["60", "bash", "-euo", "pipefail", "-c", &script])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (printed, errors) = (text(&run.stdout), text(&run.stderr));
    assert!(run.status.success(), "{printed}{errors}");
    let (_, page) = printed.split_once("<!").unwrap_or_else(|| panic!("no page: {printed}"));
    assert!(page.contains("Harbour Bakery") && page.contains("<h1"), "{page}");
    assert!(page.matches("<section").count() >= 3 && page.contains("<nav"), "an empty page: {page}");
}
