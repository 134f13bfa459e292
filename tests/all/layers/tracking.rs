//! `Tracking`: books by tag, and what lies between two readings.

use blockyard::Global;
use blockyard::allocator_api2::boxed::Box as HeapBox;
use blockyard::allocator_api2::vec::Vec as HeapVec;
use blockyard::layers::{Failing, LiveBlock, TagStats, Tracking};
use proptest::prelude::*;

use crate::support::block::Block;
use crate::support::{KIB, Rng, layout, team};

#[test]
fn each_tag_has_its_row() {
    let tracking = Tracking::new(Failing::nth(Global, 3));
    let textures = tracking.tag("textures");
    let mut pixels = HeapVec::<u8, _>::with_capacity_in(100, textures);
    pixels.reserve_exact(300);
    let sound = HeapBox::new_in([0_u8; 50], tracking.tag("sounds"));
    assert!(pixels.try_reserve_exact(1000).is_err());
    pixels.shrink_to(200);
    drop(sound);
    let untagged = HeapBox::new_in(7_u64, &tracking);
    let now = tracking.snapshot();
    let row = |name: &str, counts: [u64; 4], bytes, peak| {
        let [allocations, frees, resizes, refused] = counts;
        TagStats { name: name.to_owned(), allocations, frees, resizes, refused, bytes, peak }
    };
    assert_eq!(
        now.tags,
        [
            row("untagged", [1, 0, 0, 0], 8, 8),
            row("textures", [1, 0, 2, 1], 200, 300),
            row("sounds", [1, 1, 0, 0], 0, 50)
        ]
    );
    assert_eq!(now.total, row("all", [3, 1, 2, 1], 208, 350));
    drop(untagged);
}

#[test]
fn one_name_is_one_tag() {
    let tracking = Tracking::new(Global);
    let _first = HeapBox::new_in(1_u8, tracking.tag("numbers"));
    let _second = HeapBox::new_in(2_u8, tracking.tag("numbers"));
    let _third = HeapBox::new_in(3_u8, tracking.tag("untagged"));
    let now = tracking.snapshot();
    assert_eq!(now.tags.iter().map(TagStats::live).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_call_site_is_a_tag() {
    let tracking = Tracking::new(Global);
    let line = line!() + 1;
    let blocks = [1, 2, 3].map(|n| HeapBox::new_in(n, tracking.here()));
    let elsewhere = HeapBox::new_in(4, tracking.here());
    let now = tracking.snapshot();
    assert_eq!(now.tags.iter().map(TagStats::live).collect::<Vec<_>>(), [0, 3, 1]);
    assert!(now.tags[1].name.starts_with(&format!("{}:{line}:", file!())), "{}", now.tags[1].name);
    drop((blocks, elsewhere));
}

#[test]
fn what_grew_between_two_frames() {
    let tracking = Tracking::new(Global);
    let meshes = HeapBox::new_in([0_u8; 1000], tracking.tag("meshes"));
    let _quiet = HeapBox::new_in([0_u8; 10], tracking.tag("quiet"));
    let frame_100 = tracking.snapshot();
    drop(meshes);
    let _textures: [_; 3] = std::array::from_fn(|_| HeapBox::new_in([0_u8; 2048], tracking.tag("textures")));
    drop(HeapBox::new_in([0_u8; 64], tracking.tag("particles")));
    let grown = tracking.snapshot().since(&frame_100);
    let rows: Vec<_> = grown.tags.iter().map(|tag| (&*tag.name, tag.live, tag.bytes)).collect();
    assert_eq!(rows, [("textures", 3, 6144), ("particles", 0, 0), ("meshes", -1, -1000)]);
    assert_eq!((grown.total.live, grown.total.bytes), (2, 5144));
    let table = grown.to_string();
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["tag", "live", "bytes", "allocated", "freed", "resized", "refused"]);
    assert_eq!(lines[1], ["textures", "+3", "+6.0", "KiB", "3", "0", "0", "0"]);
    assert_eq!(lines[3], ["meshes", "-1", "-1000", "B", "0", "1", "0", "0"]);
    assert_eq!(lines[4][0], "all");
    assert!(tracking.snapshot().since(&tracking.snapshot()).tags.is_empty());
}

#[test]
fn a_snapshot_is_a_table() {
    let tracking = Tracking::new(Global);
    let _block = HeapBox::new_in([0_u8; 3 << 10], tracking.tag("textures"));
    let table = tracking.snapshot().to_string();
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["tag", "live", "bytes", "peak", "allocated", "freed", "resized", "refused"]);
    assert_eq!(lines[2], ["textures", "1", "3.0", "KiB", "3.0", "KiB", "1", "0", "0", "0"]);
    assert_eq!((lines.len(), lines[3][0]), (4, "all"));
}

#[test]
fn many_tags_come_and_go() {
    let tracking = Tracking::new(Global);
    // As deep as a list of boxes would recurse when it is dropped.
    for n in 0..3000 {
        drop(HeapBox::new_in(n, tracking.tag(&n.to_string())));
    }
    assert_eq!(tracking.snapshot().tags.len(), 3001);
}

