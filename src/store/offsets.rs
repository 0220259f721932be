//! Where things lie in a result file of ours: each dataset's storage, and the headers that may change.
//!
//! The HDF5 crate reads datasets but tells no address, so this walks the metadata itself: superblock, root group,
//! links, dataset headers, with the crate's decoders for the messages. It knows the forms that [`super::skeleton`] writes and nothing
//! more; anything else (a file copied or compressed by another tool) is refused, which only means that such a file can be read but
//! not continued. Every address and length is checked against the file before it is followed.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use hdf5::format::FormatContext;
use hdf5::format::checksum::checksum_metadata;
use hdf5::format::messages::data_layout::{ChunkIndexType, DataLayoutMessage};
use hdf5::format::messages::dataspace::DataspaceMessage;
use hdf5::format::messages::datatype::DatatypeMessage;
use hdf5::format::messages::filter::FilterPipeline;
use hdf5::format::messages::link::{LinkMessage, LinkTarget};
use hdf5::format::messages::{
    MSG_ATTRIBUTE, MSG_DATA_LAYOUT, MSG_DATASPACE, MSG_DATATYPE, MSG_FILTER_PIPELINE, MSG_LINK,
    MSG_OBJ_HEADER_CONTINUATION,
};
use hdf5::format::superblock::SuperblockV2V3;

use super::StoreError;
use super::attributes::{Found, Heaps};
use super::chunks;
use super::disk::{Disk, read_at};
use super::packed::{Packed, read_index};
use super::skeleton::SECTOR;

/// No header of ours is larger.
const MOST_HEADER_BYTES: u64 = 64 << 20;
/// Bytes of a version 3 superblock.
const SUPERBLOCK_BYTES: usize = 48;

/// Where a dataset's numbers lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Address of the object header.
    pub header: u64,
    pub dims: Vec<u64>,
    /// Bytes of one number.
    pub bytes: u64,
    /// Address of the first byte of storage; `None` without storage.
    pub at: Option<u64>,
    pub chunk: Option<[u64; 2]>,
    /// Where the chunks are, if they are compressed; `at` is then their index.
    pub packed: Option<Arc<Packed>>,
}

impl Place {
    /// Number of values.
    pub(super) fn len(&self) -> u64 {
        self.dims.iter().product()
    }

    /// Bytes of storage.
    fn stored(&self) -> Option<u64> {
        match (self.chunk, self.dims.as_slice()) {
            (Some(chunk), &[rows, columns]) => {
                chunks::stored_bytes([rows, columns], chunk, self.bytes)
            }
            (Some(_), _) => None,
            (None, dims) => dims.iter().try_fold(self.bytes, |n, &d| n.checked_mul(d)),
        }
    }
}

/// Every dataset by its path, the root group's header, and all attributes.
#[derive(Clone, Debug)]
pub(super) struct Map {
    pub root: u64,
    pub places: HashMap<String, Place>,
    /// Paths in the order of creation.
    pub order: Vec<String>,
    /// Attributes of each object that has any, the root's under the empty path.
    pub attributes: HashMap<String, Vec<(String, Found)>>,
}

impl Map {
    pub(super) fn get(&self, path: &str) -> Option<&Place> {
        self.places.get(path)
    }
}

/// One message of an object header.
struct Message {
    kind: u8,
    /// Where its body starts in the chunk that was read.
    start: usize,
    body: Vec<u8>,
}

/// What is wrong with a file, to be put behind its name.
pub(super) type Fault = String;

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(
        bytes.get(at..at.checked_add(8)?)?.try_into().ok()?,
    ))
}

/// The messages in `bytes[start..end]`, in version 2 form without creation indices.
fn messages(bytes: &[u8], start: usize, end: usize) -> Result<Vec<Message>, Fault> {
    let mut found = Vec::new();
    let mut at = start;
    while at + 4 <= end {
        let length = usize::from(u16::from_le_bytes([bytes[at + 1], bytes[at + 2]]));
        let body = bytes
            .get(at + 4..at + 4 + length)
            .filter(|_| at + 4 + length <= end);
        let body = body.ok_or("a header's message is longer than its header")?;
        found.push(Message {
            kind: bytes[at],
            start: at + 4,
            body: body.to_vec(),
        });
        at += 4 + length;
    }
    Ok(found)
}

struct Walker<'a> {
    file: &'a File,
    /// The file's length.
    length: u64,
    ctx: FormatContext,
}

