//! A search index: `tantivy` takes in documents with two threads, merges what they wrote, and is asked.

use blockyard_cli::installed::ProgramSize;
use tantivy::collector::{Count, TopDocs};
use tantivy::query::QueryParser;
use tantivy::schema::{STORED, Schema, TEXT};
use tantivy::{Index, IndexWriter, TantivyDocument};

use super::Job;
use super::words::Words;

/// What the writer may hold before it writes a segment, in bytes.
const BUDGET: usize = 40 << 20;

pub(crate) fn job(size: ProgramSize) -> Job {
    let (documents, queries) = size.of((4_000, 200), (20_000, 1_000));
    let mut words = Words::new(0x1_dec5, 20_000);
    let texts: Vec<(String, String)> = (0..documents)
        .map(|_| {
            let length = words.rng().usize(40..200);
            (words.sentence(5), words.sentence(length))
        })
        .collect();
    let mut question = || {
        let mut word = || words.word().to_owned();
        format!("{} AND {} OR {}", word(), word(), word())
    };
    let questions: Vec<String> = (0..queries).map(|_| question()).collect();
    Box::new(move || search(texts, &questions).expect("an index in memory"))
}

fn search(texts: Vec<(String, String)>, questions: &[String]) -> tantivy::Result<u64> {
    let mut schema = Schema::builder();
    let title = schema.add_text_field("title", TEXT | STORED);
    let body = schema.add_text_field("body", TEXT | STORED);
    let index = Index::create_in_ram(schema.build());
    let mut writer: IndexWriter = index.writer_with_num_threads(2, BUDGET)?;
    for (heading, text) in texts {
        let mut document = TantivyDocument::default();
        document.add_text(title, heading);
        document.add_text(body, text);
        writer.add_document(document)?;
    }
    writer.commit()?;
    writer.wait_merging_threads()?;

    let searcher = index.reader()?.searcher();
    let parser = QueryParser::for_index(&index, vec![title, body]);
    let mut found = 0;
    let mut shown = 0;
    for question in questions {
        let query = parser.parse_query(question)?;
        let (count, best) = searcher.search(&query, &(Count, TopDocs::with_limit(10).order_by_score()))?;
        found += count as u64;
        for (_, place) in best {
            let document: TantivyDocument = searcher.doc(place)?;
            shown += u64::from(document.get_first(title).is_some());
        }
    }
    Ok((found << 16) ^ shown)
}