#[test]
fn threads_share_the_books() {
    let tracking = Tracking::new(Global);
    team(|scope| {
        for thread in 0..4 {
            let tracking = &tracking;
            scope.spawn(move || {
                let mut rng = Rng::new(thread);
                for round in 0..500 {
                    let tag = tracking.tag(["a", "b", "c", "d", "e"][rng.below(5)]);
                    let mut bytes = HeapVec::new_in(tag);
                    bytes.resize(1 + rng.below(1000), 7_u8);
                    if round % 50 == 0 {
                        let now = tracking.snapshot();
                        assert!(
                            now.tags.iter().all(|tag| tag.frees <= tag.allocations && tag.bytes <= tag.peak)
                        );
                    }
                }
            });
        }
    });
    let now = tracking.snapshot();
    assert_eq!((now.total.allocations, now.total.live(), now.total.bytes), (2000, 0, 0));
    assert!(now.tags.iter().all(|tag| tag.bytes == 0 && tag.live() == 0));
    assert_eq!(now.tags.len(), 6, "two threads that make one tag get one");
    assert!(now.total.peak <= now.tags.iter().map(|tag| tag.peak).sum());
}

#[test]
fn live_blocks_are_listed_where_they_are() {
    let tracking = Tracking::with_list(Failing::nth(Global, 3));
    let mut bytes = HeapVec::<u8, _>::with_capacity_in(100, tracking.tag("bytes"));
    let gone = HeapBox::new_in([0_u64; 4], &tracking);
    bytes.reserve_exact(5000);
    assert!(bytes.try_reserve_exact(9000).is_err());
    let before = tracking.snapshot();
    let rows = |blocks: &[LiveBlock]| -> Vec<_> {
        blocks.iter().map(|block| (block.number, block.tag.clone(), block.address, block.size)).collect()
    };
    let first = (0, "bytes".to_owned(), bytes.as_ptr().addr(), 5000);
    let second = (1, "untagged".to_owned(), std::ptr::from_ref(&*gone).addr(), 32);
    assert_eq!(rows(&before.blocks), [first, second]);

    drop(gone);
    bytes.reserve_exact(6000);
    let fresh = HeapBox::new_in(7_u64, tracking.tag("fresh"));
    let after = tracking.snapshot();
    let third = (2, "fresh".to_owned(), std::ptr::from_ref(&*fresh).addr(), 8);
    assert_eq!(rows(&after.since(&before).blocks), [third]);
    assert_eq!((after.blocks[0].number, after.blocks[0].size), (0, 6000));

    bytes.shrink_to_fit();
    drop(fresh);
    assert!(tracking.snapshot().blocks.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Bytes, their peak and the counts are those of what is live, also where a tag is made on the way.
    #[test]
    fn the_books_are_what_is_live(
        calls in prop::collection::vec((0..4_usize, 0..40 * KIB, 0..8_usize), 1..200),
        tag_at in 0..200_usize,
    ) {
        let tracking = Tracking::new(Global);
        let (mut live, mut peak) = (Vec::<Block>::new(), 0);
        let (mut allocations, mut frees, mut resizes) = (0, 0, 0);
        for (at, (call, size, which)) in calls.into_iter().enumerate() {
            if at == tag_at {
                drop(HeapBox::new_in(0_u8, tracking.tag("tagged")));
                (allocations, frees) = (allocations + 1, frees + 1);
                let bytes: usize = live.iter().map(|block| block.layout().size()).sum();
                peak = peak.max(bytes + 1);
            }
            match (call, live.is_empty()) {
                (0 | 1, _) | (_, true) => {
                    live.extend(Block::new(&&tracking, layout(size, 8), call == 1, 7));
                    allocations += u64::from(size != 0);
                }
                (2, false) => {
                    let block = live.swap_remove(which % live.len());
                    frees += u64::from(block.layout().size() != 0);
                    // SAFETY: the block is this allocator's.
                    unsafe { block.free(&&tracking) };
                }
                (_, false) => {
                    let index = which % live.len();
                    let block = &mut live[index];
                    match (block.layout().size(), size) {
                        (0, 0) => {}
                        (0, _) => allocations += 1,
                        (_, 0) => frees += 1,
                        _ => resizes += 1,
                    }
                    // SAFETY: the block is this allocator's.
                    let resized = unsafe { block.resize(&&tracking, layout(size, 16), which % 2 == 0) };
                    prop_assert!(resized);
                }
            }
            let bytes: usize = live.iter().map(|block| block.layout().size()).sum();
            peak = peak.max(bytes);
            let total = tracking.snapshot().total;
            prop_assert_eq!((total.bytes, total.peak), (bytes, peak));
            prop_assert_eq!((total.allocations, total.frees, total.resizes), (allocations, frees, resizes));
        }
        // SAFETY: as above.
        live.into_iter().for_each(|block| unsafe { block.free(&&tracking) });
        prop_assert_eq!(tracking.snapshot().total.bytes, 0);
    }
}
