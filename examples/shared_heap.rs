//! One heap for many threads: `&Heap` in hashbrown and allocator-api2 collections, and what `stats`
//! says about it.

use std::sync::Barrier;

use blockyard::allocator_api2::{boxed::Box, vec::Vec};
use blockyard::{BuildError, Heap, ThreadState};
use hashbrown::{DefaultHashBuilder, HashMap};

/// Word to the numbers of the lines it is in.
type Index<'heap> = HashMap<&'static str, Vec<usize, &'heap Heap>, DefaultHashBuilder, &'heap Heap>;

const TEXT: &str = "a block is what a caller gets
a chunk is a run of blocks
a segment is cut into chunks
a heap is all of a thread and of another thread";

/// Every `threads`th line from `first` on.
fn index(heap: &Heap, first: usize, threads: usize) -> Index<'_> {
    let mut index = HashMap::new_in(heap);
    for (number, line) in TEXT.lines().enumerate().skip(first).step_by(threads) {
        for word in line.split(' ') {
            index.entry(word).or_insert_with(|| Vec::new_in(heap)).push(number);
        }
    }
    index
}

pub(crate) fn main() -> Result<(), BuildError> {
    let heap = Heap::builder().name("index").limit(64 << 20).build()?;

    // Each thread builds its part from its own blocks; this thread merges the parts, and frees
    // what the others allocated. Those blocks go home to their threads' chunks.
    let threads = 4;
    let together = Barrier::new(threads);
    let mut whole: Index = HashMap::new_in(&heap);
    std::thread::scope(|scope| {
        let (heap, together) = (&heap, &together);
        let work = |n| {
            scope.spawn(move || {
                let part = index(heap, n, threads);
                together.wait(); // So that they are four at a time, not one after the other.
                part
            })
        };
        let parts: std::vec::Vec<_> = (0..threads).map(work).collect();
        for part in parts {
            for (word, lines) in part.join().expect("the thread does not panic") {
                whole.entry(word).or_insert_with(|| Vec::new_in(heap)).extend(lines);
            }
        }
    });
    assert_eq!(whole["chunks"].as_slice(), [2]);
    assert_eq!(whole["is"].len(), 4);

    // A handle that looks no thread up, for one thread's own work.
    let answer = Box::new_in(42, heap.local());
    assert_eq!(*answer, 42);

    let stats = heap.stats();
    println!("{stats}");
    assert!(stats.blocks.live() > 0 && stats.bytes.requested > 0);
    assert!(stats.threads.len() >= threads);
    assert!(stats.threads.iter().any(|thread| thread.state == ThreadState::Live));

    drop((whole, answer));
    assert_eq!(heap.stats().blocks.live(), 0);
    Ok(()) // The heap goes here, and takes all its memory along.
}