impl Walker<'_> {
    fn bytes(&self, at: u64, length: u64) -> Result<Vec<u8>, Fault> {
        if length > MOST_HEADER_BYTES || at.checked_add(length).is_none_or(|end| end > self.length)
        {
            return Err(format!("{length} bytes at {at} lie outside the file"));
        }
        let mut bytes = vec![0; length as usize];
        read_at(self.file, at, &mut bytes).map_err(|e| e.to_string())?;
        Ok(bytes)
    }

    /// First chunk of an object header, and where its messages start and end.
    fn first_chunk(&self, at: u64) -> Result<(Vec<u8>, usize, usize), Fault> {
        let prefix = self.bytes(at, 14.min(self.length.saturating_sub(at)))?;
        if prefix.len() < 14 || &prefix[..4] != b"OHDR" || prefix[4] != 2 || prefix[5] & !3 != 0 {
            return Err(format!("no object header of ours at {at}"));
        }
        let width = 1 << (prefix[5] & 3);
        let mut size = [0; 8];
        size[..width].copy_from_slice(&prefix[6..6 + width]);
        let (start, area) = (6 + width, u64::from_le_bytes(size));
        let total = area
            .checked_add(start as u64 + 4)
            .ok_or("a header of absurd size")?;
        let bytes = self.bytes(at, total)?;
        checked(&bytes)?;
        let end = bytes.len() - 4;
        Ok((bytes, start, end))
    }

    /// All messages of an object header, its continuation included.
    fn header(&self, at: u64) -> Result<Vec<Message>, Fault> {
        let (bytes, start, end) = self.first_chunk(at)?;
        let mut all = messages(&bytes, start, end)?;
        let next = all.iter().find(|m| m.kind == MSG_OBJ_HEADER_CONTINUATION);
        if let Some(next) = next {
            let (at, length) = u64_at(&next.body, 0)
                .zip(u64_at(&next.body, 8))
                .ok_or("a broken continuation of a header")?;
            let bytes = self.bytes(at, length)?;
            if bytes.len() < 8 || &bytes[..4] != b"OCHK" {
                return Err(format!("no continuation at {at}"));
            }
            checked(&bytes)?;
            all.extend(messages(&bytes, 4, bytes.len() - 4)?);
        }
        Ok(all)
    }

    fn links(&self, header: &[Message]) -> Result<Vec<(String, u64)>, Fault> {
        let mut links = Vec::new();
        for message in header.iter().filter(|m| m.kind == MSG_LINK) {
            let (link, _) =
                LinkMessage::decode(&message.body, &self.ctx).map_err(|e| e.to_string())?;
            if let LinkTarget::Hard { address } = link.target {
                links.push((link.name, address));
            }
        }
        Ok(links)
    }

    fn attributes(
        &self,
        header: &[Message],
        heaps: &mut Heaps,
    ) -> Result<Vec<(String, Found)>, Fault> {
        let attributes = header.iter().filter(|m| m.kind == MSG_ATTRIBUTE);
        attributes
            .map(|m| heaps.attribute(&m.body, &self.ctx, |at, length| self.bytes(at, length)))
            .collect()
    }

    fn place(&self, at: u64, header: &[Message]) -> Result<Option<Place>, Fault> {
        let body = |kind| {
            header
                .iter()
                .find(|m| m.kind == kind)
                .map(|m| m.body.as_slice())
        };
        let (Some(space), Some(datatype), Some(layout)) = (
            body(MSG_DATASPACE),
            body(MSG_DATATYPE),
            body(MSG_DATA_LAYOUT),
        ) else {
            return Ok(None);
        };
        let (space, _) = DataspaceMessage::decode(space, &self.ctx).map_err(|e| e.to_string())?;
        let (datatype, _) =
            DatatypeMessage::decode(datatype, &self.ctx).map_err(|e| e.to_string())?;
        let (layout, _) =
            DataLayoutMessage::decode(layout, &self.ctx).map_err(|e| e.to_string())?;
        let bytes = u64::from(datatype.element_size());
        let mut place = Place {
            header: at,
            dims: space.dims,
            bytes,
            at: None,
            chunk: None,
            packed: None,
        };
        match layout {
            DataLayoutMessage::Contiguous { address, .. } if address == u64::MAX => {
                return Ok(Some(place));
            }
            DataLayoutMessage::Contiguous { address, size } => {
                place.at = Some(address);
                if place.stored() != Some(size) {
                    return Err("a dataset's size contradicts its shape".to_string());
                }
            }
            DataLayoutMessage::ChunkedV4 {
                chunk_dims,
                index_type: ChunkIndexType::Implicit,
                index_address,
                ..
            } => {
                let &[rows, columns, element] = chunk_dims.as_slice() else {
                    return Err("a chunk of a rank that we do not write".to_string());
                };
                if rows == 0 || columns == 0 || element != bytes || place.dims.len() != 2 {
                    return Err("a chunk of a shape that we do not write".to_string());
                }
                place.chunk = Some([rows, columns]);
                place.at = Some(index_address);
            }
            DataLayoutMessage::ChunkedV4 {
                chunk_dims,
                index_type: ChunkIndexType::FixedArray,
                index_address,
                ..
            } => {
                let (&[rows, columns, element], &[long, wide]) =
                    (chunk_dims.as_slice(), place.dims.as_slice())
                else {
                    return Err("a chunk of a rank that we do not write".to_string());
                };
                let filters = body(MSG_FILTER_PIPELINE).ok_or("chunks that we do not write")?;
                let (pipeline, _) = FilterPipeline::decode(filters).map_err(|e| e.to_string())?;
                if rows == 0 || columns == 0 || element != bytes {
                    return Err("a chunk of a shape that we do not write".to_string());
                }
                let (dims, chunk) = ([long, wide], [rows, columns]);
                let read = |at, length| self.bytes(at, length);
                let packed = read_index(index_address, dims, chunk, bytes, pipeline, read)?;
                let outside = |&(at, length): &(u64, u64)| {
                    at.checked_add(length).is_none_or(|end| end > self.length)
                };
                if packed.chunks.iter().any(outside) {
                    return Err("a chunk reaches beyond the file's end".to_string());
                }
                place.chunk = Some(chunk);
                place.at = Some(index_address);
                place.packed = Some(Arc::new(packed));
                return Ok(Some(place));
            }
            _ => return Err("a storage that we do not write".to_string()),
        }
        let end = place
            .at
            .zip(place.stored())
            .and_then(|(at, size)| at.checked_add(size));
        if end.is_none_or(|end| end > self.length) {
            return Err("a dataset reaches beyond the file's end".to_string());
        }
        Ok(Some(place))
    }
}

