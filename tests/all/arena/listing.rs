//! Arenas with names in statistics.

use std::sync::mpsc;
use std::thread;

use blockyard::{Arena, Keep, NamedArenaStats, stats};

fn rows(name: &str) -> Vec<NamedArenaStats> {
    stats().arenas.into_iter().filter(|row| row.name == name).collect()
}

#[test]
fn an_arena_with_a_name_has_a_row_while_it_lives() {
    let mut arena = Arena::builder().name("listed").limit(1 << 20).keep(Keep::Nothing).build();
    assert_eq!(rows("listed").len(), 1);
    for _ in 0..100 {
        arena.alloc([0_u8; 1000]);
    }
    arena.alloc_slice_fill_with(300_000, |_| 1_u8);
    let [row] = &rows("listed")[..] else { panic!("one row") };
    let now = arena.stats();
    assert_eq!((row.reserved, row.limit), (now.reserved, Some(1 << 20)));
    assert!(row.used <= now.used && row.used >= 300_000 && row.peak >= row.used, "{row:?} {now:?}");
    arena.reset();
    let [row] = &rows("listed")[..] else { panic!("one row") };
    assert_eq!((row.used, row.reserved, row.peak), (0, 0, now.peak));
    let text = stats().to_string();
    assert!(text.lines().any(|line| line.starts_with("listed ") && line.contains("1.0 MiB")), "{text}");
    drop(arena);
    assert!(rows("listed").is_empty());
}

#[test]
fn an_arena_without_a_name_has_none() {
    let arena = Arena::builder().limit(1 << 20).build();
    arena.alloc(1);
    assert!(stats().arenas.iter().all(|row| !row.name.is_empty()));
}

#[test]
fn the_arenas_of_a_pool_have_a_row_each() {
    let pool = Arena::builder().name("listed pool").build_pool();
    let (send, done) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..3 {
            let (pool, send) = (&pool, send.clone());
            scope.spawn(move || {
                pool.local().alloc([0_u8; 100]);
                send.send(()).unwrap();
            });
        }
        (0..3).for_each(|_| done.recv().unwrap());
        let rows = rows("listed pool");
        assert!((1..=3).contains(&rows.len()) && rows.iter().all(|row| row.reserved == 4096), "{rows:?}");
    });
    drop(pool);
    assert!(rows("listed pool").is_empty());
}
