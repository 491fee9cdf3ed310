//! What the models are made of.

/// The side of a convolution's kernel.
const KERNEL: usize = 5;

/// A dense layer, or what a convolution does at each place. The weights are read when the program is compiled.
pub struct Layer<const IN: usize, const OUT: usize> {
    weights: [[f32; OUT]; IN],
    biases: [f32; OUT],
}

/// A square of features.
pub struct Features {
    pub side: usize,
    pub channels: usize,
    /// By row, column and channel.
    pub values: Vec<f32>,
}

impl<const IN: usize, const OUT: usize> Layer<IN, OUT> {
    /// In the file: weights by input and output, then biases.
    pub const BYTES: usize = 4 * (IN + 1) * OUT;

    /// From a file as train.py writes it: f32, little-endian.
    pub const fn read(file: &[u8], begin: usize) -> Self {
        let mut layer = Self { weights: [[0.0; OUT]; IN], biases: [0.0; OUT] };
        let mut i = 0;
        while i < (IN + 1) * OUT {
            let at = begin + 4 * i;
            let value = f32::from_le_bytes([file[at], file[at + 1], file[at + 2], file[at + 3]]);
            if i / OUT < IN {
                layer.weights[i / OUT][i % OUT] = value;
            } else {
                layer.biases[i % OUT] = value;
            }
            i += 1;
        }
        layer
    }

    pub fn dense(&self, inputs: &[f32]) -> [f32; OUT] {
        let mut sums = self.biases;
        accumulate(&mut sums, inputs, &self.weights);
        sums
    }

    /// A convolution, what is positive of it, and of that the largest of each four.
    pub fn convolve(&self, from: &Features) -> Features {
        let side = (from.side + 1 - KERNEL) / 2;
        let mut values = Vec::with_capacity(side * side * OUT);
        for row in 0..side {
            for column in 0..side {
                let mut largest = [0.0; OUT];
                for (down, right) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                    let found = self.at(from, 2 * row + down, 2 * column + right);
                    largest =
                        std::array::from_fn(|i| if found[i] > largest[i] { found[i] } else { largest[i] });
                }
                values.extend_from_slice(&largest);
            }
        }
        Features { side, channels: OUT, values }
    }

    /// With the kernel's corner at this place.
    fn at(&self, from: &Features, row: usize, column: usize) -> [f32; OUT] {
        let mut sums = self.biases;
        let across = KERNEL * from.channels;
        for (i, weights) in self.weights.chunks_exact(across).enumerate() {
            let begin = ((row + i) * from.side + column) * from.channels;
            accumulate(&mut sums, &from.values[begin..begin + across], weights);
        }
        sums
    }
}

/// The outputs are the inner loop, which the compiler does many at a time.
#[inline]
fn accumulate<const OUT: usize>(sums: &mut [f32; OUT], inputs: &[f32], weights: &[[f32; OUT]]) {
    for (input, weights) in inputs.iter().zip(weights) {
        for (sum, weight) in sums.iter_mut().zip(weights) {
            *sum += input * weight;
        }
    }
}
