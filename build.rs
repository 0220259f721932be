//! Says which build this is: a digest of the sources that make the bits of a result, the same for the same sources on any machine.
//!
//! The shipped models are left out: a result holds the text of its model. So is the manifest, which packaging writes anew.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Bytes of the digest that are kept: two builds among thousands do not share them.
const KEPT_BYTES: usize = 8;

fn main() -> io::Result<()> {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let mut files = Vec::new();
    for (folder, extension) in [("src", "rs"), ("shaders", "wgsl")] {
        find(&root, folder, extension, &mut files)?;
        println!("cargo::rerun-if-changed={folder}");
    }
    let lock = "Cargo.lock".to_owned();
    // What another crate depends on may come without it.
    if root.join(&lock).is_file() {
        println!("cargo::rerun-if-changed={lock}");
        files.push(lock);
    }
    println!("cargo::rerun-if-changed=build.rs");
    files.sort();
    let mut digest = Sha256::new();
    for name in &files {
        let mut bytes = fs::read(root.join(name))?;
        // Git may have ended the lines in the system's own way.
        bytes.retain(|&byte| byte != b'\r');
        digest.update((name.len() as u64).to_le_bytes());
        digest.update(name);
        digest.update((bytes.len() as u64).to_le_bytes());
        digest.update(&bytes);
    }
    let digest = digest.finalize();
    let digits: String = digest[..KEPT_BYTES]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    println!("cargo::rustc-env=SARCOLEMMA_BUILD={digits}");
    Ok(())
}

/// All files below a folder that end so, by their names from the root on, with the same separators everywhere.
fn find(root: &Path, folder: &str, extension: &str, found: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            find(root, &name, extension, found)?;
        } else if Path::new(&name).extension().is_some_and(|e| e == extension) {
            found.push(name);
        }
    }
    Ok(())
}
