//! hashbrown's and allocator-api2's collections on every handle, from several threads.

use std::collections::BTreeMap;
use std::thread;

use blockyard::allocator_api2::alloc::Allocator;
use blockyard::allocator_api2::boxed::Box as HeapBox;
use blockyard::allocator_api2::vec::Vec as HeapVec;
use blockyard::{Global, Heap};
use hashbrown::{DefaultHashBuilder, HashMap, HashSet};

use crate::support::reconcile::assert_empty;
use crate::support::{Rng, team};

type Map<K, V, A> = HashMap<K, V, DefaultHashBuilder, A>;

/// Random changes to a map, next to the same changes to one of std's.
fn random_map<A: Allocator + Clone>(allocator: &A, seed: u64) -> Map<u64, HeapVec<u64, A>, A> {
    let mut rng = Rng::new(seed);
    let mut map: Map<u64, HeapVec<u64, A>, A> = HashMap::new_in(allocator.clone());
    let mut model = BTreeMap::<u64, Vec<u64>>::new();
    for _ in 0..3000 {
        let key = rng.next() % 200;
        match rng.below(8) {
            0 => assert_eq!(map.remove(&key).is_some(), model.remove(&key).is_some()),
            1 => {
                if let Some(values) = map.get_mut(&key) {
                    values.truncate(3);
                    values.shrink_to_fit();
                    model.get_mut(&key).expect("the model has it too").truncate(3);
                }
            }
            _ => {
                let value = rng.next();
                map.entry(key).or_insert_with(|| HeapVec::new_in(allocator.clone())).push(value);
                model.entry(key).or_default().push(value);
            }
        }
    }
    map.shrink_to_fit();
    assert_eq!(map.len(), model.len());
    assert!(map.iter().all(|(key, values)| model[key] == values.as_slice()));
    map
}

fn sum<A: Allocator>(map: &Map<u64, HeapVec<u64, A>, A>) -> u64 {
    map.values().flat_map(|values| values.iter()).fold(0, |sum, &value| sum.wrapping_add(value))
}

#[test]
fn maps_grow_on_many_threads_and_go_on_one() {
    let heap = Heap::new();
    let maps: Vec<_> = thread::scope(|scope| {
        let heap = &heap;
        let threads: Vec<_> = (0..4).map(|seed| scope.spawn(move || random_map(&heap, seed))).collect();
        threads.into_iter().map(|thread| thread.join().expect("map and model agree")).collect()
    });
    for (seed, map) in maps.iter().enumerate() {
        assert_eq!(sum(map), sum(&random_map(&&heap, seed as u64)));
    }
    assert!(heap.stats().blocks.live() >= 4 * 100);
    drop(maps);
    heap.collect();
    assert_empty(&heap.stats());
}

#[test]
fn maps_grow_in_local_heaps() {
    let heap = Heap::new();
    team(|scope| {
        for seed in 0..4 {
            let heap = &heap;
            scope.spawn(move || {
                let local = heap.local();
                assert_eq!(sum(&random_map(&local, seed)), sum(&random_map(&Global, seed)));
            });
        }
    });
    assert_eq!(heap.stats().blocks.live(), 0);
}

#[test]
fn one_map_is_read_by_all_and_torn_apart_by_all() {
    let heap = Heap::new();
    let mut map: Map<u32, HeapBox<[u32], &Heap>, &Heap> = HashMap::new_in(&heap);
    for n in 0..4000 {
        let mut values = HeapVec::with_capacity_in(n as usize % 50, &heap);
        values.extend(0..n % 50);
        map.insert(n, values.into_boxed_slice());
    }
    team(|scope| {
        for first in 0..4 {
            let map = &map;
            scope.spawn(move || {
                for n in (first..4000).step_by(4) {
                    assert!(map[&n].iter().copied().eq(0..n % 50));
                }
            });
        }
    });
    let mut entries = HeapVec::new_in(&heap);
    entries.extend(map);
    team(|scope| {
        for _ in 0..4 {
            let mut part = entries.split_off(entries.len() - 1000);
            scope.spawn(move || {
                part.sort_unstable_by_key(|entry| entry.0);
                drop(part);
            });
        }
    });
    drop(entries);
    heap.collect();
    assert_empty(&heap.stats());
}

#[test]
fn sets_and_boxes_and_nothing_at_all() {
    let heap = Heap::new();
    let mut words: HashSet<&str, DefaultHashBuilder, &Heap> = HashSet::new_in(&heap);
    words.extend(include_str!("main.rs").split_whitespace());
    assert!(words.contains("mod"));

    // No bytes, and no block for them.
    let before = heap.stats().blocks.allocated;
    let units = HeapBox::new_in([(); 100], &heap);
    let none: HeapVec<u64, &Heap> = HeapVec::new_in(&heap);
    assert_eq!((units.len(), none.len(), heap.stats().blocks.allocated), (100, 0, before));

    #[repr(align(4096))]
    struct Page([u8; 4096]);
    let mut pages = HeapVec::new_in(heap.local());
    pages.extend((0..20).map(|n| Page([n; 4096])));
    for (n, page) in pages.iter().enumerate() {
        assert_eq!(std::ptr::from_ref(page).addr() % 4096, 0);
        assert!(page.0.iter().all(|&byte| usize::from(byte) == n));
    }
}

#[test]
fn handles_of_one_heap_free_for_each_other() {
    let heap = Heap::new();
    let local = heap.local();
    let made: Vec<_> = (0..100).map(|n| HeapBox::into_raw(HeapBox::new_in(n, local.clone()))).collect();
    for (n, pointer) in made.into_iter().enumerate() {
        // SAFETY: the block is the heap's, by whichever of its handles it was made.
        let back = unsafe { HeapBox::from_raw_in(pointer, &heap) };
        assert_eq!(*back, n);
    }
    assert_empty(&heap.stats());
}
