//! Which shared libraries a program needs, read from the files themselves: `ldd` would run the loader of the box, on
//! files of another distribution.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result, io};

/// Where libraries lie in an unpacked Debian tree, in the loader's order.
const FOLDERS: &[&str] =
    &["usr/lib/x86_64-linux-gnu", "usr/lib", "usr/lib64", "usr/lib/x86_64-linux-gnu/systemd"];

/// The direct needs of one file: interpreter (absolute path) and library names. Empty for scripts and static programs.
pub(crate) fn needs(file: &Path) -> Result<(Option<String>, Vec<String>)> {
    let bytes = fs::read(file).map_err(io("read", file))?;
    if !bytes.starts_with(b"\x7fELF") {
        return Ok((None, Vec::new()));
    }
    let elf = goblin::elf::Elf::parse(&bytes).map_err(|e| Error::Refused {
        path: file.to_owned(),
        reason: format!("not a usable ELF file: {e}"),
    })?;
    let interpreter = elf.interpreter.map(str::to_owned);
    Ok((interpreter, elf.libraries.iter().map(|l| (*l).to_owned()).collect()))
}

/// Every library that the programs need, directly or not: (path in the tree, file of the box).
pub(crate) fn closure(root: &Path, programs: &[PathBuf]) -> Result<BTreeSet<(String, PathBuf)>> {
    let mut found = BTreeSet::new();
    let mut queue: Vec<PathBuf> = programs.to_vec();
    while let Some(file) = queue.pop() {
        let (interpreter, libraries) = needs(&file)?;
        let loader = interpreter.map(|path| format!("usr/{}", path.trim_start_matches('/')));
        let wanted = loader
            .map(|path| locate(root, &path).map(|file| (path, file)))
            .into_iter()
            .chain(libraries.iter().map(|name| find_library(root, name)));
        for library in wanted {
            let library = library?;
            if found.insert(library.clone()) {
                queue.push(library.1);
            }
        }
    }
    Ok(found)
}

fn find_library(root: &Path, name: &str) -> Result<(String, PathBuf)> {
    FOLDERS
        .iter()
        .map(|folder| format!("{folder}/{name}"))
        .find_map(|path| locate(root, &path).ok().map(|file| (path, file)))
        .ok_or_else(|| Error::MissingPart { what: "the shared library", name: name.to_owned() })
}

/// Follows links inside the tree, so that the bytes can be stored under the name that is asked for. A link that
/// leads out of the tree is an error.
pub(crate) fn locate(root: &Path, path: &str) -> Result<PathBuf> {
    let missing = || Error::MissingPart { what: "the file", name: path.to_owned() };
    let mut current = path.to_owned();
    for _ in 0..8 {
        let file = root.join(&current);
        let Ok(target) = fs::read_link(&file) else {
            return Some(file).filter(|f| f.is_file()).ok_or_else(missing);
        };
        let target = target.to_string_lossy().into_owned();
        current = match target.strip_prefix('/') {
            Some(absolute) => absolute.to_owned(),
            None => join(&current, &target),
        };
    }
    Err(missing())
}

/// `target` relative to the folder of `path`, with `..` resolved by text and never above the root.
fn join(path: &str, target: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." | "" => {}
            name => parts.push(name),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_resolved_by_text_and_stay_inside() {
        assert_eq!(join("usr/lib/a/x", "../b/y"), "usr/lib/b/y");
        assert_eq!(join("x", "../../../etc/passwd"), "etc/passwd");
    }

    #[test]
    fn a_dynamic_program_names_its_loader_and_libc() {
        let (interpreter, libraries) = needs(Path::new("/proc/self/exe")).unwrap();
        if let Some(interpreter) = interpreter {
            assert!(interpreter.contains("ld-"), "{interpreter}");
            assert!(libraries.iter().any(|l| l.starts_with("libc.")), "{libraries:?}");
        }
    }

    #[test]
    fn scripts_need_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("script");
        fs::write(&script, "#!/bin/sh\n").unwrap();
        assert_eq!(needs(&script).unwrap(), (None, Vec::new()));
    }
}
