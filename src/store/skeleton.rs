//! The bytes of a result file before anything is written into it: superblock, groups, dataset headers, attributes, and the
//! address of every dataset's storage.
//!
//! The file is put together here, message by message with the encoders of the HDF5 crate, and not through the crate's
//! writer: that one tells no dataset's address, fills early-allocated chunks (16 GB took 42 s), and moves the many attributes and links of
//! the root into heaps. Put together by hand, all metadata lies in one run at the file's start (a truncated file still says what
//! it was), storage follows at known, aligned addresses, and the few headers that change when a run ends are small: each
//! has its first chunk within one 512-byte sector of its own, everything else in a continuation. Changing them is one write within a sector,
//! checksum included, and cannot be torn.
//!
//! Not here: what the datasets mean ([`super::netcdf`]), and writing any byte to a disk ([`super::writer`]).

use std::collections::HashMap;

use hdf5::format::checksum::checksum_metadata;
use hdf5::format::global_heap::{GlobalHeapCollection, encode_vlen_reference};
use hdf5::format::messages::attribute::AttributeMessage;
use hdf5::format::messages::data_layout::{DataLayoutMessage, FixedArrayParams};
use hdf5::format::messages::dataspace::DataspaceMessage;
use hdf5::format::messages::datatype::{CompoundMember, DatatypeMessage};
use hdf5::format::messages::fill_value::{ALLOC_TIME_EARLY, FILL_TIME_NEVER, FillValueMessage};
use hdf5::format::messages::filter::FilterPipeline;
use hdf5::format::messages::group_info::GroupInfoMessage;
use hdf5::format::messages::link::LinkMessage;
use hdf5::format::messages::link_info::LinkInfoMessage;
use hdf5::format::messages::{
    MSG_ATTRIBUTE, MSG_DATA_LAYOUT, MSG_DATASPACE, MSG_DATATYPE, MSG_FILL_VALUE,
    MSG_FILTER_PIPELINE, MSG_FLAG_CONSTANT, MSG_GROUP_INFO, MSG_LINK, MSG_LINK_INFO,
    MSG_OBJ_HEADER_CONTINUATION,
};
use hdf5::format::object_header::{MAX_MESSAGE_SIZE, ObjectHeader, ObjectHeaderMessage};
use hdf5::format::superblock::{SUPERBLOCK_V3, SuperblockV2V3};
use hdf5::format::{FormatContext, FormatError, UNDEF_ADDR};

use super::StoreError;
use super::netcdf::{Contents, Dataset, Kind, Value};
use super::packed;

/// What `status` says, in the order of the file's first strings: changing the attribute is pointing to another of them.
pub(super) const RUN_STATUS: [&str; 3] = ["running", "complete", "interrupted"];
/// A header that may change lies within one of these.
pub(super) const SECTOR: u64 = 512;
/// Where storage of some size starts: whole pages, so that pieces of a slab do not share one.
const PAGE: u64 = 4096;

/// The bytes and the addresses of a new file.
#[derive(Debug)]
pub(super) struct Skeleton {
    /// The metadata, from the file's first byte.
    pub metadata: Vec<u8>,
    /// Bytes of the whole file.
    pub size: u64,
    /// Where each dataset's storage starts, in the order of [`Contents::datasets`]; `None` without storage.
    pub storage: Vec<Option<u64>>,
}

/// Addresses that headers point to; they are not known in the first pass, which measures.
#[derive(Default)]
struct Places {
    headers: HashMap<String, u64>,
    continuations: HashMap<String, u64>,
    storage: Vec<Option<u64>>,
    heap: u64,
    end: u64,
}

struct Object {
    path: String,
    /// Messages of chunk 0, and of the continuation where the header may change.
    first: Vec<ObjectHeaderMessage>,
    rest: Option<Vec<ObjectHeaderMessage>>,
}

struct Builder<'a> {
    contents: &'a Contents,
    places: &'a Places,
    heap: GlobalHeapCollection,
    ctx: FormatContext,
}

