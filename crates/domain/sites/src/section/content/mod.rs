//! What sections contain: one shape for each type, checked and cleaned before it is stored.

mod blocks;
mod fields;
mod lists;

pub use blocks::{ContactContent, CtaContent, HeroContent, HtmlContent, TextContent};
pub use lists::{
    FaqContent, FaqItem, Feature, FeaturesContent, GalleryContent, GalleryImage, PricingContent, PricingPlan,
    Testimonial, TestimonialsContent,
};

use portico_kernel::{FieldError, Violations};
use serde::Serialize;
use serde_json::Value;

use self::fields::read_object;
use super::SectionType;

/// Content of a section, of the shape that its type has. The JSON form is the content alone: the type is next to it.
///
/// Texts are plain unless their name says HTML; HTML is sanitised; links and pictures have passed
/// [`crate::link::link_target`] and [`crate::link::image_source`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum SectionContent {
    /// Large opening block.
    Hero(HeroContent),
    /// Rich text.
    Text(TextContent),
    /// List of strengths or services.
    Features(FeaturesContent),
    /// Pictures.
    Gallery(GalleryContent),
    /// What customers say.
    Testimonials(TestimonialsContent),
    /// Prices.
    Pricing(PricingContent),
    /// Questions and answers.
    Faq(FaqContent),
    /// Contact details.
    Contact(ContactContent),
    /// Call to action.
    Cta(CtaContent),
    /// HTML of the customer's own.
    Html(HtmlContent),
}

impl SectionContent {
    /// Checks and cleans content that a client sent for a section of this type. Errors name everything that is wrong with it,
    /// fields that the type does not have included; `field` is the path of the content in the request.
    pub fn read(kind: SectionType, content: Value, field: &str) -> Result<Self, Vec<FieldError>> {
        let mut violations = Violations::default();
        if content.is_null() {
            violations.add(field, "required", "This field is required.");
        }
        let path = field.to_owned();
        let read = match content {
            Value::Null => None,
            content => read_object(content, path, &mut violations, |fields| match kind {
                SectionType::Hero => Self::Hero(HeroContent::read(fields)),
                SectionType::Text => Self::Text(TextContent::read(fields)),
                SectionType::Features => Self::Features(FeaturesContent::read(fields)),
                SectionType::Gallery => Self::Gallery(GalleryContent::read(fields)),
                SectionType::Testimonials => Self::Testimonials(TestimonialsContent::read(fields)),
                SectionType::Pricing => Self::Pricing(PricingContent::read(fields)),
                SectionType::Faq => Self::Faq(FaqContent::read(fields)),
                SectionType::Contact => Self::Contact(ContactContent::read(fields)),
                SectionType::Cta => Self::Cta(CtaContent::read(fields)),
                SectionType::Html => Self::Html(HtmlContent::read(fields)),
            }),
        };
        violations.into_result()?;
        // Without a violation something was read.
        read.ok_or_else(|| vec![FieldError::new(field, "required", "This field is required.")])
    }

    /// The content of a stored section.
    ///
    /// # Errors
    /// When the stored JSON does not have the shape of the type: a bug, or the database was edited by hand.
    pub fn from_stored(kind: SectionType, content: &Value) -> Result<Self, serde_json::Error> {
        use serde::Deserialize;
        Ok(match kind {
            SectionType::Hero => Self::Hero(HeroContent::deserialize(content)?),
            SectionType::Text => Self::Text(TextContent::deserialize(content)?),
            SectionType::Features => Self::Features(FeaturesContent::deserialize(content)?),
            SectionType::Gallery => Self::Gallery(GalleryContent::deserialize(content)?),
            SectionType::Testimonials => Self::Testimonials(TestimonialsContent::deserialize(content)?),
            SectionType::Pricing => Self::Pricing(PricingContent::deserialize(content)?),
            SectionType::Faq => Self::Faq(FaqContent::deserialize(content)?),
            SectionType::Contact => Self::Contact(ContactContent::deserialize(content)?),
            SectionType::Cta => Self::Cta(CtaContent::deserialize(content)?),
            SectionType::Html => Self::Html(HtmlContent::deserialize(content)?),
        })
    }

    /// The JSON form that is stored.
    pub fn into_json(self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

// By hand: the shapes overlap (a text is also HTML), so this is `anyOf`, where the derived schema would say `oneOf`.
#[cfg(feature = "openapi")]
mod schema {
    use utoipa::{
        PartialSchema, ToSchema,
        openapi::{
            Ref, RefOr,
            schema::{AnyOfBuilder, Schema},
        },
    };

    use super::*;

    impl PartialSchema for SectionContent {
        fn schema() -> RefOr<Schema> {
            AnyOfBuilder::new()
                .description(Some("Content of the shape that the section's type has."))
                .item(Ref::from_schema_name(HeroContent::name()))
                .item(Ref::from_schema_name(TextContent::name()))
                .item(Ref::from_schema_name(FeaturesContent::name()))
                .item(Ref::from_schema_name(GalleryContent::name()))
                .item(Ref::from_schema_name(TestimonialsContent::name()))
                .item(Ref::from_schema_name(PricingContent::name()))
                .item(Ref::from_schema_name(FaqContent::name()))
                .item(Ref::from_schema_name(ContactContent::name()))
                .item(Ref::from_schema_name(CtaContent::name()))
                .item(Ref::from_schema_name(HtmlContent::name()))
                .into()
        }
    }

    impl ToSchema for SectionContent {
        fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
            fn add<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
                schemas.push((T::name().into(), T::schema()));
                T::schemas(schemas);
            }
            add::<HeroContent>(schemas);
            add::<TextContent>(schemas);
            add::<FeaturesContent>(schemas);
            add::<GalleryContent>(schemas);
            add::<TestimonialsContent>(schemas);
            add::<PricingContent>(schemas);
            add::<FaqContent>(schemas);
            add::<ContactContent>(schemas);
            add::<CtaContent>(schemas);
            add::<HtmlContent>(schemas);
        }
    }
}

#[cfg(test)]
mod tests;
