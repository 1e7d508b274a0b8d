//! A small file system in memory: folders and files, enough for `ls`, `cat` and `kubectl cp`.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// Bytes of all files of one container.
pub const BYTES_MAX: usize = 16 << 20;
/// Files and folders of one container.
const NODES_MAX: usize = 4096;

/// The longest path, which is that of a Unix.
const PATH_BYTES_MAX: usize = 4096;

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// None for a folder.
    pub data: Option<Vec<u8>>,
    pub mode: u32,
    pub modified: Timestamp,
}

/// By absolute path without a slash at the end; the root is "".
#[derive(Clone, Debug)]
pub struct Files {
    nodes: BTreeMap<String, Node>,
}

impl Files {
    pub fn new(hostname: &str, now: Timestamp) -> Files {
        let folder = |path: &str| (path.to_owned(), Node { data: None, mode: 0o755, modified: now });
        let nodes = ["", "/etc", "/root", "/tmp", "/var"].map(folder).into();
        let mut files = Files { nodes };
        for (path, text) in
            [("/etc/hostname", format!("{hostname}\n")), ("/etc/hosts", "127.0.0.1\tlocalhost\n".to_owned())]
        {
            files.nodes.insert(path.to_owned(), Node { data: Some(text.into_bytes()), mode: 0o644, modified: now });
        }
        files
    }

    /// The absolute form of a path.
    pub fn resolve(folder: &str, path: &str) -> String {
        let start = if path.starts_with('/') { "" } else { folder };
        let mut parts: Vec<&str> = Vec::new();
        for part in start.split('/').chain(path.split('/')) {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop();
                }
                part => parts.push(part),
            }
        }
        parts.iter().map(|part| format!("/{part}")).collect()
    }

    pub fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    pub fn is_folder(&self, path: &str) -> bool {
        self.nodes.get(path).is_some_and(|node| node.data.is_none())
    }

    /// What is directly in a folder, by name.
    pub fn list(&self, folder: &str) -> Vec<(&str, &Node)> {
        let inside = self.below(folder).filter_map(|(path, node)| {
            let name = path.strip_prefix(folder)?.strip_prefix('/')?;
            (!name.contains('/')).then_some((name, node))
        });
        inside.collect()
    }

    /// A path and everything below it, in order.
    pub fn tree(&self, path: &str) -> Vec<(&str, &Node)> {
        let own = self.nodes.get_key_value(path).map(|(path, node)| (path.as_str(), node));
        own.into_iter().chain(self.below(path)).collect()
    }

    fn below(&self, path: &str) -> impl Iterator<Item = (&str, &Node)> {
        let first = format!("{path}/");
        self.nodes
            .range(first.clone()..)
            .take_while(move |(known, _)| known.starts_with(&first))
            .map(|(known, node)| (known.as_str(), node))
    }

    /// Writes a file whose folder exists.
    ///
    /// # Errors
    /// In a Unix tool's words.
    pub fn write(&mut self, path: &str, data: Vec<u8>, mode: u32, now: Timestamp) -> Result<(), String> {
        check_length(path)?;
        self.check_parent(path)?;
        if self.is_folder(path) {
            return Err("Is a directory".to_owned());
        }
        let used: usize = self.nodes.iter().filter(|(known, _)| *known != path).map(|(_, node)| node.size()).sum();
        if used + data.len() > BYTES_MAX || (self.nodes.len() >= NODES_MAX && !self.nodes.contains_key(path)) {
            return Err("No space left on device".to_owned());
        }
        self.nodes.insert(path.to_owned(), Node { data: Some(data), mode, modified: now });
        Ok(())
    }

    /// Makes a folder, and those above it if `parents`.
    ///
    /// # Errors
    /// As for [`Files::write`].
    pub fn make_folder(&mut self, path: &str, parents: bool, now: Timestamp) -> Result<(), String> {
        check_length(path)?;
        if !parents && self.nodes.contains_key(path) {
            return Err("File exists".to_owned());
        }
        // From the top down.
        let above = path.match_indices('/').map(|(end, _)| &path[..end]).filter(|_| parents);
        for folder in above.chain([path]) {
            match self.nodes.get(folder) {
                Some(Node { data: None, .. }) => continue,
                Some(_) => return Err("File exists".to_owned()),
                None => {}
            }
            self.check_parent(folder)?;
            if self.nodes.len() >= NODES_MAX {
                return Err("No space left on device".to_owned());
            }
            self.nodes.insert(folder.to_owned(), Node { data: None, mode: 0o755, modified: now });
        }
        Ok(())
    }

    /// Removes a path with everything below it.
    pub fn remove(&mut self, path: &str) {
        let below = format!("{path}/");
        self.nodes.retain(|known, _| known.is_empty() || (known != path && !known.starts_with(&below)));
    }

    fn check_parent(&self, path: &str) -> Result<(), String> {
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        match self.nodes.get(parent) {
            None => Err("No such file or directory".to_owned()),
            Some(Node { data: Some(_), .. }) => Err("Not a directory".to_owned()),
            Some(_) => Ok(()),
        }
    }
}

fn check_length(path: &str) -> Result<(), String> {
    if path.len() > PATH_BYTES_MAX { Err("File name too long".to_owned()) } else { Ok(()) }
}

impl Node {
    pub fn size(&self) -> usize {
        self.data.as_ref().map_or(0, Vec::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_bounds_are_those_of_a_file_system() {
        for (folder, path, absolute) in [
            ("/root", "a", "/root/a"),
            ("/root", "../a/./b", "/a/b"),
            ("", "../..", ""),
            ("/x", "/y/", "/y"),
            ("/x", ".", "/x"),
        ] {
            assert_eq!(Files::resolve(folder, path), absolute, "{folder} {path}");
        }
        let now = Timestamp::UNIX_EPOCH;
        let mut files = Files::new("web", now);
        assert_eq!(files.write("/no/file", vec![], 0o644, now), Err("No such file or directory".to_owned()));
        files.make_folder("/a/b", true, now).expect("is made");
        files.write("/a/b/c", vec![1; BYTES_MAX / 2], 0o644, now).expect("fits");
        assert_eq!(files.write("/a/d", vec![1; BYTES_MAX / 2], 0o644, now), Err("No space left on device".to_owned()));
        files.write("/a/b/c", vec![1; 5], 0o644, now).expect("replaces");
        assert_eq!(files.list("/a").iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["b"]);
        assert_eq!(files.tree("/a").len(), 3);
        files.remove("/a");
        assert!(files.get("/a/b/c").is_none() && files.is_folder("/etc"));
    }

    #[test]
    fn a_path_that_is_too_deep_is_refused() {
        let now = Timestamp::UNIX_EPOCH;
        let mut files = Files::new("web", now);
        let deep = "/d".repeat(100_000);
        assert_eq!(files.make_folder(&deep, true, now), Err("File name too long".to_owned()));
        assert_eq!(files.write(&deep, Vec::new(), 0o644, now), Err("File name too long".to_owned()));
        files.make_folder(&deep[..PATH_BYTES_MAX], true, now).expect("fits");
        let more = format!("/x{}", &deep[..PATH_BYTES_MAX - 2]);
        files.make_folder("/etc/hosts/x", true, now).expect_err("is below a file");
        assert_eq!(files.make_folder(&more, true, now), Err("No space left on device".to_owned()));
    }
}
