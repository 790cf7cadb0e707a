//! Edits that make hostile input of good input.

use proptest::collection::vec;
use proptest::prelude::*;

/// The longest input that is made.
const MOST_BYTES: usize = 1 << 17;
/// The most edits of one input: with more nothing of the good one is left.
const MOST_EDITS: usize = 6;

/// Words that mean something to one parser or another.
const WORDS: [&[u8]; 34] = [
    b"",
    b"\0",
    b"\n",
    b"\r\n",
    b" ",
    b"\t",
    b".",
    b"..",
    b"_",
    b"-",
    b"=",
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"true",
    b"-1",
    b"0",
    b"18446744073709551616",
    b"1e309",
    b"\\u0000",
    b"\\ud800",
    b"\xff\xfe",
    b"\xc3",
    "\u{feff}".as_bytes(),
    b"pk_",
    b"eyJ",
    b"{\"id\":1,\"connect\":{}}",
    b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
];

/// One change of an input. Places are parts of 65,536, so that one edit means something in inputs of any length.
#[derive(Clone, Debug)]
enum Edit {
    Flip { at: u16, bit: u8 },
    Set { at: u16, byte: u8 },
    Insert { at: u16, word: Vec<u8> },
    Remove { at: u16, length: u16 },
    Cut { at: u16 },
    Repeat { at: u16, length: u16, times: u16 },
    Move { from: u16, length: u16, to: u16 },
    Nest { open: u8, depth: u16 },
    Join { other: usize },
}

/// Variants of the seeds, and now and then bytes of no kind.
pub fn variants(seeds: Vec<Vec<u8>>) -> BoxedStrategy<Vec<u8>> {
    let noise = vec(any::<u8>(), 0..256);
    if seeds.is_empty() {
        return noise.boxed();
    }
    let chosen = (0..seeds.len(), vec(edit(seeds.len()), 0..=MOST_EDITS));
    let edited = chosen.prop_map(move |(seed, edits)| {
        edits.iter().fold(seeds[seed].clone(), |input, edit| applied(edit, input, &seeds))
    });
    prop_oneof![20 => edited, 1 => noise].boxed()
}

fn edit(seeds: usize) -> impl Strategy<Value = Edit> {
    let word = prop_oneof![prop::sample::select(&WORDS[..]).prop_map(<[u8]>::to_vec), vec(any::<u8>(), 1..9),];
    prop_oneof![
        3 => (any::<u16>(), 0..8_u8).prop_map(|(at, bit)| Edit::Flip { at, bit }),
        3 => (any::<u16>(), any::<u8>()).prop_map(|(at, byte)| Edit::Set { at, byte }),
        4 => (any::<u16>(), word).prop_map(|(at, word)| Edit::Insert { at, word }),
        3 => (any::<u16>(), 1..64_u16).prop_map(|(at, length)| Edit::Remove { at, length }),
        2 => any::<u16>().prop_map(|at| Edit::Cut { at }),
        2 => (any::<u16>(), 1..64_u16, 1..2_000_u16).prop_map(|(at, length, times)| Edit::Repeat { at, length, times }),
        2 => (any::<u16>(), 1..64_u16, any::<u16>()).prop_map(|(from, length, to)| Edit::Move { from, length, to }),
        1 => (prop::sample::select(&b"[{"[..]), 1..5_000_u16).prop_map(|(open, depth)| Edit::Nest { open, depth }),
        1 => (0..seeds).prop_map(|other| Edit::Join { other }),
    ]
}

fn place(at: u16, length: usize) -> usize {
    usize::from(at) * length / 65_536
}

fn applied(edit: &Edit, mut input: Vec<u8>, seeds: &[Vec<u8>]) -> Vec<u8> {
    let length = input.len();
    let end = |at: usize, span: u16| (at + usize::from(span)).min(length);
    match edit {
        Edit::Flip { at, bit } => {
            if let Some(byte) = input.get_mut(place(*at, length)) {
                *byte ^= 1 << bit;
            }
        }
        Edit::Set { at, byte } => {
            if let Some(old) = input.get_mut(place(*at, length)) {
                *old = *byte;
            }
        }
        Edit::Insert { at, word } => drop(input.splice(place(*at, length + 1)..place(*at, length + 1), word.clone())),
        Edit::Remove { at, length: span } => drop(input.drain(place(*at, length)..end(place(*at, length), *span))),
        Edit::Cut { at } => input.truncate(place(*at, length)),
        Edit::Repeat { at, length: span, times } => {
            let at = place(*at, length);
            let piece = input[at..end(at, *span)].repeat(usize::from(*times));
            drop(input.splice(at..at, piece));
        }
        Edit::Move { from, length: span, to } => {
            let from = place(*from, length);
            let piece: Vec<u8> = input.drain(from..end(from, *span)).collect();
            let to = place(*to, input.len() + 1);
            drop(input.splice(to..to, piece));
        }
        Edit::Nest { open, depth } => {
            let depth = usize::from(*depth);
            let (before, after): (&[u8], &[u8]) = if *open == b'[' { (b"[", b"]") } else { (b"{\"a\":", b"}") };
            input = [before.repeat(depth), input, after.repeat(depth)].concat();
        }
        Edit::Join { other } => input.extend_from_slice(&seeds[*other]),
    }
    input.truncate(MOST_BYTES);
    input
}
