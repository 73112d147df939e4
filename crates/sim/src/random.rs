//! Seeded randomness: a stream small enough to keep one per simulated person, and weighted draws in constant time.

/// A SplitMix64 stream. Eight bytes of state, any value of which is a good seed, so that it can be stored as is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    pub state: u64,
}

const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

impl Stream {
    /// The stream of one thing in one role: streams of different (seed, role, id) are unrelated.
    pub fn of(seed: u64, role: u64, id: u64) -> Self {
        let world = mix(seed.wrapping_add(GOLDEN_GAMMA)) ^ mix(role.wrapping_mul(GOLDEN_GAMMA).wrapping_add(1));
        Self { state: mix(mix(world) ^ mix(id.wrapping_add(GOLDEN_GAMMA)).rotate_left(17)) }
    }

    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN_GAMMA);
        mix(self.state)
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in 0..bound; 0 for an empty range. The bias of the multiplication is below bound / 2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// Log-normal with mean 1 whose logarithm has standard deviation `sigma`.
    pub fn log_normal(&mut self, sigma: f64) -> f64 {
        (sigma * self.normal() - sigma * sigma / 2.0).exp()
    }

    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

/// Weighted draws in constant time (Walker's alias method).
#[derive(Clone, Debug, Default)]
pub struct Alias {
    cells: Vec<Cell>,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    /// Share of the cell, in units of 2^-32, that keeps its own index.
    keep: u64,
    other: u32,
}

const WHOLE: f64 = 4_294_967_296.0;

impl Alias {
    /// `None` when no weight is positive; negative and non-finite weights count as zero.
    pub fn new(weights: &[f64]) -> Option<Self> {
        let usable = |weight: &f64| if weight.is_finite() && *weight > 0.0 { *weight } else { 0.0 };
        let total: f64 = weights.iter().map(usable).sum();
        if total <= 0.0 || !total.is_finite() {
            return None;
        }
        let scale = weights.len() as f64 / total;
        let mut shares: Vec<f64> = weights.iter().map(|weight| usable(weight) * scale).collect();
        let (mut poor, mut rich): (Vec<usize>, Vec<usize>) = (0..shares.len()).partition(|&index| shares[index] < 1.0);
        let mut cells: Vec<Cell> =
            (0..shares.len()).map(|index| Cell { keep: WHOLE as u64, other: index as u32 }).collect();
        while let (Some(small), Some(&large)) = (poor.pop(), rich.last()) {
            cells[small] = Cell { keep: (shares[small] * WHOLE) as u64, other: large as u32 };
            shares[large] -= 1.0 - shares[small];
            if shares[large] < 1.0 {
                rich.pop();
                poor.push(large);
            }
        }
        Some(Self { cells })
    }

    pub fn draw(&self, stream: &mut Stream) -> usize {
        let bits = stream.next_u64();
        let index = (((bits >> 32) * self.cells.len() as u64) >> 32) as usize;
        match self.cells.get(index) {
            Some(cell) if (bits & 0xffff_ffff) < cell.keep => index,
            Some(cell) => cell.other as usize,
            None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alias_draws_follow_the_weights() {
        let weights = [5.0, 0.0, 1.0, 3.0, 1.0];
        let alias = Alias::new(&weights).unwrap();
        let mut stream = Stream::of(1, 2, 3);
        let mut seen = [0u32; 5];
        for _ in 0..100_000 {
            seen[alias.draw(&mut stream)] += 1;
        }
        assert_eq!(seen[1], 0);
        for (count, weight) in seen.iter().zip(weights) {
            assert!((f64::from(*count) / 100_000.0 - weight / 10.0).abs() < 0.008, "{seen:?}");
        }
    }

    #[test]
    fn alias_refuses_weights_that_are_zero_everywhere() {
        assert!(Alias::new(&[0.0, -1.0, f64::NAN]).is_none());
        assert!(Alias::new(&[]).is_none());
    }

    #[test]
    fn moments_of_the_draws_are_those_of_their_distributions() {
        let mut stream = Stream::of(7, 0, 0);
        let mean = |draw: &mut dyn FnMut() -> f64| (0..200_000).map(|_| draw()).sum::<f64>() / 200_000.0;
        assert!((mean(&mut || stream.exponential(90.0)) - 90.0).abs() < 1.0);
        assert!((mean(&mut || stream.log_normal(1.0)) - 1.0).abs() < 0.03);
        assert!(mean(&mut || stream.normal()).abs() < 0.01);
    }

    #[test]
    fn streams_of_neighbours_are_unrelated() {
        let first: Vec<u64> = (0..1_000).map(|id| Stream::of(1, 0, id).next_u64() >> 63).collect();
        let ones: u64 = first.iter().sum();
        assert!((400..600).contains(&ones));
        assert_ne!(Stream::of(1, 0, 1), Stream::of(1, 1, 0));
        assert_ne!(Stream::of(1, 0, 1), Stream::of(2, 0, 1));
    }
}
