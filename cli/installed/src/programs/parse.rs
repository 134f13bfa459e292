//! A parser: `syn` reads Rust source into a tree, and `prettyplease` writes it out again.

use blockyard_cli::installed::ProgramSize;
use std::fmt::Write;
use syn::visit::{self, Visit};

use super::Job;
use super::words::Words;

pub(crate) fn job(size: ProgramSize) -> Job {
    let (files, functions) = size.of((1, 170), (4, 170));
    let mut words = Words::new(0x5e_ed, 4_000);
    let sources: Vec<String> = (0..files).map(|_| source(&mut words, functions)).collect();
    Box::new(move || {
        // Every file's tree lives until all are read, as in a tool that looks at a whole crate.
        let trees: Vec<syn::File> =
            sources.iter().map(|source| syn::parse_file(source).expect("source that parses")).collect();
        let mut census = Census::default();
        trees.iter().for_each(|tree| census.visit_file(tree));
        let printed: usize = trees.iter().map(|tree| prettyplease::unparse(tree).len()).sum();
        (census.expressions << 32) ^ printed as u64
    })
}

#[derive(Default)]
struct Census {
    expressions: u64,
}

impl<'ast> Visit<'ast> for Census {
    fn visit_expr(&mut self, expression: &'ast syn::Expr) {
        self.expressions += 1;
        visit::visit_expr(self, expression);
    }
}

/// A source file of structures with methods.
fn source(words: &mut Words, functions: usize) -> String {
    let mut text = String::new();
    for item in 0..functions {
        let name = format!("{}_{item}", words.word());
        let field = words.word().to_owned();
        let doc = words.sentence(12);
        let _ = write!(
            text,
            "/// {doc}\n#[derive(Clone, Debug)]\npub struct S{item}<T: Clone> {{ pub {field}_a: Vec<Option<T>>, \
             b: std::collections::HashMap<String, (u32, Box<[u8]>)> }}\n\
             impl<T: Clone> S{item}<T> {{ /// {doc}\n pub fn {name}(&mut self, n: usize, other: &[T]) -> Result<usize, String> {{\n"
        );
        for line in 0..words.rng().usize(4..16) {
            let (left, right) = (words.word().to_owned(), words.word().to_owned());
            let number = words.rng().u32(..);
            let _ = writeln!(
                text,
                "let v{line}_{left} = self.{field}_a.iter().filter(|e| e.is_some() && n > {line}).map(|e| (e.clone(), {number}u32)).collect::<Vec<_>>();\n\
                 if v{line}_{left}.len() * {line} + n >= {number} as usize {{ return Err(format!(\"{right} {{}} {{n}}\", other.len())); }} \
                 else {{ match n % 3 {{ 0 => self.b.clear(), 1 => {{ self.b.insert(String::from(\"{right}\"), ({number}, Box::new([1, 2, {line}]))); }} _ => {{}} }} }}"
            );
        }
        text.push_str("Ok(n + other.len()) } }\n");
    }
    text
}
