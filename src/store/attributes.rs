//! Attributes read back: numbers and texts; everything else is passed over.

use std::collections::HashMap;

use hdf5::format::FormatContext;
use hdf5::format::global_heap::{GlobalHeapCollection, decode_vlen_reference};
use hdf5::format::messages::attribute::AttributeMessage;
use hdf5::format::messages::datatype::{ByteOrder, DatatypeMessage};

use super::offsets::Fault;

/// Bytes of a heap's head.
const HEAP_HEAD: u64 = 16;

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Found {
    Text(String),
    Integers(Vec<i64>),
    Real(f64),
    /// A reference, a list of references: structure, not content.
    Other,
}

/// The heaps that texts lie in, each read once.
#[derive(Default)]
pub(super) struct Heaps(HashMap<u64, GlobalHeapCollection>);

impl Heaps {
    /// Decodes an attribute message; `read` gives bytes of the file, within its bounds.
    pub(super) fn attribute(
        &mut self,
        body: &[u8],
        ctx: &FormatContext,
        read: impl Fn(u64, u64) -> Result<Vec<u8>, Fault>,
    ) -> Result<(String, Found), Fault> {
        let (attribute, _) = AttributeMessage::decode(body, ctx).map_err(|e| e.to_string())?;
        let data = &attribute.data;
        let found = match attribute.datatype {
            DatatypeMessage::VarLenString { .. } if attribute.dataspace.dims.is_empty() => {
                let (_, heap, index) =
                    decode_vlen_reference(data, ctx).map_err(|e| e.to_string())?;
                Found::Text(self.text(heap, index, ctx, read)?)
            }
            DatatypeMessage::FixedString { .. } => Found::Text(until_nul(data)),
            DatatypeMessage::FixedPoint {
                size,
                byte_order: ByteOrder::LittleEndian,
                signed,
                ..
            } => Found::Integers(
                data.chunks_exact((size as usize).max(1))
                    .map(|word| integer(word, signed))
                    .collect(),
            ),
            DatatypeMessage::FloatingPoint {
                size: 8,
                byte_order: ByteOrder::LittleEndian,
                ..
            } if data.len() == 8 => {
                Found::Real(f64::from_le_bytes(std::array::from_fn(|i| data[i])))
            }
            DatatypeMessage::FloatingPoint {
                size: 4,
                byte_order: ByteOrder::LittleEndian,
                ..
            } if data.len() == 4 => {
                Found::Real(f64::from(f32::from_le_bytes(std::array::from_fn(|i| {
                    data[i]
                }))))
            }
            _ => Found::Other,
        };
        Ok((attribute.name, found))
    }

    fn text(
        &mut self,
        at: u64,
        index: u32,
        ctx: &FormatContext,
        read: impl Fn(u64, u64) -> Result<Vec<u8>, Fault>,
    ) -> Result<String, Fault> {
        if let std::collections::hash_map::Entry::Vacant(place) = self.0.entry(at) {
            let head = read(at, HEAP_HEAD)?;
            let length =
                GlobalHeapCollection::decode_size(&head, ctx).map_err(|e| e.to_string())?;
            let bytes = read(at, length as u64)?;
            place.insert(
                GlobalHeapCollection::decode(&bytes, ctx)
                    .map_err(|e| e.to_string())?
                    .0,
            );
        }
        let object = u16::try_from(index)
            .ok()
            .and_then(|index| self.0[&at].get_object(index));
        Ok(until_nul(
            object.ok_or("a text that the file refers to is not there")?,
        ))
    }
}

fn until_nul(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.split(|&b| b == 0).next().unwrap_or_default()).into_owned()
}

fn integer(word: &[u8], signed: bool) -> i64 {
    let mut bytes = [0; 8];
    let n = word.len().min(8);
    bytes[..n].copy_from_slice(&word[..n]);
    let value = i64::from_le_bytes(bytes);
    let unused = 64 - 8 * n as u32;
    if signed {
        value << unused >> unused
    } else {
        value
    }
}
