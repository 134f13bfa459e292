//! std's and hashbrown's collections.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, LinkedList, VecDeque};
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::thread;

#[test]
fn collections_of_std_agree() {
    let numbers: Vec<u64> = (0..20_000).map(|n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40).collect();
    let mut sorted = numbers.clone();
    sorted.sort_unstable();
    let heap: BinaryHeap<u64> = numbers.iter().copied().collect();
    assert_eq!(heap.into_sorted_vec(), sorted);
    let tree: BTreeSet<u64> = numbers.iter().copied().collect();
    sorted.dedup();
    assert!(tree.iter().eq(&sorted));
    let list: LinkedList<u64> = numbers.iter().copied().collect();
    let mut ring: VecDeque<u64> = list.into_iter().collect();
    ring.rotate_left(777);
    ring.rotate_right(777);
    assert!(ring.iter().eq(&numbers));
    let words: BTreeMap<String, Rc<str>> =
        numbers.iter().map(|n| (format!("{n:x}"), Rc::from(n.to_string()))).collect();
    assert!(words.iter().all(|(hex, decimal)| u64::from_str_radix(hex, 16) == decimal.parse()));
}

#[test]
fn maps_of_hashbrown_and_std_agree() {
    let mut ours = hashbrown::HashMap::<String, Vec<usize>>::new();
    let mut theirs = HashMap::<String, Vec<usize>>::new();
    for n in 0..20_000_usize {
        let key = (n * n % 1009).to_string();
        ours.entry(key.clone()).or_default().push(n);
        theirs.entry(key.clone()).or_default().push(n);
        if n % 7 == 0 {
            assert_eq!(ours.remove(&key), theirs.remove(&key));
        }
    }
    assert_eq!(ours.len(), theirs.len());
    assert!(ours.iter().all(|(key, numbers)| theirs[key] == *numbers));
}

#[test]
fn values_go_from_thread_to_thread() {
    let shared: Arc<Vec<String>> = Arc::new((0..100).map(|n| "x".repeat(n * 37)).collect());
    let (send, inbox) = mpsc::channel::<(usize, String)>();
    thread::scope(|scope| {
        for n in 0..4 {
            let (send, shared) = (send.clone(), shared.clone());
            scope.spawn(move || {
                for (at, text) in shared.iter().enumerate().skip(n).cycle().take(1000) {
                    send.send((at, text.clone())).expect("somebody listens");
                }
            });
        }
        drop(send);
        let mut received = inbox.into_iter().collect::<Vec<_>>();
        assert_eq!(received.len(), 4000);
        let half = received.split_off(2000);
        for part in [received, half] {
            let shared = shared.clone();
            scope.spawn(move || assert!(part.into_iter().all(|(at, text)| text == shared[at])));
        }
    });
}

#[test]
fn large_values_are_moved_and_zeroed() {
    let mut bytes = vec![0_u8; 3 << 20];
    assert!(bytes.iter().step_by(1000).all(|&byte| byte == 0));
    bytes.fill(9);
    for size in [4 << 20, 9 << 20, 100 << 10, 1 << 10, 1 << 20] {
        bytes.resize(size, 9);
        bytes.shrink_to_fit();
        assert!(bytes.iter().step_by(500).all(|&byte| byte == 9));
    }
    drop(bytes);
    let zeroed = vec![0_u64; 1 << 17];
    assert!(zeroed.iter().step_by(100).all(|&word| word == 0));
    assert!(Vec::<u8>::new().try_reserve(isize::MAX as usize).is_err());
}
