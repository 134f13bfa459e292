use blockyard::{Heap, allocator_api2::vec::Vec as AVec};

#[global_allocator]
static A: blockyard::Global = blockyard::Global;

#[test]
fn basics() {
    let heap = Heap::new();
    let mut all = Vec::new();
    for i in 0..100_000usize {
        let mut v = AVec::with_capacity_in(i % 3000 + 1, &heap);
        v.push(i as u8);
        all.push(v);
    }
    std::thread::scope(|s| {
        let half = all.split_off(50_000);
        s.spawn(move || drop(half));
    });
    println!("{}", heap.stats());
    drop(all);
    println!("{}", heap.stats());
    println!("collected {}", heap.collect());
    println!("{}", heap.stats());
    assert_eq!(heap.stats().blocks.live(), 0);
    println!("{}", blockyard::stats());
}
#[test]
fn threads() {
    for _ in 0..200 {
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    let v: Vec<Vec<u8>> = (0..1000).map(|i| vec![1u8; i]).collect();
                    v
                });
            }
        });
    }
    println!("{}", blockyard::stats());
}
