//! A cache in memory: `rayon` workers read lines of JSON into `serde_json` values, keep them in a `dashmap`, and replace
//! what other workers put there.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use blockyard_cli::installed::ProgramSize;
use dashmap::DashMap;
use rayon::prelude::*;
use serde_json::Value;

use super::Job;
use super::words::Words;

const KEYS: usize = 20_000;

pub(crate) fn job(size: ProgramSize) -> Job {
    let requests = size.of(40_000, 200_000);
    let mut words = Words::new(0xca_c4e, 8_000);
    let lines: Vec<String> = (0..4_096)
        .map(|_| {
            let (title, author, body) = (words.sentence(4), words.sentence(2), words.sentence(20));
            let (year, price) = (words.rng().u32(1900..2030), words.rng().f64());
            format!(r#"{{"title":"{title}","author":{{"name":"{author}","year":{year}}},"body":"{body}","price":{price:.2},"tags":["{}","{}"]}}"#,
                words.word().to_owned(), words.word())
        })
        .collect();
    Box::new(move || {
        let cache: DashMap<String, Value> = DashMap::new();
        let answer = AtomicU64::new(0);
        (0..requests).into_par_iter().for_each(|request| {
            let mut rng = fastrand::Rng::with_seed(request as u64);
            let line = &lines[rng.usize(..lines.len())];
            let mut value: Value = serde_json::from_str(line).expect("a line of JSON");
            value["seen"] = Value::from(request);
            let text = value.to_string();
            answer.fetch_add(text.len() as u64, Relaxed);
            cache.insert(format!("key:{}", rng.usize(..KEYS)), value);
            let gone = format!("key:{}", rng.usize(..KEYS));
            if request % 3 == 0 {
                cache.remove(&gone);
            } else if let Some(value) = cache.get(&gone) {
                std::hint::black_box(value["title"].as_str().map(str::to_owned));
            }
        });
        answer.into_inner()
    })
}
