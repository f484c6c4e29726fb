//! Uploaded images for the templates: one URL for each width, and the dimensions, so that the layout does not shift while
//! they load.

use std::collections::BTreeMap;

use portico_kernel::AssetId;
use portico_sites::{
    ports::SitePicture,
    section::{content::SectionContent, pictures_in},
};
use serde::Serialize;

/// The width for browsers without `srcset`.
const USUAL_WIDTH: u32 = 1280;

/// An uploaded image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PictureView {
    /// URL for browsers without `srcset`.
    src: String,
    /// Every width with its URL; absent where there is one only.
    srcset: Option<String>,
    width: u32,
    height: u32,
    alt: Option<String>,
    /// Media type of the files.
    content_type: String,
}

impl PictureView {
    /// `None` for an image without files, which cannot be shown.
    pub fn new(picture: &SitePicture) -> Option<Self> {
        let usual = picture.sources.iter().find(|source| source.width >= USUAL_WIDTH);
        let usual = usual.or(picture.sources.last())?;
        let widths = picture.sources.iter().map(|source| format!("/{} {}w", source.path, source.width));
        Some(Self {
            src: format!("/{}", usual.path),
            srcset: (picture.sources.len() > 1).then(|| widths.collect::<Vec<_>>().join(", ")),
            width: picture.width,
            height: picture.height,
            alt: picture.alt.clone(),
            content_type: usual.content_type.clone(),
        })
    }

    /// URL of one of its files.
    pub fn src(&self) -> &str {
        &self.src
    }
}

/// The uploaded images that content refers to, by the id of their asset. References to missing images are removed from the
/// content, and so are the images of a gallery that have no other URL.
pub fn take(
    content: &mut SectionContent,
    pictures: &BTreeMap<AssetId, SitePicture>,
) -> BTreeMap<AssetId, PictureView> {
    let named = pictures_in(content).into_iter();
    let found: BTreeMap<AssetId, PictureView> =
        named.filter_map(|(_, id)| Some((id, PictureView::new(pictures.get(&id)?)?))).collect();
    let keep = |id: &mut Option<AssetId>| *id = id.filter(|id| found.contains_key(id));
    match content {
        SectionContent::Hero(hero) => keep(&mut hero.image_asset_id),
        SectionContent::Gallery(gallery) => gallery.images.retain_mut(|image| {
            keep(&mut image.image_asset_id);
            image.image_asset_id.is_some() || !image.url.is_empty()
        }),
        SectionContent::Features(features) => {
            features.items.iter_mut().for_each(|item| keep(&mut item.image_asset_id));
        }
        SectionContent::Testimonials(testimonials) => {
            testimonials.items.iter_mut().for_each(|item| keep(&mut item.image_asset_id));
        }
        _ => {}
    }
    found
}

#[cfg(test)]
mod tests {
    use portico_sites::{
        ports::PictureSource,
        section::content::{GalleryContent, GalleryImage},
    };

    use super::*;

    fn picture(widths: &[u32]) -> SitePicture {
        let source = |width: &u32| PictureSource {
            width: *width,
            path: format!("assets/{width}.webp"),
            content_type: "image/webp".to_owned(),
        };
        SitePicture { width: 3000, height: 2000, alt: None, sources: widths.iter().map(source).collect() }
    }

    #[test]
    fn browsers_choose_a_width() {
        let view = PictureView::new(&picture(&[320, 1280, 1920])).unwrap();
        assert_eq!(view.src(), "/assets/1280.webp");
        let all = "/assets/320.webp 320w, /assets/1280.webp 1280w, /assets/1920.webp 1920w";
        assert_eq!(view.srcset.as_deref(), Some(all));
        let small = PictureView::new(&picture(&[200])).unwrap();
        assert_eq!((small.src(), &small.srcset), ("/assets/200.webp", &None));
        assert_eq!(PictureView::new(&picture(&[])), None);
    }

    #[test]
    fn what_is_gone_leaves_no_hole() {
        let id = |text: &str| Some(text.parse().unwrap());
        let (here, gone) =
            (id("0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d"), id("0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4e"));
        let image = |image_asset_id: Option<AssetId>, url: &str| GalleryImage {
            image_asset_id,
            url: url.to_owned(),
            ..GalleryImage::default()
        };
        let images = vec![image(here, ""), image(gone, ""), image(gone, "/a.png"), image(None, "/b.png")];
        let mut content = SectionContent::Gallery(GalleryContent { heading: None, images });
        let pictures = here.map(|id| (id, picture(&[320]))).into_iter().collect();
        assert_eq!(take(&mut content, &pictures).len(), 1);
        let SectionContent::Gallery(gallery) = content else { panic!() };
        let left: Vec<_> =
            gallery.images.iter().map(|image| (image.image_asset_id, image.url.as_str())).collect();
        assert_eq!(left, [(here, ""), (None, "/a.png"), (None, "/b.png")]);
    }
}
