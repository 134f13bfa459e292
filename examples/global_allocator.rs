//! Blockyard as the program's allocator, and a look at what every thread holds.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::thread;

#[global_allocator]
static ALLOCATOR: blockyard::Global = blockyard::Global;

pub(crate) fn main() {
    // Strings made on two threads, kept and freed on this one.
    let (sender, receiver) = mpsc::channel();
    let makers = [0, 1].map(|maker| {
        let sender = sender.clone();
        let make = move || (maker..10_000).step_by(2).try_for_each(|n| sender.send((n, n.to_string())));
        thread::Builder::new()
            .name(format!("maker {maker}"))
            .spawn(make)
            .expect("the system has a thread for us")
    });
    drop(sender);
    let made: BTreeMap<i32, String> = receiver.into_iter().collect();
    for maker in makers {
        maker.join().expect("makers do not panic").expect("the receiver is there until the senders go");
    }
    assert_eq!(made.len(), 10_000);
    assert!(made.iter().all(|(number, text)| text.parse() == Ok(*number)));

    let before = blockyard::stats();
    println!("{before}");
    let global = &before.heaps[0];
    assert!(global.blocks.live() >= 10_000, "each string is a block");
    assert_eq!(global.blocks.live(), global.classes.iter().map(|class| class.blocks.live()).sum::<u64>());

    drop(made);
    let after = blockyard::stats();
    assert!(after.heaps[0].blocks.live() + 10_000 <= global.blocks.live() + 1_000);
}
