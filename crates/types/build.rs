//! Finds the kinds: every file `src/kinds/*.rs` that has a `pub static KIND` goes into the registry, so that a new kind needs
//! no list to be kept.

use std::path::Path;
use std::{env, fs};

fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-changed=src/kinds");
    let mut names = Vec::new();
    for entry in fs::read_dir("src/kinds")? {
        let path = entry?.path();
        let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        let is_file = path.extension().is_some_and(|extension| extension == "rs");
        if is_file && fs::read_to_string(&path)?.contains("\npub static KIND: Kind = ") {
            names.push(name.to_owned());
        }
    }
    names.sort();
    let lines: String = names.iter().map(|name| format!("    &crate::kinds::{name}::KIND,\n")).collect();
    let code = format!("static EVERY: [&crate::kind::Kind; {}] = [\n{lines}];\n", names.len());
    let folder = env::var_os("OUT_DIR").ok_or_else(|| std::io::Error::other("cargo sets OUT_DIR"))?;
    fs::write(Path::new(&folder).join("every_kind.rs"), code)
}
