//! A bounded run without libFuzzer, the same each time: the corpus, and random mutations of it.

use std::fs;
use std::panic;
use std::path::{Path, PathBuf};

use fastrand::Rng;

/// The longest input that is made. The longest reader of fixed size takes 136 bytes.
const LONGEST: usize = 1024;

/// Checks each input of a target's corpus, and so many mutations of it.
///
/// # Panics
/// A property does not hold; the input is printed before.
pub fn run(target: &str, check: fn(&[u8]), mutations: usize) {
    let corpus = corpus(target);
    corpus.iter().for_each(|input| checked(check, input));
    let mut random = Rng::with_seed(u64::from_be_bytes(*b"rauthbin"));
    for _ in 0..mutations {
        checked(check, &mutation(&corpus, &mut random));
    }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", directory.display());
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn checked(check: fn(&[u8]), input: &[u8]) {
    if let Err(failure) = panic::catch_unwind(|| check(input)) {
        eprintln!("the input: b\"{}\"", input.escape_ascii());
        panic::resume_unwind(failure);
    }
}

/// One input of the corpus with a few changes.
fn mutation(corpus: &[Vec<u8>], random: &mut Rng) -> Vec<u8> {
    let mut input = one_of(corpus, random).clone();
    for _ in 0..random.usize(1..=4) {
        let at = random.usize(..=input.len());
        let end = random.usize(at..=input.len().min(at + 16));
        match random.u8(..6) {
            0 if at < input.len() => input[at] ^= 1 << random.u8(..8),
            1 if at < input.len() => input[at] = random.u8(..),
            2 => input.insert(at, random.u8(..)),
            3 => drop(input.drain(at..end)),
            4 => drop(input.splice(at..at, input[at..end].to_vec())),
            _ => {
                let other = one_of(corpus, random);
                let from = random.usize(..=other.len());
                let to = random.usize(from..=other.len().min(from + 32));
                drop(input.splice(at..end, other[from..to].iter().copied()));
            }
        }
    }
    input.truncate(LONGEST);
    input
}

fn one_of<'a>(corpus: &'a [Vec<u8>], random: &mut Rng) -> &'a Vec<u8> {
    &corpus[random.usize(..corpus.len())]
}
