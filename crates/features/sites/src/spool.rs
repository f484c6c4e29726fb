//! Files of a form (RFC 7578), spooled to disk while they are read, so that concurrent uploads do not exhaust memory.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    path::Path,
};

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::{
    HttpMessage, HttpRequest,
    http::header::CONTENT_LENGTH,
    web::{Bytes, Payload},
};
use futures_util::StreamExt;
use portico_kernel::{FieldError, Kind, RuleMessage};
use portico_runtime::logging;
use portico_sites::asset::AssetType;
use portico_web::problem::Problem;

/// Maximum number of files in a form.
pub const MAX_FILES: usize = 20;

/// Maximum number of bytes of all files in a form.
pub const MAX_TOTAL: usize = 50 << 20;

/// Allowance for the multipart framing around the files.
const FORM_BYTES: usize = 256 << 10;

/// Bytes of a file kept in memory. The rest is in an unnamed temporary file, which is removed when its last handle is
/// closed.
const IN_MEMORY: usize = 256 << 10;

/// Bytes of a file from which its format is detected.
const HEAD: usize = 1024;

/// Largest file of any format: what exceeds it is not spooled.
const LARGEST: usize = AssetType::Pdf.max_bytes();

/// A file of a form, of an accepted format and size. Its content is not validated yet.
pub struct SpooledFile {
    /// Client-supplied name; untrusted.
    pub name: String,
    /// Detected from its first bytes.
    pub format: AssetType,
    spool: Spool,
}

impl SpooledFile {
    /// The whole file.
    pub async fn read(self) -> Result<Vec<u8>, Problem> {
        let read = tokio::task::spawn_blocking(move || self.spool.read()).await;
        read.map_err(Problem::internal)?.map_err(|error| unavailable(&error))
    }
}

/// Reads the files of a form. Errors are collected for all files: `files[i]` counts from 0.
///
/// # Errors
/// 413 when a file or all of them together are too large; 422 for files of other formats, empty and too many ones, and
/// other fields; 400 when the form is truncated; 415 when the body is not a form.
pub async fn files_of(
    request: &HttpRequest,
    payload: Payload,
    directory: &Path,
) -> Result<Vec<SpooledFile>, Problem> {
    if !request.content_type().eq_ignore_ascii_case("multipart/form-data") {
        let detail = "Send a form (multipart/form-data) with one or more `files`.";
        return Err(Problem::new(Kind::UnsupportedMediaType, "unsupported_media_type", detail));
    }
    let announced =
        request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > MAX_TOTAL + FORM_BYTES) {
        return Err(too_large_together());
    }
    let mut form = Multipart::new(request.headers(), payload);
    let (mut files, mut errors, mut total, mut too_large) = (Vec::new(), Vec::new(), 0, false);
    let mut number = 0;
    while let Some(field) = form.next().await {
        let field = field.map_err(unreadable)?;
        if !matches!(field.name(), Some("files" | "files[]" | "file")) {
            // The name is client input: control characters are removed, and its length is limited.
            let name = field.name().unwrap_or_default().chars().filter(|c| !c.is_control()).take(64);
            errors.push(FieldError::new(
                name.collect::<String>(),
                "unknown_field",
                "There is no such field.",
            ));
            return Err(Problem::invalid(errors));
        }
        if number == MAX_FILES {
            errors.push(FieldError::new(
                "files",
                "too_many",
                RuleMessage::new(format!("Send at most {MAX_FILES} files.")).max(MAX_FILES),
            ));
            return Err(Problem::invalid(errors));
        }
        let name = format!("files[{number}]");
        number += 1;
        match spool(field, directory, &mut total).await? {
            Spooled::File(file) => files.push(file),
            Spooled::TooLarge(most) => {
                too_large = true;
                let message =
                    RuleMessage::new(format!("Such a file may have {} MB at most.", most >> 20)).max(most);
                errors.push(FieldError::new(name, "too_large", message));
            }
            Spooled::Refused(code, message) => errors.push(FieldError::new(name, code, message)),
        }
    }
    if number == 0 {
        errors.push(FieldError::new("files", "required", "Send at least one file."));
    }
    match (errors.is_empty(), too_large) {
        (true, _) => Ok(files),
        (false, false) => Err(Problem::invalid(errors)),
        (false, true) => {
            Err(Problem::new(Kind::TooLarge, "body_too_large", "A file is too large.").and(errors))
        }
    }
}

