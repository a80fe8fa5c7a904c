//! What becomes of a good input: what people get wrong, what disks and networks do to files, what an attacker writes.

use crate::dice::Dice;

/// What stands where a number or a word should.
const WORDS: &[&str] = &[
    "0",
    "-1",
    "1",
    "2.5",
    "1e20",
    "1e308",
    "-1e308",
    "1e-320",
    "NaN",
    "Infinity",
    "4e9",
    "4294967296",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999",
    "TP4",
    "90%",
    "1,024",
    "\"1,024\"",
    "fp9",
    "",
    "null",
    "~",
    "true",
    "[]",
    "{}",
    "[[[",
    "{{{",
    "&a",
    "*a",
    "!!binary x",
    "=1+1",
    "../../etc/passwd",
    "/dev/zero",
    "/dev/null",
    ".",
    "x",
    "\u{202e}abc",
    "\u{1b}[31m",
    "😀",
    "0x10",
    "1_000",
    "١٢٣",
    "1.5 EB",
    "-5 GB",
    "1e400",
    "0..9999999",
    "65536",
    "2147483648",
    "uniform:1..1e9",
    "lognormal:1e9,1e9",
];

/// Changes text in one to four places.
pub fn text(good: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for _ in 0..=dice.throw(4) {
        bytes = once(bytes, dice);
    }
    bytes
}

/// Bytes of a binary file: flips, cuts, numbers that are too large.
pub fn binary(good: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for _ in 0..=dice.throw(6) {
        let at = dice.throw(bytes.len());
        match dice.throw(5) {
            0 => bytes.truncate(at),
            1 if at + 8 <= bytes.len() => {
                let n = *dice.pick(&[u64::MAX, u64::MAX - 7, 1 << 63, 1 << 40, 1 << 31, 0, 1]);
                bytes[at..at + 8].copy_from_slice(&n.to_le_bytes());
            }
            2 if at < bytes.len() => bytes[at] ^= 1 << dice.throw(8),
            _ if at < bytes.len() => bytes[at] = dice.throw(256) as u8,
            _ => {}
        }
    }
    bytes
}

/// Changes one word of a command line, or takes it away.
pub fn words(good: &[String], dice: &mut Dice) -> Vec<String> {
    let mut words = good.to_vec();
    for _ in 0..=dice.throw(2) {
        if words.is_empty() {
            break;
        }
        let at = dice.throw(words.len());
        match dice.throw(6) {
            0 => drop(words.remove(at)),
            1 => {
                let again = words[at].clone();
                words.insert(at, again);
            }
            2 => {
                words[at] =
                    String::from_utf8_lossy(&once(words[at].clone().into_bytes(), dice)).replace('\0', "")
            }
            _ => words[at] = (*dice.pick(WORDS)).to_owned(),
        }
    }
    words
}

fn once(mut bytes: Vec<u8>, dice: &mut Dice) -> Vec<u8> {
    let at = dice.throw(bytes.len() + 1);
    match dice.throw(16) {
        0 => bytes.truncate(at),
        1 if !bytes.is_empty() => {
            let at = at.min(bytes.len() - 1);
            bytes[at] = dice.throw(256) as u8;
        }
        2 => drop(bytes.splice(at..at, [0xff, 0xfe, 0])),
        3 => return swapped_line(&bytes, dice),
        4 => {
            // Deep nesting.
            let open: &[u8] = if dice.throw(2) == 0 { b"[" } else { b"{\"a\":" };
            drop(bytes.splice(at..at, open.repeat(20_000)));
        }
        5 => drop(bytes.splice(at..at, vec![b'9'; 1 << (4 + dice.throw(17))])),
        6 => {
            // Aliases that grow as they are read.
            let bomb = "a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, \
                *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c]\ne: &e [*d, *d, *d, *d, *d, *d, *d]\nf: [*e, *e, *e, \
                *e, *e, *e, *e, *e]\n";
            drop(bytes.splice(0..0, bomb.bytes()));
        }
        7 => {
            let crlf = String::from_utf8_lossy(&bytes).replace('\n', "\r\n").into_bytes();
            return [b"\xef\xbb\xbf".to_vec(), crlf].concat();
        }
        _ => return with_word(&bytes, dice),
    }
    bytes
}

/// One line twice, gone, or in the place of another.
fn swapped_line(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut lines: Vec<&[u8]> = bytes.split_inclusive(|b| *b == b'\n').collect();
    if lines.is_empty() {
        return bytes.to_vec();
    }
    let (a, b) = (dice.throw(lines.len()), dice.throw(lines.len()));
    match dice.throw(3) {
        0 => lines.insert(a, lines[b]),
        1 => drop(lines.remove(a)),
        _ => lines.swap(a, b),
    }
    lines.concat()
}

/// Another word in the place of one: of a number two times in three.
fn with_word(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'%');
    let numbers = dice.throw(3) > 0;
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let end = at + bytes[at..].iter().take_while(|b| is_word(**b)).count();
        if end > at && (!numbers || bytes[at].is_ascii_digit()) {
            found.push(at..end);
        }
        at = end.max(at) + 1;
    }
    if found.is_empty() {
        return bytes.to_vec();
    }
    let place = dice.pick(&found).clone();
    let mut out = bytes.to_vec();
    out.splice(place, dice.pick(WORDS).bytes());
    out
}
