//! Rayon: workers that never end, jobs that are stolen in the middle of everything.

use std::collections::HashMap;
use std::sync::Mutex;

use rayon::prelude::*;

#[test]
fn jobs_build_and_merge_maps() {
    let merged = (0..40_000_u64)
        .into_par_iter()
        .fold(HashMap::<u64, Vec<String>>::new, |mut map, n| {
            map.entry(n % 512).or_default().push(n.to_string());
            map
        })
        .reduce(HashMap::new, |mut left, right| {
            for (key, mut values) in right {
                left.entry(key).or_default().append(&mut values);
            }
            left
        });
    assert_eq!(merged.len(), 512);
    let sum: u64 =
        merged.par_iter().flat_map(|(_, texts)| texts).map(|text| text.parse::<u64>().unwrap()).sum();
    assert_eq!(sum, 39_999 * 20_000);
    // Torn down by other workers than the ones that built it.
    merged.into_par_iter().for_each(drop);
}

/// A job that waits for another runs a third one meanwhile, on the same thread, wherever it is.
#[test]
fn stolen_jobs_allocate_between_those_of_their_thief() {
    fn tree(depth: usize) -> Vec<Box<[u8]>> {
        let mine = vec![depth as u8; 10 << depth].into_boxed_slice();
        if depth == 0 {
            return vec![mine];
        }
        let (mut left, right) = rayon::join(|| tree(depth - 1), || tree(depth - 1));
        left.push(mine);
        left.extend(right);
        left
    }
    let trees: Vec<_> = (0..16).into_par_iter().map(|_| tree(7)).collect();
    for leaves in trees {
        assert_eq!(leaves.len(), 255);
        assert!(leaves.iter().all(|leaf| leaf.iter().all(|&byte| leaf.len() == 10 << byte)));
    }
}

#[test]
fn sorting_and_strings_in_parallel() {
    let mut texts: Vec<String> =
        (0..20_000).into_par_iter().map(|n| format!("{:05}", (n * 7919) % 20_000)).collect();
    texts.par_sort();
    assert!(texts.par_iter().enumerate().all(|(n, text)| text.parse() == Ok(n)));
    let joined: String = texts.par_iter().map(String::as_str).collect();
    assert_eq!(joined.len(), 100_000);
}

/// Pools come and go, and with them their threads; what they leave is used by the next.
#[test]
fn pools_come_and_go() {
    let kept = Mutex::new(Vec::new());
    for round in 0..20 {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("threads");
        pool.install(|| {
            (0..300).into_par_iter().for_each(|n| {
                let text = "ab".repeat(n + round);
                let mut kept = kept.lock().expect("nobody panics");
                kept.push(text);
                if n % 2 == 0 {
                    let any = n % kept.len();
                    kept.swap_remove(any);
                }
            });
        });
        let left = std::mem::take(&mut *kept.lock().expect("nobody panics"));
        assert!(left.iter().all(|text| text.len() % 2 == 0 && text.starts_with("ab") || text.is_empty()));
    }
}
