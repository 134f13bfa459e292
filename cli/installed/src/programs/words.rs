//! Text as people write it: few words often, many seldom.

use fastrand::Rng;

const SYLLABLES: [&str; 24] = [
    "ba", "ter", "lo", "min", "ka", "ver", "to", "sel", "ri", "mo", "dan", "pel", "ga", "nor", "fi", "tu",
    "lan", "os", "be", "rin", "sa", "du", "mel", "ot",
];

/// A language of its own.
pub(crate) struct Words {
    words: Vec<String>,
    rng: Rng,
}

impl Words {
    /// `count` different words or a little fewer.
    pub(crate) fn new(seed: u64, count: usize) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut words: Vec<String> = (0..count)
            .map(|_| (0..rng.usize(1..=4)).map(|_| SYLLABLES[rng.usize(..SYLLABLES.len())]).collect())
            .collect();
        words.sort_unstable();
        words.dedup();
        rng.shuffle(&mut words);
        Self { words, rng }
    }

    /// A word: the one at place `n` about as often as `1 / n`.
    pub(crate) fn word(&mut self) -> &str {
        let place = (self.words.len() as f64).powf(self.rng.f64()) as usize;
        &self.words[place.min(self.words.len()) - 1]
    }

    /// `count` words with spaces between them.
    pub(crate) fn sentence(&mut self, count: usize) -> String {
        let mut text = String::new();
        for _ in 0..count {
            text.push_str(self.word());
            text.push(' ');
        }
        text
    }

    pub(crate) fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }
}
