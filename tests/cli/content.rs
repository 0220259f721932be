//! All that a result file holds, to be compared with another.

use std::collections::BTreeMap;
use std::path::Path;

/// Every dataset, but for the run's own state: shape and bytes.
fn content(path: &Path) -> BTreeMap<String, (Vec<usize>, Vec<u8>)> {
    let file = hdf5::H5File::open(path).unwrap();
    let names = file.dataset_names().into_iter();
    let names = names.filter(|n| !n.starts_with("checkpoint/"));
    names
        .map(|name| {
            let dataset = file.dataset(&name).unwrap();
            let empty = dataset.shape().contains(&0);
            // Dimensions without a variable have no storage.
            let bytes = if empty {
                Vec::new()
            } else {
                dataset.read_raw_bytes().unwrap()
            };
            (name, (dataset.shape(), bytes))
        })
        .collect()
}

/// Two files hold the same datasets with the same bits.
#[track_caller]
pub fn same_content(a: &Path, b: &Path, what: &str) {
    let (a, b) = (content(a), content(b));
    assert!(a.len() > 5, "{what}: only {} datasets", a.len());
    let names: Vec<_> = a.keys().chain(b.keys()).collect();
    let differ: Vec<_> = names.iter().filter(|n| a.get(**n) != b.get(**n)).collect();
    assert!(differ.is_empty(), "{what}: {differ:?} differ");
}
