//! Scaling by area (a box filter): each pixel gives to each cell of the small picture what of it lies in there.

use crate::picture::{Picture, SIDE};

/// A picture that is being made, row by row.
///
/// Measured in a `SIDE`th of a pixel, pixel `i` reaches from `SIDE * i` on, and cell `i` from `i` times the width on.
/// Everything is a whole number then, and a picture of 28 by 28 pixels comes out as it went in.
pub struct Scaling {
    width: usize,
    height: usize,
    row: usize,
    /// For each cell, brightness times area. That of white, 255 x 2048 x 2048, fits.
    sums: [u32; SIDE * SIDE],
}

impl Scaling {
    pub fn new(width: u32, height: u32) -> Self {
        Self { width: width as usize, height: height as usize, row: 0, sums: [0; SIDE * SIDE] }
    }

    pub fn add(&mut self, pixels: impl Iterator<Item = u8>) {
        let mut across = [0; SIDE];
        for (column, value) in pixels.take(self.width).enumerate() {
            for (cell, share) in shares(column, self.width) {
                across[cell] += share * u32::from(value);
            }
        }
        for (cell, share) in shares(self.row, self.height) {
            for (sum, value) in self.sums[cell * SIDE..][..SIDE].iter_mut().zip(across) {
                *sum += share * value;
            }
        }
        self.row += 1;
    }

    pub fn finish(self) -> Picture {
        let white = (255 * self.width * self.height) as f32;
        self.sums.map(|sum| sum as f32 / white)
    }
}

/// In which cells pixel `at` lies, and how much of it, if there are `of` pixels.
fn shares(at: usize, of: usize) -> impl Iterator<Item = (usize, u32)> {
    let (begin, end) = (SIDE * at, SIDE * (at + 1));
    (begin / of..SIDE).take_while(move |cell| cell * of < end).map(move |cell| {
        let share = end.min((cell + 1) * of) - begin.max(cell * of);
        (cell, share as u32)
    })
}
