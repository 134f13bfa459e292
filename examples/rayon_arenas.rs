//! One arena per rayon worker: what the jobs make outlives the parallel part, and goes all at once.
//!
//! `cargo run --release --example rayon_arenas` cuts generated documents into lower-case words, each word a
//! copy, once into arenas and once into `String`s, and prints what each round took.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use blockyard::ArenaPool;
use rayon::prelude::*;

const DOCUMENTS: u64 = 2_000;
const WORDS: u64 = 300;
const ROUNDS: usize = 7;

fn document(number: u64) -> String {
    const STEMS: [&str; 8] = ["Block", "Chunk", "Segment", "HEAP", "arena", "Owner", "queue", "Thread"];
    let mut text = String::new();
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    for _ in 0..WORDS {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        text += STEMS[(state >> 61) as usize];
        text += [" ", ", ", "s ", "ing "][(state >> 33) as usize % 4];
    }
    text
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty())
}

/// Each document's words, in the arenas: nobody frees them one by one.
fn into_arenas<'a>(documents: &[String], pool: &'a ArenaPool) -> Vec<&'a [&'a str]> {
    let cut = |document: &String| -> &'a [&'a str] {
        let arena = pool.local();
        let lower = words(document).map(|word| {
            let copy = arena.alloc_str(word);
            copy.make_ascii_lowercase();
            &*copy
        });
        // Words are allocated while the slice that will hold them grows.
        arena.alloc_slice_fill_iter(lower.collect::<Vec<_>>())
    };
    documents.par_iter().map(cut).collect()
}

fn into_strings(documents: &[String]) -> Vec<Vec<String>> {
    documents.par_iter().map(|document| words(document).map(str::to_ascii_lowercase).collect()).collect()
}

fn count<'a>(words: impl Iterator<Item = &'a str>) -> usize {
    let mut counts = HashMap::new();
    words.for_each(|word| *counts.entry(word).or_insert(0_usize) += 1);
    counts.values().sum::<usize>() * counts.len()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

pub(crate) fn main() {
    let documents: Vec<String> = (0..DOCUMENTS).map(document).collect();
    let mut pool = ArenaPool::new();
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let start = Instant::now();
        let arenas = into_arenas(&documents, &pool);
        let made = start.elapsed();
        let check = count(arenas.iter().copied().flatten().copied());
        let start = Instant::now();
        drop(arenas);
        if round + 1 == ROUNDS {
            println!("arenas of all threads after the last round: {:?}", pool.stats());
        }
        pool.reset();
        with.push(made + start.elapsed());

        let start = Instant::now();
        let strings = into_strings(&documents);
        let made = start.elapsed();
        assert_eq!(count(strings.iter().flatten().map(String::as_str)), check);
        let start = Instant::now();
        drop(strings);
        without.push(made + start.elapsed());
    }
    let (with, without) = (median(with), median(without));
    println!(
        "{} words on {} threads, made and freed, medians of {ROUNDS} rounds:",
        DOCUMENTS * WORDS,
        rayon::current_num_threads()
    );
    println!("into arenas  {:7.2} ms", with.as_secs_f64() * 1e3);
    println!(
        "into strings {:7.2} ms ({:.1} times)",
        without.as_secs_f64() * 1e3,
        without.div_duration_f64(with)
    );
}
