//! `Segregate`: blocks that cross the threshold.

use blockyard::Global;
use blockyard::allocator_api2::vec::Vec as HeapVec;
use blockyard::layers::{Failing, Null, Segregate, Tracking};

#[test]
fn blocks_cross_the_threshold_with_their_contents() {
    let (small, large) = (Tracking::new(Global), Tracking::new(Global));
    let live = || (small.snapshot().total.bytes, large.snapshot().total.bytes);
    let mut bytes = HeapVec::with_capacity_in(100, Segregate::<_, _, 100>::new(&small, &large));
    bytes.extend(0..100_u8);
    assert_eq!(live(), (100, 0));
    bytes.reserve_exact(101);
    assert_eq!(live(), (0, 201));
    bytes.truncate(30);
    bytes.shrink_to_fit();
    assert_eq!(live(), (30, 0));
    assert!(bytes.iter().copied().eq(0..30));
    drop(bytes);
    assert_eq!(live(), (0, 0));
}

#[test]
fn a_crossing_that_is_refused_leaves_the_block() {
    let small = Failing::from_nth(Global, 1);
    let memory = Segregate::<_, _, 100>::new(&small, Null);
    let mut bytes = HeapVec::with_capacity_in(100, memory);
    bytes.extend(0..100_u8);
    assert!(bytes.try_reserve_exact(1).is_err());
    assert!(bytes.iter().copied().eq(0..100));

    let large = Segregate::<_, _, 100>::new(Null, Global);
    let mut bytes = HeapVec::with_capacity_in(101, large);
    bytes.extend(0..101_u8);
    bytes.truncate(101);
    assert!(bytes.try_reserve_exact(400).is_ok());
    assert!(bytes.iter().copied().eq(0..101));
}