pub(super) fn message(msg_type: u8, data: Vec<u8>) -> ObjectHeaderMessage {
    let flags = if msg_type == MSG_DATATYPE {
        MSG_FLAG_CONSTANT
    } else {
        0
    };
    ObjectHeaderMessage {
        msg_type,
        flags,
        creation_index: 0,
        data,
    }
}

fn datatype(kind: Kind) -> DatatypeMessage {
    match kind {
        Kind::U8 => DatatypeMessage::u8_type(),
        Kind::I16 => DatatypeMessage::i16_type(),
        Kind::I32 => DatatypeMessage::i32_type(),
        Kind::I64 => DatatypeMessage::i64_type(),
        Kind::U64 => DatatypeMessage::u64_type(),
        Kind::F32 => DatatypeMessage::f32_type(),
        Kind::F64 => DatatypeMessage::f64_type(),
    }
}

impl Builder<'_> {
    /// A string in the heap, as an attribute's value points to it.
    fn string(&mut self, text: &str) -> Result<Vec<u8>, FormatError> {
        // The C library wants at least one byte of a string that is not null.
        let bytes = if text.is_empty() {
            vec![0]
        } else {
            text.as_bytes().to_vec()
        };
        let length = u32::try_from(bytes.len())
            .map_err(|_| FormatError::InvalidData("a text of more than 4 GiB".to_string()))?;
        let index = self.heap.add_object(bytes)?;
        Ok(encode_vlen_reference(
            length,
            self.places.heap,
            u32::from(index),
            &self.ctx,
        ))
    }

    fn attribute(&mut self, name: &str, value: &Value) -> Result<ObjectHeaderMessage, FormatError> {
        let scalar = |datatype, data| AttributeMessage::scalar_numeric(name, datatype, data);
        let list = |datatype, n: usize, data| {
            AttributeMessage::array_numeric(name, datatype, &[n as u64], data)
        };
        let attribute = match value {
            Value::Text(text) => {
                let data = self.string(text)?;
                scalar(DatatypeMessage::vlen_string_utf8(), data)
            }
            Value::F32(x) => scalar(DatatypeMessage::f32_type(), x.to_le_bytes().to_vec()),
            Value::F64(x) => scalar(DatatypeMessage::f64_type(), x.to_le_bytes().to_vec()),
            Value::I64(x) => scalar(DatatypeMessage::i64_type(), x.to_le_bytes().to_vec()),
            Value::U8s(x) => list(DatatypeMessage::u8_type(), x.len(), x.clone()),
            Value::I16s(x) => list(
                DatatypeMessage::i16_type(),
                x.len(),
                x.iter().flat_map(|n| n.to_le_bytes()).collect(),
            ),
            Value::I32s(x) => list(
                DatatypeMessage::i32_type(),
                x.len(),
                x.iter().flat_map(|n| n.to_le_bytes()).collect(),
            ),
        };
        self.encoded(&attribute)
    }

    fn encoded(&self, attribute: &AttributeMessage) -> Result<ObjectHeaderMessage, FormatError> {
        let data = attribute.encode(&self.ctx);
        if data.len() > MAX_MESSAGE_SIZE {
            return Err(FormatError::InvalidData(format!(
                "attribute `{}` is too large",
                attribute.name
            )));
        }
        Ok(message(MSG_ATTRIBUTE, data))
    }

    fn fixed_string(&self, name: &str, text: &str) -> Result<ObjectHeaderMessage, FormatError> {
        let mut data = text.as_bytes().to_vec();
        data.push(0);
        let datatype = DatatypeMessage::fixed_string(data.len() as u32);
        self.encoded(&AttributeMessage::scalar_numeric(name, datatype, data))
    }

    fn header_of(&self, path: &str) -> u64 {
        self.places.headers.get(path).copied().unwrap_or(0)
    }

    /// `CLASS`, `NAME` and `REFERENCE_LIST` of a dimension scale; `DIMENSION_LIST` of what has axes.
    fn scale_attributes(
        &mut self,
        dataset: &Dataset,
    ) -> Result<Vec<ObjectHeaderMessage>, FormatError> {
        let mut attributes = Vec::new();
        if dataset.is_scale {
            attributes.push(self.fixed_string("CLASS", "DIMENSION_SCALE")?);
            attributes.push(self.fixed_string("NAME", &dataset.scale_name())?);
            let path = dataset.path();
            let mut list = Vec::new();
            for other in &self.contents.datasets {
                for (axis, _) in other
                    .axes
                    .iter()
                    .enumerate()
                    .filter(|(_, scale)| **scale == path)
                {
                    list.extend_from_slice(&self.header_of(&other.path()).to_le_bytes());
                    list.extend_from_slice(&(axis as u64).to_le_bytes());
                }
            }
            if !list.is_empty() {
                let member = |name: &str, offset, datatype| CompoundMember {
                    name: name.to_string(),
                    offset,
                    datatype,
                };
                let pair = DatatypeMessage::compound(
                    16,
                    vec![
                        member("dataset", 0, DatatypeMessage::object_reference(&self.ctx)),
                        member("dimension", 8, DatatypeMessage::u32_type()),
                    ],
                );
                let n = list.len() as u64 / 16;
                attributes.push(self.encoded(&AttributeMessage::array_numeric(
                    "REFERENCE_LIST",
                    pair,
                    &[n],
                    list,
                ))?);
            }
        }
        if !dataset.axes.is_empty() {
            let mut data = Vec::new();
            for scale in &dataset.axes {
                let index = self
                    .heap
                    .add_object(self.header_of(scale).to_le_bytes().to_vec())?;
                data.extend(encode_vlen_reference(
                    1,
                    self.places.heap,
                    u32::from(index),
                    &self.ctx,
                ));
            }
            let base = Box::new(DatatypeMessage::object_reference(&self.ctx));
            attributes.push(self.encoded(&AttributeMessage {
                name: "DIMENSION_LIST".to_string(),
                datatype: DatatypeMessage::VarLenSequence { base },
                dataspace: DataspaceMessage::simple(&[dataset.axes.len() as u64]),
                data,
            })?);
        }
        Ok(attributes)
    }

    fn dataset(&mut self, index: usize) -> Result<Object, FormatError> {
        let dataset = &self.contents.datasets[index];
        let mut space = DataspaceMessage::simple(&dataset.dims);
        // Without a stated maximum the maximum is the length itself, also after the length was changed in place.
        space.max_dims = None;
        let address = self.places.storage.get(index).copied().flatten();
        let layout = match dataset.chunk {
            Some([rows, columns]) if dataset.deflate.is_some() => {
                let max_dblk_page_nelmts_bits = packed::PAGE_BITS;
                DataLayoutMessage::chunked_v4_farray(
                    4,
                    vec![rows, columns, dataset.kind.bytes()],
                    FixedArrayParams {
                        max_dblk_page_nelmts_bits,
                    },
                    address.unwrap_or(0),
                )
            }
            Some([rows, columns]) => DataLayoutMessage::chunked_v4_implicit(
                4,
                vec![rows, columns, dataset.kind.bytes()],
                address.unwrap_or(0),
            ),
            None => DataLayoutMessage::contiguous(
                // The C library takes nothing at a place for a damaged file.
                if dataset.stored && !dataset.dims.contains(&0) {
                    address.unwrap_or(0)
                } else {
                    UNDEF_ADDR
                },
                dataset.dims.iter().product::<u64>() * dataset.kind.bytes(),
            ),
        };
        let fill = FillValueMessage {
            alloc_time: ALLOC_TIME_EARLY,
            fill_write_time: FILL_TIME_NEVER,
            ..match dataset.kind {
                Kind::F32 if dataset.stored => {
                    FillValueMessage::with_value(f32::NAN.to_le_bytes().to_vec())
                }
                Kind::F64 => FillValueMessage::with_value(f64::NAN.to_le_bytes().to_vec()),
                _ => FillValueMessage::default(),
            }
        };
        let fill = if dataset.stored {
            fill
        } else {
            FillValueMessage::default()
        };
        let mut first = vec![
            message(MSG_DATASPACE, space.encode(&self.ctx)),
            message(MSG_DATATYPE, datatype(dataset.kind).encode(&self.ctx)),
            message(MSG_FILL_VALUE, fill.encode()),
            message(MSG_DATA_LAYOUT, layout.encode(&self.ctx)),
        ];
        if let Some(level) = dataset.deflate {
            let filters = FilterPipeline::shuffle_deflate(dataset.kind.bytes() as u32, level);
            first.push(message(MSG_FILTER_PIPELINE, filters.encode()));
        }
        let mut rest = self.scale_attributes(dataset)?;
        for (name, value) in &dataset.attributes {
            rest.push(self.attribute(name, value)?);
        }
        let rest = if dataset.resizable {
            Some(rest)
        } else {
            first.append(&mut rest);
            None
        };
        Ok(Object {
            path: dataset.path(),
            first,
            rest,
        })
    }

    fn links(&self, group: &str, extra: &[&str]) -> Vec<ObjectHeaderMessage> {
        let members = self
            .contents
            .datasets
            .iter()
            .filter(|d| d.group == group)
            .map(|d| (d.name.clone(), d.path()));
        let groups = extra
            .iter()
            .map(|name| (name.to_string(), name.to_string()));
        let links: Vec<_> = members
            .chain(groups)
            .enumerate()
            .map(|(order, (name, path))| {
                let link = LinkMessage::hard(&name, self.header_of(&path))
                    .with_creation_order(order as i64);
                message(MSG_LINK, link.encode(&self.ctx))
            })
            .collect();
        let info = LinkInfoMessage {
            max_creation_order: Some(links.len() as u64),
            ..LinkInfoMessage::compact()
        };
        let mut messages = vec![
            message(MSG_LINK_INFO, info.encode(&self.ctx)),
            message(MSG_GROUP_INFO, GroupInfoMessage::default().encode()),
        ];
        messages.extend(links);
        messages
    }

    fn objects(&mut self) -> Result<Vec<Object>, FormatError> {
        // The strings of `status` come first in the heap: see RUN_STATUS.
        let status = self.string(RUN_STATUS[0])?;
        for text in &RUN_STATUS[1..] {
            self.string(text)?;
        }
        let status =
            AttributeMessage::scalar_numeric("status", DatatypeMessage::vlen_string_utf8(), status);
        let lost =
            AttributeMessage::scalar_numeric("n_lost", DatatypeMessage::i64_type(), vec![0; 8]);
        let mut groups: Vec<&str> = self
            .contents
            .datasets
            .iter()
            .map(|d| d.group)
            .filter(|g| !g.is_empty())
            .collect();
        groups.dedup();

        let first = vec![self.encoded(&status)?, self.encoded(&lost)?];
        let mut rest = self.links("", &groups);
        for (name, value) in &self.contents.attributes {
            rest.push(self.attribute(name, value)?);
        }
        let mut objects = vec![Object {
            path: String::new(),
            first,
            rest: Some(rest),
        }];
        for index in 0..self.contents.datasets.len() {
            objects.push(self.dataset(index)?);
        }
        for group in groups {
            objects.push(Object {
                path: group.to_string(),
                first: self.links(group, &[]),
                rest: None,
            });
        }
        Ok(objects)
    }
}

