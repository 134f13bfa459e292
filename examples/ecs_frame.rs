//! An engine's frame loop on several threads, with Blockyard and without: `hecs` holds the world, rayon
//! runs the systems.
//!
//! - what a system needs while it looks at a batch of entities lives in a temporary arena of its thread;
//! - what it wants done, its commands, goes to its thread's arena of the frame: it outlives the parallel
//!   part and is gone with the frame;
//! - what entities own, whatever crate allocates it, goes to a heap with a name and a budget.
//!
//! `cargo run --release --example ecs_frame` prints the time and the allocations of a frame, and what every
//! thread holds; then it runs the same loop in a process whose global allocator is the system's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::error::Error;
use std::io::Write;
use std::process;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use blockyard::allocator_api2::alloc::{Allocator, Global as Program};
use blockyard::allocator_api2::vec::Vec as ListIn;
use blockyard::{ArenaPool, Global, Heap, temp};
use hecs::{Entity, World};
use rayon::prelude::*;

const ENTITIES: u32 = 20_000;
/// Entities that one job looks at.
const BATCH: usize = 256;
const FRAMES: u32 = 60;
/// Frames before the clock starts.
const WARM_UP: u32 = 10;
/// Bytes that entities may own.
const BUDGET: usize = 16 << 20;

#[derive(Clone, Copy)]
struct Body {
    position: [f32; 2],
    velocity: [f32; 2],
    age: u32,
}

/// What an entity owns.
struct Baggage {
    name: String,
    met: Vec<u32>,
}

/// What a system wants done when the parallel part is over.
enum Command<Text, List> {
    Despawn(Entity),
    Spawn { parent: Body, name: Text },
    Meet { entity: Entity, others: List },
}

/// Looks at a batch: who meets whom, who goes, who comes. `text` and `list` put what commands refer to where
/// it stays for the frame.
fn look<Text, List, A: Allocator + Copy>(
    batch: &[(Entity, Body)],
    scratch: A,
    text: impl Fn(&str) -> Text,
    list: impl Fn(&[u32]) -> List,
) -> ListIn<Command<Text, List>, A> {
    let cell = |body: &Body| body.position.map(|x| (x / 2.0) as i32);
    let mut by_cell = ListIn::with_capacity_in(batch.len(), scratch);
    by_cell.extend(batch.iter().map(|(entity, body)| (cell(body), entity.id())));
    by_cell.sort_unstable();
    let mut commands = ListIn::new_in(scratch);
    for (entity, body) in batch {
        let first = by_cell.partition_point(|(other, _)| *other < cell(body));
        let mut others = ListIn::new_in(scratch);
        let same = by_cell[first..].iter().take_while(|(other, _)| *other == cell(body));
        others.extend(same.map(|(_, other)| *other).filter(|other| *other != entity.id()));
        if !others.is_empty() {
            commands.push(Command::Meet { entity: *entity, others: list(&others) });
        }
        if body.age > 40 + entity.id() % 64 {
            let mut name = [0; 24];
            let mut rest = &mut name[..];
            write!(rest, "child of {}", entity.id()).expect("room for ten digits");
            let unused = rest.len();
            let name = text(str::from_utf8(&name[..name.len() - unused]).expect("it is ASCII"));
            commands.push(Command::Despawn(*entity));
            commands.push(Command::Spawn { parent: *body, name });
        }
    }
    commands
}

fn step(body: &mut Body) {
    for (x, v) in body.position.iter_mut().zip(&mut body.velocity) {
        *x += *v;
        if !(0.0..32.0).contains(x) {
            *v = -*v;
        }
    }
    body.age += 1;
}

fn apply<Text: AsRef<str>, List: AsRef<[u32]>>(world: &mut World, command: &Command<Text, List>) {
    match command {
        Command::Despawn(entity) => drop(world.despawn(*entity)),
        Command::Spawn { parent, name } => {
            let baggage = Baggage { name: name.as_ref().to_owned(), met: Vec::new() };
            world.spawn((Body { age: 0, ..*parent }, baggage));
        }
        Command::Meet { entity, others } => {
            if let Ok(baggage) = world.query_one_mut::<&mut Baggage>(*entity) {
                baggage.met.truncate(64);
                baggage.met.extend_from_slice(others.as_ref());
            }
        }
    }
}

/// The bodies as they are now, a step further.
fn advance(world: &mut World, bodies: &mut Vec<(Entity, Body)>) {
    bodies.clear();
    bodies.extend(world.query_mut::<&mut Body>().into_iter().map(|(entity, body)| {
        step(body);
        (entity, *body)
    }));
}

