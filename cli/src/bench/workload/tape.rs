//! Random choices made before the clock starts.

/// The generator of the suite: small, fast, and the same sequence for every contender.
pub(crate) type Rng = fastrand::Rng;

/// Steps on a tape: long enough that no allocator learns it, short enough to stay in a cache.
const LENGTH: usize = 1 << 15;

/// What to do next: to which slot, with how many bytes.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    pub(crate) slot: u32,
    pub(crate) size: u32,
}

/// An endless loop of random steps, drawn once.
pub(crate) struct Tape {
    steps: Box<[Step; LENGTH]>,
}

impl Tape {
    /// Draws a tape: `slot` and `size` are asked once per step.
    pub(crate) fn draw(
        seed: u64,
        mut slot: impl FnMut(&mut Rng) -> usize,
        mut size: impl FnMut(&mut Rng) -> usize,
    ) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut steps = Box::new([Step { slot: 0, size: 0 }; LENGTH]);
        for step in steps.iter_mut() {
            step.slot = slot(&mut rng) as u32;
            step.size = size(&mut rng) as u32;
        }
        Self { steps }
    }

    /// The steps for thread `member`: each starts elsewhere on the tape.
    pub(crate) fn reader(&self, member: usize) -> Reader<'_> {
        Reader { steps: &self.steps, at: member.wrapping_mul(7919) }
    }
}

/// A place on a tape.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    steps: &'a [Step; LENGTH],
    at: usize,
}

impl Reader<'_> {
    /// The next step; there always is one.
    #[inline(always)]
    pub(crate) fn step(&mut self) -> Step {
        let step = self.steps[self.at % LENGTH];
        self.at = self.at.wrapping_add(1);
        step
    }
}

/// Distributions of sizes, in bytes.
pub(crate) mod sizes {
    use super::Rng;

    /// Every size equally often.
    pub(crate) fn uniform(rng: &mut Rng, min: usize, max: usize) -> usize {
        rng.usize(min..=max)
    }

    /// Every power of two equally often: most blocks small, most bytes in large blocks.
    pub(crate) fn log_uniform(rng: &mut Rng, min: usize, max: usize) -> usize {
        let (low, high) = ((min as f64).ln(), (max as f64).ln());
        let size = (low + (high - low) * rng.f64()).exp();
        (size as usize).clamp(min, max)
    }

    /// Falling off linearly, from common at `min` to never at `max`.
    pub(crate) fn falling(rng: &mut Rng, min: usize, max: usize) -> usize {
        let share = 1.0 - rng.f64().sqrt();
        min + (share * (max - min) as f64) as usize
    }

    /// As common as the inverse of their square.
    pub(crate) fn inverse_square(rng: &mut Rng, min: usize, max: usize) -> usize {
        let (low, high) = (1.0 / max as f64, 1.0 / min as f64);
        let size = 1.0 / (low + (high - low) * rng.f64());
        (size as usize).clamp(min, max)
    }

    /// `min`, or with even odds twice as much, and so on up to `max`; evenly spread between the powers.
    pub(crate) fn geometric(rng: &mut Rng, min: usize, max: usize) -> usize {
        let mut size = min;
        while size < max && rng.bool() {
            size *= 2;
        }
        (size + rng.usize(0..size)).clamp(min, max)
    }
}