/// Whether the last four bytes are the checksum of the others.
fn checked(bytes: &[u8]) -> Result<(), Fault> {
    let (content, checksum) = bytes.split_at(bytes.len() - 4);
    if checksum_metadata(content).to_le_bytes() == checksum {
        Ok(())
    } else {
        Err("a checksum does not fit".to_string())
    }
}

fn superblock(walker: &Walker<'_>) -> Result<SuperblockV2V3, Fault> {
    let bytes = walker
        .bytes(0, SUPERBLOCK_BYTES as u64)
        .map_err(|_| "it is too short")?;
    if bytes[..8] != hdf5::format::superblock::HDF5_SIGNATURE {
        return Err("it is not an HDF5 file".to_string());
    }
    let block = SuperblockV2V3::decode(&bytes)
        .map_err(|e| format!("its superblock is not one of ours: {e}"))?;
    if block.sizeof_offsets != 8 || block.sizeof_lengths != 8 || block.base_address != 0 {
        return Err("its superblock is not one of ours".to_string());
    }
    if block.end_of_file_address > walker.length {
        return Err(format!(
            "it is truncated: {} bytes of {}",
            walker.length, block.end_of_file_address
        ));
    }
    Ok(block)
}

/// Finds every dataset of a file.
pub(super) fn map(file: &File, path: &Path) -> Result<Map, StoreError> {
    let length = file
        .metadata()
        .map_err(StoreError::io("cannot read", path))?
        .len();
    let walker = Walker {
        file,
        length,
        ctx: FormatContext::default_v3(),
    };
    walk(&walker).map_err(|why| StoreError::format(path, why))
}

fn walk(walker: &Walker<'_>) -> Result<Map, Fault> {
    let root = superblock(walker)?.root_group_object_header_address;
    let mut map = Map {
        root,
        places: HashMap::new(),
        order: Vec::new(),
        attributes: HashMap::new(),
    };
    let mut heaps = Heaps::default();
    let header = walker.header(root)?;
    map.attributes
        .insert(String::new(), walker.attributes(&header, &mut heaps)?);
    let mut add = |path: String, at: u64, header: &[Message]| -> Result<bool, Fault> {
        let Some(place) = walker
            .place(at, header)
            .map_err(|why| format!("`{path}`: {why}"))?
        else {
            return Ok(false);
        };
        map.attributes
            .insert(path.clone(), walker.attributes(header, &mut heaps)?);
        map.order.push(path.clone());
        map.places.insert(path, place);
        Ok(true)
    };
    // Two levels and no deeper: a damaged link cannot make this walk in a circle.
    for (name, at) in walker.links(&header)? {
        let header = walker.header(at)?;
        if add(name.clone(), at, &header)? {
            continue;
        }
        for (member, at) in walker.links(&header)? {
            add(format!("{name}/{member}"), at, &walker.header(at)?)?;
        }
    }
    Ok(map)
}