fn frame_with(world: &mut World, bodies: &[(Entity, Body)], arenas: &mut ArenaPool, owned: &Heap) {
    let per_batch: Vec<_> = bodies
        .par_chunks(BATCH)
        .map(|batch| {
            let arena = arenas.local();
            temp::scope(|scratch| {
                let text = |text: &str| &*arena.alloc_str(text);
                let list = |list: &[u32]| &*arena.alloc_slice_copy(list);
                &*arena.alloc_slice_fill_iter(look(batch, scratch, text, list))
            })
        })
        .collect();
    owned
        .route(|| per_batch.into_iter().flatten().for_each(|command| apply(world, command)))
        .expect("Global is behind this program's allocator");
    arenas.reset();
}

fn frame_without(world: &mut World, bodies: &[(Entity, Body)]) {
    let per_batch: Vec<_> =
        bodies.par_chunks(BATCH).map(|batch| look(batch, Program, str::to_owned, <[u32]>::to_vec)).collect();
    per_batch.iter().flatten().for_each(|command| apply(world, command));
}

fn spawn_all(world: &mut World) {
    let spread = |n: u32, by: u32| (n.wrapping_mul(by) % 32_000) as f32 / 1000.0;
    world.spawn_batch((0..ENTITIES).map(|n| {
        let position = [spread(n, 7919), spread(n, 104_729)];
        let velocity = [spread(n, 31) / 320.0 - 0.05, spread(n, 17) / 320.0 - 0.05];
        let baggage = Baggage { name: format!("first {n}"), met: Vec::new() };
        (Body { position, velocity, age: n % 64 }, baggage)
    }));
}

/// What a frame took on the average, and what the world is like in the end.
fn report(what: &str, time: Duration, calls: u64, world: &World) {
    let letters: usize = world.query::<&Baggage>().iter().map(|(_, b)| b.name.len() + b.met.len()).sum();
    println!(
        "{what:18} {:8.3} ms and {:7} calls of the global allocator per frame; {} entities, check {letters}",
        time.as_secs_f64() * 1e3 / f64::from(FRAMES),
        calls / u64::from(FRAMES),
        world.len(),
    );
}

/// Runs all frames: the time of those after the warm-up, and the calls that were made in them.
fn run(world: &mut World, mut frame: impl FnMut(&mut World, &[(Entity, Body)])) -> (Duration, u64) {
    let mut bodies = Vec::new();
    let (mut start, mut calls) = (Instant::now(), 0);
    for n in 0..WARM_UP + FRAMES {
        if n == WARM_UP {
            (start, calls) = (Instant::now(), CALLS.load(Ordering::Relaxed));
        }
        advance(world, &mut bodies);
        frame(world, &bodies);
    }
    (start.elapsed(), CALLS.load(Ordering::Relaxed) - calls)
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let mut world = World::new();
    if ALLOCATOR.is_system() {
        spawn_all(&mut world);
        let (time, calls) = run(&mut world, frame_without);
        report("without Blockyard:", time, calls, &world);
        return Ok(());
    }
    let owned = Heap::builder()
        .name("entities")
        .limit(BUDGET)
        .on_limit(|exceeded| eprintln!("{exceeded}"))
        .build()?;
    let mut arenas = ArenaPool::new();
    owned.route(|| spawn_all(&mut world))?;
    let (time, calls) = run(&mut world, |world, bodies| frame_with(world, bodies, &mut arenas, &owned));
    report("with Blockyard:", time, calls, &world);
    println!("\n{}", owned.stats());
    println!("arenas of the frame: {:?}\n", arenas.stats());
    if !process::Command::new(std::env::current_exe()?).env(SYSTEM, "1").status()?.success() {
        return Err("the frame loop without Blockyard failed".into());
    }
    Ok(())
}

/// Set, it has this program allocate from the system.
const SYSTEM: &str = "ECS_FRAME_SYSTEM";

#[global_allocator]
static ALLOCATOR: Chosen = Chosen { choice: AtomicU8::new(0) };

static CALLS: AtomicU64 = AtomicU64::new(0);

/// [`Global`], or the system's allocator if [`SYSTEM`] is set: so that one program can compare the two.
struct Chosen {
    choice: AtomicU8,
}

impl Chosen {
    fn is_system(&self) -> bool {
        match self.choice.load(Ordering::Relaxed) {
            0 => {
                // `std::env` allocates.
                // SAFETY: the name ends with a zero; nothing changes the environment before `main`.
                let system = unsafe { !libc::getenv(c"ECS_FRAME_SYSTEM".as_ptr()).is_null() };
                self.choice.store(1 + u8::from(system), Ordering::Relaxed);
                system
            }
            choice => choice == 2,
        }
    }
}

// SAFETY: each call is passed on, and the choice is made once.
unsafe impl GlobalAlloc for Chosen {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: passed on.
        unsafe { if self.is_system() { System.alloc(layout) } else { Global.alloc(layout) } }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: passed on.
        unsafe {
            if self.is_system() { System.dealloc(block, layout) } else { Global.dealloc(block, layout) }
        }
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: passed on.
        unsafe {
            if self.is_system() {
                System.realloc(block, layout, size)
            } else {
                Global.realloc(block, layout, size)
            }
        }
    }
}
