//! The messages, byte by byte: 275 of them, big-endian, as Python's `struct` packs them.
//!
//! ```text
//! request  !HB256p16p      id, type 1, name of the image, name of the model
//! result   !HBBH253xBd7x   id, type 2, the same fields: 2 and the class, 8 and the confidence
//! error    !HB256p16x      id, type 3, text
//! ```
//!
//! `p` is a Pascal string: its length in the first byte of the field. What is behind its end is ignored, as `struct` does.

use crate::refusal::Refusal;

pub const SIZE: usize = 275;

pub type Message = [u8; SIZE];

const REQUEST: u8 = 1;
const RESULT: u8 = 2;
const ERROR: u8 = 3;

/// Where the fields are.
const TYPE: usize = 2;
const FIRST: usize = 3;
const SECOND: usize = FIRST + 256;

/// A request that is well-formed.
#[derive(Debug, PartialEq)]
pub struct Request {
    pub id: u16,
    pub image: Vec<u8>,
    pub model: Vec<u8>,
}

impl Request {
    pub fn parse(datagram: &[u8]) -> Result<Self, Refusal> {
        let message: &Message =
            datagram.try_into().map_err(|_| Refusal::Malformed("its size is wrong; expected 275 bytes"))?;
        if message[TYPE] != REQUEST {
            return Err(Refusal::Malformed("its type is wrong; expected 1"));
        }
        let model = pascal(&message[SECOND..])
            .ok_or(Refusal::Malformed("the model is longer than its field; expected at most 15 bytes"))?;
        // A byte cannot say more than there is room for in 256.
        let image = pascal(&message[FIRST..SECOND]).unwrap_or_default();
        Ok(Self { id: id(datagram), image: image.to_vec(), model: model.to_vec() })
    }
}

/// Whatever the datagram is, its first two bytes are the id; 0 if there are fewer.
pub fn id(datagram: &[u8]) -> u16 {
    datagram.first_chunk().map_or(0, |id| u16::from_be_bytes(*id))
}

pub fn result(id: u16, class: u16, confidence: f64) -> Message {
    let mut message = begin(id, RESULT);
    put(&mut message[FIRST..], &class.to_be_bytes());
    put(&mut message[SECOND..], &confidence.to_be_bytes());
    message
}

pub fn error(id: u16, text: &str) -> Message {
    let mut message = begin(id, ERROR);
    put(&mut message[FIRST..SECOND], text.as_bytes());
    message
}

fn begin(id: u16, kind: u8) -> Message {
    let mut message = [0; SIZE];
    message[..TYPE].copy_from_slice(&id.to_be_bytes());
    message[TYPE] = kind;
    message
}

/// None: it claims to be longer than its field.
fn pascal(field: &[u8]) -> Option<&[u8]> {
    let (length, bytes) = field.split_first()?;
    bytes.get(..usize::from(*length))
}

/// As `struct` does, what does not fit is cut.
fn put(field: &mut [u8], bytes: &[u8]) {
    let most = field.len().saturating_sub(1).min(255);
    let bytes = &bytes[..bytes.len().min(most)];
    field[0] = bytes.len() as u8;
    field[1..=bytes.len()].copy_from_slice(bytes);
}
