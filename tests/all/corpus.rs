//! What the fuzzer has kept, replayed: each target on the inputs in `fuzz/corpus`, a line of hexadecimal digits each,
//! and on a few of no form at all.

use std::fs;
use std::path::Path;

use crate::model::targets;
use crate::support::Rng;

fn bytes(line: &str) -> Vec<u8> {
    let pairs = (0..line.len() / 2).map(|n| &line[n * 2..n * 2 + 2]);
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal digits")).collect()
}

fn replay(name: &str) {
    let (_, target) = targets::ALL.iter().find(|(of, _)| *of == name).expect("a target");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fuzz/corpus/{name}.txt"));
    let kept = fs::read_to_string(file).expect("each target has kept inputs");
    assert!(kept.lines().count() > 50, "so few do not show much");
    for line in kept.lines() {
        println!("{line}");
        target(&bytes(line));
    }
    let mut rng = Rng::new(5);
    for _ in 0..20 {
        let input: Vec<u8> = (0..rng.below(300)).map(|_| rng.next() as u8).collect();
        println!("{input:x?}");
        target(&input);
    }
}

macro_rules! replay {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            replay(stringify!($name));
        }
    )*};
}

replay!(heap global arena fixed_buffer layers size_class);
