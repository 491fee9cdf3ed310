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

#[cfg(test)]
mod tests {
    use super::*;

    fn scaled(width: u32, height: u32, value: impl Fn(u32, u32) -> u8) -> Picture {
        let mut scaling = Scaling::new(width, height);
        (0..height).for_each(|row| scaling.add((0..width).map(|column| value(row, column))));
        scaling.finish()
    }

    #[test]
    fn every_cell_gets_its_whole_area_whatever_the_size() {
        for (width, height) in [(1, 1), (3, 28), (27, 29), (28, 28), (100, 41), (255, 2), (2048, 2048)] {
            let white = scaled(width, height, |_, _| 255);
            assert!(white.iter().all(|cell| *cell == 1.0), "{width}x{height}");
            assert!(scaled(width, height, |_, _| 0).iter().all(|cell| *cell == 0.0));
        }
    }

    #[test]
    fn a_pixel_in_two_cells_is_shared_between_them() {
        // Of 42 pixels the second lies half in the first cell and half in the second.
        let picture = scaled(42, 28, |row, column| if (row, column) == (3, 1) { 255 } else { 0 });
        let found: Vec<usize> = (0..SIDE * SIDE).filter(|cell| picture[*cell] > 0.0).collect();
        assert_eq!(found, [3 * SIDE, 3 * SIDE + 1]);
        assert!(found.iter().all(|cell| (picture[*cell] - 1.0 / 3.0).abs() < 1e-6), "{picture:?}");
    }

    #[test]
    fn a_picture_of_the_right_size_comes_out_as_it_went_in() {
        let value = |row: u32, column: u32| (row * 9 + column) as u8;
        let picture = scaled(28, 28, value);
        for (cell, brightness) in (0..).zip(picture) {
            assert!((brightness - f32::from(value(cell / 28, cell % 28)) / 255.0).abs() < 1e-6);
        }
    }
}
