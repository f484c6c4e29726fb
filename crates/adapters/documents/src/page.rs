//! Pages of text, from the top down.

use pdf_writer::{Content, Finish, Name, Pdf, Rect, Ref, Str, TextStr};
use portico_billing::receipt::Paper;

use crate::widths;

/// Around the text, in points.
const MARGIN: f32 = 56.0;

const REGULAR: Name<'static> = Name(b"F1");
const BOLD: Name<'static> = Name(b"F2");

/// How a text is set.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// In points.
    pub size: f32,
    /// In the bold face.
    pub bold: bool,
    /// From 0, which is black.
    pub gray: f32,
}

/// Pages that are being written. Coordinates are points from the left and the bottom.
pub struct Pages {
    width: f32,
    height: f32,
    done: Vec<Vec<u8>>,
    content: Content,
    /// Where the next line stands.
    y: f32,
}

impl Pages {
    /// The first page, empty.
    pub fn new(paper: Paper) -> Self {
        let (width, height) = match paper {
            Paper::A4 => (595.28, 841.89),
            Paper::Letter => (612.0, 792.0),
        };
        Self { width, height, done: Vec::new(), content: Content::new(), y: height - MARGIN }
    }

    /// The left edge of the text.
    pub const fn left(&self) -> f32 {
        MARGIN
    }

    /// The right edge.
    pub const fn right(&self) -> f32 {
        self.width - MARGIN
    }

    /// Goes down; to the next page where this one has no room for that much more.
    pub fn advance(&mut self, by: f32) {
        self.y -= by;
        // The last line is for the number of the page.
        if self.y < MARGIN + 20.0 {
            let full = std::mem::replace(&mut self.content, Content::new());
            self.done.push(full.finish().into_vec());
            self.y = self.height - MARGIN;
        }
    }

    /// Writes a text that begins at `x`.
    pub fn text(&mut self, x: f32, style: Style, text: &[u8]) {
        let y = self.y;
        set(&mut self.content, (x, y), style, text);
    }

    /// Writes a text that ends at `x`.
    pub fn text_before(&mut self, x: f32, style: Style, text: &[u8]) {
        self.text(x - widths::of(text, style.size), style, text);
    }

    /// Draws a line over the whole width.
    pub fn rule(&mut self) {
        let (left, right, y) = (self.left(), self.right(), self.y);
        self.content.set_stroke_gray(0.75).set_line_width(0.5);
        self.content.move_to(left, y).line_to(right, y).stroke();
    }

    /// The document. `number_of` writes the foot of a page: its number, and how many there are.
    pub fn finish(
        mut self,
        title: &str,
        language: &str,
        number_of: impl Fn(usize, usize) -> Vec<u8>,
    ) -> Vec<u8> {
        let (width, height, right) = (self.width, self.height, self.right());
        self.done.push(self.content.finish().into_vec());
        let mut next = 1;
        let mut fresh = || {
            let id = Ref::new(next);
            next += 1;
            id
        };
        let (catalog, tree, regular, bold, info) = (fresh(), fresh(), fresh(), fresh(), fresh());
        let ids: Vec<(Ref, Ref)> = self.done.iter().map(|_| (fresh(), fresh())).collect();
        let mut pdf = Pdf::new();
        pdf.catalog(catalog).pages(tree).lang(TextStr(language));
        pdf.document_info(info).title(TextStr(title));
        let count = ids.len();
        pdf.pages(tree)
            .kids(ids.iter().map(|(page, _)| *page))
            .count(i32::try_from(count).unwrap_or(i32::MAX));
        for (font, name) in [(regular, Name(b"Helvetica")), (bold, Name(b"Helvetica-Bold"))] {
            pdf.type1_font(font).base_font(name).encoding_predefined(Name(b"WinAnsiEncoding"));
        }
        for (index, ((page, content), bytes)) in ids.into_iter().zip(self.done).enumerate() {
            let mut foot = Content::new();
            let style = Style { size: 8.0, bold: false, gray: 0.45 };
            let text = number_of(index + 1, count);
            set(&mut foot, (right - widths::of(&text, style.size), MARGIN - 16.0), style, &text);
            pdf.stream(content, &[bytes, foot.finish().into_vec()].join(&b'\n'));
            let mut written = pdf.page(page);
            written.media_box(Rect::new(0.0, 0.0, width, height)).parent(tree).contents(content);
            written.resources().fonts().pair(REGULAR, regular).pair(BOLD, bold);
            written.finish();
        }
        pdf.finish()
    }
}

fn set(content: &mut Content, (x, y): (f32, f32), style: Style, text: &[u8]) {
    content.begin_text();
    content.set_font(if style.bold { BOLD } else { REGULAR }, style.size).set_fill_gray(style.gray);
    content.next_line(x, y).show(Str(text));
    content.end_text();
}