/// A continuation chunk: signature, messages, checksum.
fn continuation(messages: &[ObjectHeaderMessage]) -> Result<Vec<u8>, FormatError> {
    // A header's message area is what a continuation holds too: take it from an encoded header.
    let encoded = ObjectHeader {
        flags: 0,
        times: None,
        messages: messages.to_vec(),
    }
    .encode()?;
    let area: usize = messages.iter().map(|m| 4 + m.data.len()).sum();
    let start = encoded.len() - 4 - area;
    let mut bytes = b"OCHK".to_vec();
    bytes.extend_from_slice(&encoded[start..start + area]);
    let checksum = checksum_metadata(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    Ok(bytes)
}

fn align(address: u64, to: u64) -> u64 {
    address.next_multiple_of(to)
}

/// Pieces of the file, each with its address.
type Images = Vec<(u64, Vec<u8>)>;

/// One pass: the images of all objects at the given places, and the places that they turn out to need.
fn pass(contents: &Contents, places: &Places) -> Result<(Images, Places), FormatError> {
    let ctx = FormatContext::default_v3();
    let mut builder = Builder {
        contents,
        places,
        heap: GlobalHeapCollection::new(),
        ctx,
    };
    let objects = builder.objects()?;
    let mut next = Places::default();
    let mut images = Vec::new();
    // First the headers that may change, each in its own sector; sector 0 is the superblock's.
    let mut at = SECTOR;
    for object in objects.iter().filter(|o| o.rest.is_some()) {
        let rest = continuation(object.rest.as_deref().unwrap_or_default())?;
        let address = places.continuations.get(&object.path).copied().unwrap_or(0);
        let mut messages = object.first.clone();
        let mut target = address.to_le_bytes().to_vec();
        target.extend_from_slice(&(rest.len() as u64).to_le_bytes());
        messages.push(message(MSG_OBJ_HEADER_CONTINUATION, target));
        let image = ObjectHeader {
            flags: 0,
            times: None,
            messages,
        }
        .encode()?;
        if image.len() as u64 > SECTOR {
            return Err(FormatError::InvalidData(format!(
                "the header of `{}` is too large",
                object.path
            )));
        }
        next.headers.insert(object.path.clone(), at);
        images.push((at, image));
        images.push((address, rest));
        at += SECTOR;
    }
    for object in objects.iter().filter(|o| o.rest.is_none()) {
        let image = ObjectHeader {
            flags: 0,
            times: None,
            messages: object.first.clone(),
        }
        .encode()?;
        next.headers.insert(object.path.clone(), at);
        let length = image.len() as u64;
        images.push((at, image));
        at = align(at + length, 8);
    }
    for object in objects.iter() {
        if let Some(rest) = &object.rest {
            next.continuations.insert(object.path.clone(), at);
            at = align(at + continuation(rest)?.len() as u64, 8);
        }
    }
    next.heap = at;
    let heap = builder.heap.encode(&builder.ctx);
    at += heap.len() as u64;
    images.push((places.heap, heap));
    for dataset in &contents.datasets {
        let bytes = dataset
            .stored_bytes()
            .map_err(|e| FormatError::InvalidData(e.to_string()))?;
        if !dataset.stored || bytes == 0 {
            next.storage.push(None);
            continue;
        }
        at = align(at, if bytes >= PAGE { PAGE } else { 64 });
        next.storage.push(Some(at));
        at += bytes;
    }
    next.end = align(at, 8);
    let superblock = SuperblockV2V3 {
        version: SUPERBLOCK_V3,
        sizeof_offsets: 8,
        sizeof_lengths: 8,
        file_consistency_flags: 0,
        base_address: 0,
        superblock_extension_address: UNDEF_ADDR,
        end_of_file_address: places.end,
        root_group_object_header_address: places.headers.get("").copied().unwrap_or(0),
    };
    images.push((0, superblock.encode()));
    Ok((images, next))
}

/// Puts the file together.
pub(super) fn build(contents: &Contents) -> Result<Skeleton, StoreError> {
    let fault = |e: FormatError| StoreError::BadLayout(e.to_string());
    // No length depends on an address: the first pass gives the places, the second the bytes.
    let (_, places) = pass(contents, &Places::default()).map_err(fault)?;
    let (images, _) = pass(contents, &places).map_err(fault)?;
    let end = images
        .iter()
        .map(|(at, image)| *at as usize + image.len())
        .max()
        .unwrap_or(0);
    let mut metadata = vec![0; end];
    for (at, image) in images {
        metadata[at as usize..at as usize + image.len()].copy_from_slice(&image);
    }
    Ok(Skeleton {
        metadata,
        size: places.end,
        storage: places.storage,
    })
}
