//! A query engine: `jaq`, a `jq` in Rust, over a document of JSON.

use std::fmt::Write;

use blockyard_cli::installed::ProgramSize;
use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Vars, data, unwrap_valr};
use jaq_json::{Val, read};

use super::Job;
use super::words::Words;

/// Groups, joins strings, makes objects and sorts them.
const QUERY: &str = r#"
    [.[] | select(.age > 30) | {name, city: .address.city, n: (.tags | length), tags: (.tags | map(. + "!") | sort)}]
    | group_by(.city)
    | map({city: .[0].city, people: length, tags: (map(.tags[]) | group_by(.) | map({tag: .[0], n: length}) | sort_by(-.n) | .[:5]),
           names: (map(.name) | join(", ") | length)})
    | sort_by(.people) | reverse | .[] | "\(.city): \(.people) \(.names) \(.tags[0].n)"
"#;

pub(crate) fn job(size: ProgramSize) -> Job {
    let people = size.of(6_000, 24_000);
    let document = document(people);
    Box::new(move || {
        let input = read::parse_single(document.as_bytes()).expect("a document that parses");
        let definitions = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
        let functions = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
        let arena = Arena::default();
        let modules = Loader::new(definitions).load(&arena, File { code: QUERY, path: () });
        let Ok(modules) = modules else { panic!("the query does not parse") };
        let filter = Compiler::default().with_funs(functions).compile(modules);
        let Ok(filter) = filter else { panic!("the query does not compile") };
        let context = Ctx::<data::JustLut<Val>>::new(&filter.lut, Vars::new([]));
        let mut answer = 0_u64;
        for line in filter.id.run((context, input)).map(unwrap_valr) {
            let Ok(line) = line else { panic!("the query fails") };
            let bytes = line.to_string().into_bytes();
            answer =
                bytes.iter().fold(answer, |sum, &byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
        }
        answer
    })
}

fn document(people: usize) -> String {
    let mut words = Words::new(0x10_b5, 3_000);
    let mut text = String::from("[");
    for person in 0..people {
        let separator = if person == 0 { "" } else { "," };
        let age = words.rng().u32(1..90);
        let (name, street, city) = (words.sentence(2), words.sentence(2), words.word().to_owned());
        let _ = write!(
            text,
            r#"{separator}{{"id":{person},"name":"{name}","age":{age},"address":{{"street":"{street}","city":"{city}"}},"tags":["#
        );
        for tag in 0..words.rng().usize(1..8) {
            let separator = if tag == 0 { "" } else { "," };
            let _ = write!(text, r#"{separator}"{}""#, words.word());
        }
        text.push_str("]}");
    }
    text.push(']');
    text
}