/// Changes message bodies in the first chunk of the header at `at`, and its checksum, in one write within a sector.
fn edit(
    file: &Disk,
    path: &Path,
    at: u64,
    change: impl Fn(u8, &mut [u8]) -> bool,
) -> Result<(), StoreError> {
    let fault = |why: String| StoreError::format(path, why);
    let length = file
        .metadata()
        .map_err(StoreError::io("cannot read", path))?
        .len();
    let walker = Walker {
        file,
        length,
        ctx: FormatContext::default_v3(),
    };
    let (mut bytes, start, end) = walker.first_chunk(at).map_err(fault)?;
    if bytes.len() as u64 > SECTOR || !at.is_multiple_of(SECTOR) {
        return Err(StoreError::format(
            path,
            "a header that must change is not in a sector of its own",
        ));
    }
    let mut changed = false;
    for message in messages(&bytes, start, end).map_err(fault)? {
        let body = message.start..message.start + message.body.len();
        changed |= change(message.kind, &mut bytes[body]);
    }
    if !changed {
        return Err(StoreError::format(path, "a header lacks what must change"));
    }
    let content = bytes.len() - 4;
    let checksum = checksum_metadata(&bytes[..content]);
    bytes[content..].copy_from_slice(&checksum.to_le_bytes());
    file.write_at(at, &bytes)
        .map_err(StoreError::io("cannot write", path))
}

fn overwrite_tail(body: &mut [u8], tail: &[u8]) {
    let start = body.len() - tail.len();
    body[start..].copy_from_slice(tail);
}

/// Points `status` to the `index`-th of [`super::skeleton::RUN_STATUS`] and sets `n_lost`.
pub(super) fn set_status(
    file: &Disk,
    path: &Path,
    root: u64,
    index: usize,
    n_lost: Option<i64>,
) -> Result<(), StoreError> {
    let text = super::skeleton::RUN_STATUS[index];
    edit(file, path, root, |kind, body| {
        // Version 3: nine bytes of sizes, then the name; the value comes last.
        let is = |body: &[u8], name: &[u8]| {
            kind == MSG_ATTRIBUTE && body.len() >= 40 && body[9..].starts_with(name)
        };
        if is(body, b"status\0") {
            let heap = u64_at(body, body.len() - 12).unwrap_or(0);
            overwrite_tail(
                body,
                &hdf5::format::global_heap::encode_vlen_reference(
                    text.len() as u32,
                    heap,
                    index as u32 + 1,
                    &FormatContext::default_v3(),
                ),
            );
            true
        } else if let (true, Some(n_lost)) = (is(body, b"n_lost\0"), n_lost) {
            overwrite_tail(body, &n_lost.to_le_bytes());
            true
        } else {
            false
        }
    })
}

/// Sets the length of a one-dimensional dataset, and where its storage starts if that changed.
pub(super) fn set_length(
    file: &Disk,
    path: &Path,
    place: &Place,
    length: u64,
    at: Option<u64>,
) -> Result<(), StoreError> {
    // The C library takes nothing at a place for a damaged file.
    let at = if length == 0 { Some(u64::MAX) } else { at };
    edit(file, path, place.header, |kind, body| match kind {
        MSG_DATASPACE => {
            overwrite_tail(body, &length.to_le_bytes());
            true
        }
        MSG_DATA_LAYOUT if body.len() >= 18 => {
            if let Some(at) = at {
                body[2..10].copy_from_slice(&at.to_le_bytes());
            }
            overwrite_tail(&mut body[..18], &(length * place.bytes).to_le_bytes());
            true
        }
        _ => false,
    })
}

/// Moves the file's end as the superblock states it.
pub(super) fn set_end(file: &Disk, path: &Path, end: u64) -> Result<(), StoreError> {
    let length = file
        .metadata()
        .map_err(StoreError::io("cannot read", path))?
        .len();
    let walker = Walker {
        file,
        length,
        ctx: FormatContext::default_v3(),
    };
    let mut block = superblock(&walker).map_err(|why| StoreError::format(path, why))?;
    block.end_of_file_address = end;
    file.write_at(0, &block.encode())
        .map_err(StoreError::io("cannot write", path))
}
