//! The "newc" cpio archive that the kernel unpacks as its first root file system (Documentation/driver-api/early-userspace/
//! buffer-format). Everything belongs to root, names are sorted and time stamps are one fixed value, so the same tree
//! gives the same bytes. Hard links, sockets and owners are left out: an initramfs needs none.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self as stdio, Write};
use std::path::PathBuf;

/// Where a file's bytes come from.
#[derive(Debug, Clone)]
pub enum Content {
    /// Bytes in memory.
    Bytes(Vec<u8>),
    /// A file of the box, read when the archive is written.
    Path(PathBuf),
}

#[derive(Debug, Clone)]
enum Node {
    Folder { mode: u32 },
    File { mode: u32, content: Content },
    Link { target: String },
    Character { mode: u32, major: u32, minor: u32 },
}

/// A file system tree to be written as an archive. Paths are relative to its root, without a leading slash.
#[derive(Debug, Default)]
pub struct Tree {
    nodes: BTreeMap<String, Node>,
}

impl Tree {
    /// An empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Is there anything at this path?
    #[must_use]
    pub fn contains(&self, path: &str) -> bool {
        self.nodes.contains_key(clean(path))
    }

    /// Adds a folder and those above it. An existing one gets the mode.
    pub fn folder(&mut self, path: &str, mode: u32) {
        self.put(path, Node::Folder { mode });
    }

    /// Adds a regular file with these bytes.
    pub fn file(&mut self, path: &str, mode: u32, bytes: impl Into<Vec<u8>>) {
        self.put(path, Node::File { mode, content: Content::Bytes(bytes.into()) });
    }

    /// Adds a regular file that is read from the box when the archive is written.
    pub fn copy(&mut self, path: &str, mode: u32, from: impl Into<PathBuf>) {
        self.put(path, Node::File { mode, content: Content::Path(from.into()) });
    }

    /// Adds a symbolic link.
    pub fn link(&mut self, path: &str, target: &str) {
        self.put(path, Node::Link { target: target.to_owned() });
    }

    /// Adds a character device.
    pub fn character(&mut self, path: &str, mode: u32, major: u32, minor: u32) {
        self.put(path, Node::Character { mode, major, minor });
    }

    fn put(&mut self, path: &str, node: Node) {
        let path = clean(path);
        let mut above = path;
        while let Some((parent, _)) = above.rsplit_once('/') {
            self.nodes.entry(parent.to_owned()).or_insert(Node::Folder { mode: 0o755 });
            above = parent;
        }
        self.nodes.insert(path.to_owned(), node);
    }

    /// Writes the archive. `mtime` is seconds since 1970.
    pub fn write(&self, out: &mut dyn Write, mtime: u32) -> stdio::Result<()> {
        for (inode, (path, node)) in (1..).zip(&self.nodes) {
            let mut entry = Entry { inode, mode: 0, links: 1, mtime, major: 0, minor: 0 };
            let mut data = Vec::new();
            match node {
                Node::Folder { mode } => (entry.mode, entry.links) = (0o040_000 | mode, 2),
                Node::File { mode, content } => {
                    entry.mode = 0o100_000 | mode;
                    data = match content {
                        Content::Bytes(bytes) => bytes.clone(),
                        Content::Path(from) => fs::read(from)
                            .map_err(|e| stdio::Error::new(e.kind(), format!("{}: {e}", from.display())))?,
                    };
                }
                Node::Link { target } => {
                    entry.mode = 0o120_777;
                    data = target.clone().into_bytes();
                }
                Node::Character { mode, major, minor } => {
                    (entry.mode, entry.major, entry.minor) = (0o020_000 | mode, *major, *minor);
                }
            }
            entry.write(out, path, &data)?;
        }
        Entry { inode: 0, mode: 0, links: 1, mtime: 0, major: 0, minor: 0 }.write(out, "TRAILER!!!", &[])
    }
}

/// The fields of one header that differ between our entries.
struct Entry {
    inode: u32,
    mode: u32,
    links: u32,
    mtime: u32,
    major: u32,
    minor: u32,
}

impl Entry {
    /// Header of 110 characters, name with its NUL padded to 4, data padded to 4.
    fn write(&self, out: &mut dyn Write, name: &str, data: &[u8]) -> stdio::Result<()> {
        let size = u32::try_from(data.len()).map_err(|_| {
            stdio::Error::new(stdio::ErrorKind::InvalidInput, format!("{name} is over 4 GiB"))
        })?;
        let name_size = name.len() as u32 + 1;
        let fields = [
            self.inode, self.mode, 0, 0, self.links, self.mtime, size, 0, 0, self.major, self.minor,
            name_size, 0,
        ];
        write!(out, "070701")?;
        for field in fields {
            write!(out, "{field:08X}")?;
        }
        out.write_all(name.as_bytes())?;
        out.write_all(&[0; 4][..1 + padding(110 + name.len() + 1)])?;
        out.write_all(data)?;
        out.write_all(&[0; 4][..padding(data.len())])
    }
}

/// Bytes missing to the next multiple of four.
fn padding(length: usize) -> usize {
    (4 - length % 4) % 4
}

fn clean(path: &str) -> &str {
    path.trim_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn sample() -> Tree {
        let mut tree = Tree::new();
        tree.file("/usr/bin/tool", 0o755, *b"#!/bin/sh\n");
        tree.link("bin", "usr/bin");
        tree.folder("tmp", 0o1777);
        tree.character("dev/console", 0o600, 5, 1);
        tree
    }

    #[test]
    fn the_first_header_is_exact() {
        let mut bytes = Vec::new();
        let mut tree = Tree::new();
        tree.file("a", 0o644, *b"hey");
        tree.write(&mut bytes, 0x1234).unwrap();
        let expected = "070701000000010000\
                        81A400000000000000000000000100001234000000030000000000000000000000000000000000000002\
                        00000000";
        assert_eq!(&bytes[..110], expected.as_bytes());
        assert_eq!(&bytes[110..116], b"a\0hey\0");
        assert_eq!(bytes.len() % 4, 0);
    }

    #[test]
    fn the_same_tree_gives_the_same_bytes_in_any_order() {
        let (mut one, mut two) = (Vec::new(), Vec::new());
        sample().write(&mut one, 1).unwrap();
        let mut tree = Tree::new();
        tree.character("dev/console", 0o600, 5, 1);
        tree.folder("tmp", 0o1777);
        tree.link("bin", "usr/bin");
        tree.file("usr/bin/tool", 0o755, *b"#!/bin/sh\n");
        tree.write(&mut two, 1).unwrap();
        assert_eq!(one, two);
    }

    /// GNU cpio, where it is installed, reads what we wrote.
    #[test]
    fn another_program_reads_it() {
        let mut bytes = Vec::new();
        sample().write(&mut bytes, 0).unwrap();
        let Ok(mut child) = Command::new("cpio")
            .args(["-tv", "--quiet", "-n"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
        else {
            return;
        };
        child.stdin.take().unwrap().write_all(&bytes).unwrap();
        let listing = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        let shown: Vec<_> = listing.lines().map(|l| (&l[..10], l.rsplit("1970 ").next().unwrap())).collect();
        assert_eq!(
            shown,
            [
                ("lrwxrwxrwx", "bin -> usr/bin"),
                ("drwxr-xr-x", "dev"),
                ("crw-------", "dev/console"),
                ("drwxrwxrwt", "tmp"),
                ("drwxr-xr-x", "usr"),
                ("drwxr-xr-x", "usr/bin"),
                ("-rwxr-xr-x", "usr/bin/tool"),
            ]
        );
    }
}