enum Spooled {
    File(SpooledFile),
    /// Exceeds the maximum size of its format.
    TooLarge(usize),
    Refused(&'static str, &'static str),
}

/// Reads one file to its end. `total` counts the bytes of all.
async fn spool(mut field: Field, directory: &Path, total: &mut usize) -> Result<Spooled, Problem> {
    let disposition = field.content_disposition();
    let sent = disposition.and_then(|all| {
        let extended = all.get_filename_ext().map(|name| String::from_utf8_lossy(&name.value).into_owned());
        extended.or_else(|| all.get_filename().map(str::to_owned))
    });
    let name: String = sent.unwrap_or_default().chars().take(1024).collect();
    let mut spool = Spool::new(directory);
    while let Some(chunk) = field.next().await {
        let chunk: Bytes = chunk.map_err(unreadable)?;
        *total += chunk.len();
        if *total > MAX_TOTAL {
            return Err(too_large_together());
        }
        spool = spool.add(chunk).await?;
    }
    Ok(match AssetType::of_content(&spool.head) {
        Some(format) if spool.size > format.max_bytes() => Spooled::TooLarge(format.max_bytes()),
        Some(format) => Spooled::File(SpooledFile { name, format, spool }),
        None if spool.size == 0 => Spooled::Refused("required", "This file is empty."),
        None if AssetType::is_svg(&spool.head) => {
            Spooled::Refused("svg_refused", "SVG can carry scripts. Send the picture as PNG or WebP.")
        }
        None if spool.size > LARGEST => Spooled::TooLarge(LARGEST),
        None => Spooled::Refused("unknown_format", "Send PNG, JPEG, WebP, GIF or PDF."),
    })
}

/// A file being spooled.
struct Spool {
    directory: std::path::PathBuf,
    file: Option<File>,
    /// Bytes not yet written to the file.
    buffer: Vec<u8>,
    head: Vec<u8>,
    size: usize,
}

impl Spool {
    fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), file: None, buffer: Vec::new(), head: Vec::new(), size: 0 }
    }

    /// Adds a chunk. Of a file that is already too large, only the length is counted.
    async fn add(mut self, chunk: Bytes) -> Result<Self, Problem> {
        self.size += chunk.len();
        let missing = HEAD.saturating_sub(self.head.len()).min(chunk.len());
        self.head.extend_from_slice(&chunk[..missing]);
        if self.size > LARGEST {
            (self.file, self.buffer) = (None, Vec::new());
            return Ok(self);
        }
        self.buffer.extend_from_slice(&chunk);
        if self.buffer.len() < IN_MEMORY {
            return Ok(self);
        }
        let flushed = tokio::task::spawn_blocking(move || self.flush().map(|()| self)).await;
        flushed.map_err(Problem::internal)?.map_err(|error| unavailable(&error))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if self.file.is_none() {
            self.file = Some(tempfile::tempfile_in(&self.directory)?);
        }
        if let Some(file) = &mut self.file {
            file.write_all(&self.buffer)?;
        }
        self.buffer.clear();
        Ok(())
    }

    fn read(self) -> std::io::Result<Vec<u8>> {
        let Some(mut file) = self.file else { return Ok(self.buffer) };
        let mut bytes = Vec::with_capacity(self.size);
        file.seek(SeekFrom::Start(0))?;
        file.read_to_end(&mut bytes)?;
        bytes.extend_from_slice(&self.buffer);
        Ok(bytes)
    }
}

fn unreadable(_: MultipartError) -> Problem {
    Problem::new(Kind::Malformed, "malformed_body", "The form could not be read.")
}

fn too_large_together() -> Problem {
    let detail = format!("All files together may have {} MB at most.", MAX_TOTAL >> 20);
    Problem::new(Kind::TooLarge, "body_too_large", detail)
}

fn unavailable(error: &std::io::Error) -> Problem {
    logging::warn("an upload could not be put aside", error);
    Problem::new(Kind::Unavailable, "unavailable", "Files cannot be stored right now. Try again shortly.")
}
