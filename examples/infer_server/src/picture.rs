//! From the bytes of a PNG to what a model sees. Whoever may write to the root may have put anything there.

use std::io::Cursor;

use png::{DecodeOptions, Decoder, DecodingError, Transformations};

use crate::{refusal::Refusal, scaling::Scaling};

/// Brightness from 0 (black) to 1 (white) of 28 rows of 28 pixels: a white digit on black.
pub type Picture = [f32; SIDE * SIDE];

pub const SIDE: usize = 28;

/// What a picture may cost.
pub struct Limits {
    pub bytes: u64,
    /// In pixels, each way.
    pub side: u32,
}

/// What takes a millisecond at most.
pub const SMALL: Limits = Limits { bytes: 64 << 10, side: 256 };
/// What takes some tens of milliseconds.
pub const LARGE: Limits = Limits { bytes: 4 << 20, side: 2048 };

/// What the decoder may allocate for a file that wants more: a row at a time is all we need.
const MEMORY: usize = 1 << 20;

/// Decodes a row at a time, so that memory grows with the width only, whatever the header says.
pub fn decode(png: &[u8], limits: &Limits) -> Result<Picture, Refusal> {
    let mut decoder = Decoder::new_with_options(Cursor::new(png), pixels_only());
    decoder.set_limits(png::Limits { bytes: MEMORY });
    decoder.set_transformations(Transformations::normalize_to_color8());
    let header = decoder.read_header_info()?;
    let (width, height) = (header.width, header.height);
    if width.max(height) > limits.side {
        return Err(Refusal::TooLarge(format!(
            "{width}x{height} pixels of at most {} each way",
            limits.side
        )));
    }
    if header.interlaced {
        return Err(Refusal::Unreadable("it is interlaced".into()));
    }
    let mut rows = decoder.read_info()?;
    let samples = rows.output_color_type().0.samples();
    let mut scaling = Scaling::new(width, height);
    while let Some(row) = rows.next_row()? {
        scaling.add(row.data().chunks_exact(samples).map(brightness));
    }
    Ok(scaling.finish())
}

/// Texts and profiles may be compressed, and are not looked at.
fn pixels_only() -> DecodeOptions {
    let mut options = DecodeOptions::default();
    options.set_ignore_text_chunk(true);
    options.set_ignore_iccp_chunk(true);
    options
}

/// Grey, grey and opacity, colours, or colours and opacity. Behind what is transparent it is black.
fn brightness(pixel: &[u8]) -> u8 {
    let grey = |[red, green, blue]: [u8; 3]| {
        ((299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue) + 500) / 1000) as u8
    };
    let behind = |value: u8, opacity: u8| ((u32::from(value) * u32::from(opacity) + 127) / 255) as u8;
    match *pixel {
        [value] => value,
        [value, opacity] => behind(value, opacity),
        [red, green, blue] => grey([red, green, blue]),
        [red, green, blue, opacity] => behind(grey([red, green, blue]), opacity),
        _ => 0,
    }
}

impl From<DecodingError> for Refusal {
    fn from(error: DecodingError) -> Self {
        Self::Unreadable(error.to_string())
    }
}
