//! The ways to cut chips for a network that only its user knows, by name.

use super::{Aligner, BoxAligner, Template};

/// How the chips of a network are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alignment {
    /// By five points, to the places of ArcFace's training chips; 112x112.
    ArcFace,
    /// By five points, to the places of SphereFace's training chips; 96x112.
    SphereFace,
    /// By five points, to the places of retail-0095's training chips; 128x128.
    Retail0095,
    /// The box in its proportions, with black bars; any size.
    Box,
    /// The box stretched to the chip; any size.
    Stretch,
}

impl Alignment {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::ArcFace, Self::SphereFace, Self::Retail0095, Self::Box, Self::Stretch];

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|alignment| alignment.name() == name)
    }

    /// Its name in options, records and the catalogue.
    pub fn name(self) -> &'static str {
        match self {
            Self::ArcFace => "arcface",
            Self::SphereFace => "sphereface",
            Self::Retail0095 => "retail-0095",
            Self::Box => "box",
            Self::Stretch => "stretch",
        }
    }

    /// What is likely right for chips of this width and height.
    pub fn of_size(size: [u32; 2]) -> Self {
        let fits = |alignment: &Self| alignment.template().is_some_and(|t| t.size() == size);
        Self::ALL.into_iter().find(fits).unwrap_or(Self::Box)
    }

    /// The aligner for chips of this width and height; `None` where it cuts another size.
    pub fn aligner(self, size: [u32; 2]) -> Option<Box<dyn Aligner>> {
        let [width, height] = size;
        match (self.template(), self) {
            (Some(template), _) if template.size() == size => Some(Box::new(template)),
            (Some(_), _) => None,
            (None, Self::Stretch) => Some(Box::new(BoxAligner::stretched(width, height))),
            (None, _) => Some(Box::new(BoxAligner::padded(width, height))),
        }
    }

    fn template(self) -> Option<Template> {
        match self {
            Self::ArcFace => Some(Template::ARCFACE),
            Self::SphereFace => Some(Template::SPHEREFACE),
            Self::Retail0095 => Some(Template::RETAIL_0095_BY_MTCNN),
            Self::Box | Self::Stretch => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_its_aligner_and_a_template_fits_one_size() {
        let name = |alignment: Alignment, size| {
            alignment.aligner(size).map(|aligner| aligner.name().to_owned())
        };
        for (alignment, size, wanted) in [
            ("arcface", [112, 112], "arcface-5-point-112"),
            ("sphereface", [96, 112], "sphereface-5-point-96x112"),
            ("retail-0095", [128, 128], "retail-0095-mtcnn-128"),
            ("box", [12, 20], "box-padded-12x20"),
            ("stretch", [12, 20], "box-stretched-12x20"),
        ] {
            let alignment = Alignment::named(alignment).unwrap();
            assert_eq!(name(alignment, size).as_deref(), Some(wanted));
        }
        assert_eq!(name(Alignment::ArcFace, [112, 96]), None);
        assert_eq!(Alignment::named("other"), None);
        let sizes = [[112, 112], [96, 112], [128, 128], [160, 160]];
        let likely = [Alignment::ArcFace, Alignment::SphereFace, Alignment::Retail0095];
        assert_eq!(sizes.map(Alignment::of_size)[..3], likely);
        assert_eq!(Alignment::of_size(sizes[3]), Alignment::Box);
    }
}
