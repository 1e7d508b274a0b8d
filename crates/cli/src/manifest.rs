//! Objects in files: YAML or JSON, several documents a file, files in folders.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use keelson_types::{Kind, registry};
use serde::Deserialize as _;
use serde_json::Value;

use crate::Error;
use crate::target;

/// Files larger than this are no manifests: an object has at most 1.5 MiB.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// One object of a file, as it is written there.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    object: Value,
    file: String,
    number: usize,
    several: bool,
}

impl Document {
    /// Whether only the API can tell the kind.
    pub fn is_of_a_custom_kind(&self) -> bool {
        let (group, ..) = self.names();
        group.contains('.') && registry::all().iter().all(|kind| kind.group != group)
    }

    /// Whether its kind is among these.
    pub fn is_of(&self, custom: &[&'static Kind]) -> bool {
        let names = self.names();
        custom.iter().any(|kind| (kind.group, kind.version, kind.kind) == names)
    }

    /// The name and the specification of a CustomResourceDefinition.
    pub fn definition(&self) -> Option<(String, Value)> {
        let (group, _, kind) = self.names();
        let defines = group == "apiextensions.k8s.io" && kind == "CustomResourceDefinition" && !self.name().is_empty();
        defines.then(|| (self.name().to_owned(), self.object["spec"].clone()))
    }

    /// Whether its kind will be served once a definition of this specification is.
    pub fn is_defined_by(&self, spec: &Value) -> bool {
        let (group, version, kind) = self.names();
        let mut versions = spec["versions"].as_array().into_iter().flatten();
        spec["group"] == group
            && spec["names"]["kind"] == kind
            && versions.any(|known| known["name"] == version && known["served"] == true)
    }

    pub fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// `app.yaml`, or `app.yaml, document 2` when the file has several.
    pub fn place(&self) -> String {
        if self.several { format!("{}, document {}", self.file, self.number) } else { self.file.clone() }
    }

    /// The same with its kind, one of the program's or one of `custom`.
    pub fn resolve(self, custom: &[&'static Kind]) -> Result<Manifest, Error> {
        let (file, document) = (self.file.clone(), self.number);
        let (group, version, name) = self.names();
        let found = custom.iter().find(|kind| (kind.group, kind.version, kind.kind) == (group, version, name));
        let kind = match found {
            Some(kind) => *kind,
            None => kind_of(&self.object).map_err(|message| Error::Manifest { file, document, line: None, message })?,
        };
        let place = self.place();
        Ok(Manifest { kind, object: self.object, place })
    }

    /// Group, version and kind; empty what is missing.
    fn names(&self) -> (&str, &str, &str) {
        let api_version = self.object["apiVersion"].as_str().unwrap_or_default();
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        (group, version, self.object["kind"].as_str().unwrap_or_default())
    }
}

/// One object of a file.
#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    pub kind: &'static Kind,
    pub object: Value,
    /// `app.yaml`, or `app.yaml, document 2` when it has several.
    pub place: String,
}

impl Manifest {
    /// Empty when the object is to be named by the server.
    pub fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }

    pub fn namespace(&self) -> &str {
        self.object["metadata"]["namespace"].as_str().unwrap_or_default()
    }
}

/// Reads every object of `paths`: files, folders (with `recursive` also what is below them), `-` for standard input.
/// The order is that of the arguments and documents, and of file names in a folder.
pub(crate) fn read(paths: &[PathBuf], recursive: bool) -> Result<Vec<Document>, Error> {
    let mut manifests = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            let mut text = String::new();
            let source = std::io::stdin().take(FILE_BYTES_MAX).read_to_string(&mut text);
            source.map_err(|source| Error::File { path: "standard input".into(), source })?;
            manifests.extend(parse(&text, "standard input")?);
            continue;
        }
        let mut files = Vec::new();
        collect(path, recursive, true, &mut files)?;
        for file in files {
            let metadata = std::fs::metadata(&file).map_err(|source| Error::File { path: file.clone(), source })?;
            if metadata.len() > FILE_BYTES_MAX {
                return Err(Error::InvalidFile { path: file, detail: "it is too large to be a manifest".to_owned() });
            }
            let text = std::fs::read_to_string(&file).map_err(|source| Error::File { path: file.clone(), source })?;
            manifests.extend(parse(&text, &file.display().to_string())?);
        }
    }
    if manifests.is_empty() {
        return Err(Error::Failed("no objects found in what was given with -f".to_owned()));
    }
    Ok(manifests)
}

fn collect(path: &Path, recursive: bool, given: bool, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    if !std::fs::metadata(path).map_err(failed)?.is_dir() {
        let known =
            path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known));
        if given || known {
            files.push(path.to_owned());
        }
        return Ok(());
    }
    if !given && !recursive {
        return Ok(());
    }
    let entries: Result<Vec<PathBuf>, _> =
        std::fs::read_dir(path).map_err(failed)?.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut entries = entries.map_err(failed)?;
    entries.sort();
    for entry in entries {
        collect(&entry, recursive, false, files)?;
    }
    Ok(())
}

/// Reads the documents of a text. JSON is YAML; empty documents are skipped; lists are taken apart.
pub(crate) fn parse(text: &str, file: &str) -> Result<Vec<Document>, Error> {
    let broken = |document, line, message: String| Error::Manifest { file: file.to_owned(), document, line, message };
    let mut objects = Vec::new();
    for (index, document) in serde_norway::Deserializer::from_str(text).enumerate() {
        let document_number = index + 1;
        let yaml = |error: serde_norway::Error| {
            let line = error.location().map(|location| location.line());
            broken(document_number, line, without_position(&error.to_string()))
        };
        let mut value = serde_norway::Value::deserialize(document).map_err(yaml)?;
        value.apply_merge().map_err(yaml)?;
        let value = serde_json::to_value(value).map_err(|error| broken(document_number, None, error.to_string()))?;
        match value {
            Value::Null => {}
            Value::Object(mut map) if map.get("kind").and_then(Value::as_str).is_some_and(|kind| kind == "List") => {
                if let Some(Value::Array(items)) = map.remove("items") {
                    objects.extend(items.into_iter().map(|item| (document_number, item)));
                }
            }
            value => objects.push((document_number, value)),
        }
    }
    let several = objects.iter().any(|(document, _)| *document > 1);
    let document = |(number, object)| Document { object, file: file.to_owned(), number, several };
    Ok(objects.into_iter().map(document).collect())
}

/// The position is told beside the message.
fn without_position(message: &str) -> String {
    match message.rfind(" at line ") {
        Some(end) => message[..end].to_owned(),
        None => message.to_owned(),
    }
}

fn kind_of(object: &Value) -> Result<&'static Kind, String> {
    if !object.is_object() {
        return Err("it is not an object: apiVersion, kind and metadata are expected".to_owned());
    }
    let field =
        |name: &str| object[name].as_str().filter(|text| !text.is_empty()).ok_or_else(|| format!("{name} is missing"));
    let (api_version, kind_name) = (field("apiVersion")?, field("kind")?);
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    if let Some(kind) = registry::by_versioned_kind(group, version, kind_name) {
        return Ok(kind);
    }
    match registry::by_kind(group, kind_name) {
        Some(kind) => Err(format!("{kind_name} has no version {api_version}; use {}", kind.api_version())),
        None if group.contains('.') && registry::all().iter().all(|kind| kind.group != group) => {
            let why = "when its CustomResourceDefinition is in the same files, apply that one first";
            Err(format!("nobody has defined {kind_name} in {api_version}; {why}"))
        }
        None => Err(match target::by_name(kind_name) {
            Ok(kind) if kind.kind == kind_name => {
                format!("{kind_name} is not in {api_version} but in {}", kind.api_version())
            }
            Ok(kind) => format!("no kind {kind_name} in {api_version}; did you mean {}?", kind.kind),
            Err(Error::UnknownKind { suggestions, .. }) if !suggestions.is_empty() => {
                format!("no kind {kind_name} in {api_version}; did you mean {}?", suggestions.join(" or "))
            }
            Err(_) => format!("no kind {kind_name} in {api_version}"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use keelson_fuzzing::{Texts, fuzz, seeds};

    use super::*;

    fn resolved(documents: Result<Vec<Document>, Error>) -> Result<Vec<Manifest>, Error> {
        documents?.into_iter().map(|document| document.resolve(&[])).collect()
    }

    fn names(text: &str) -> Result<Vec<String>, String> {
        let manifests = resolved(parse(text, "app.yaml")).map_err(|error| error.to_string())?;
        Ok(manifests.iter().map(|manifest| format!("{}/{}", manifest.kind.kind, manifest.name())).collect())
    }

    #[test]
    fn documents_lists_and_json_are_read() {
        let text = "\
# a comment
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
data: {1: one}
---
---
{\"apiVersion\": \"apps/v1\", \"kind\": \"Deployment\", \"metadata\": {\"name\": \"b\"}}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Pod, metadata: {name: c}}
- {apiVersion: v1, kind: Pod, metadata: {generateName: d-}}
";
        assert_eq!(names(text).as_deref(), Ok(&["ConfigMap/a", "Deployment/b", "Pod/c", "Pod/"].map(String::from)[..]));
    }

    #[test]
    fn broken_text_is_told_with_its_document_and_line() {
        let good = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
        let error = names(&format!("{good}---\nkind: Pod\n  oops: [\n")).expect_err("it is broken");
        assert!(error.starts_with("app.yaml, document 2, line 6: "), "{error}");
        let error = names(&format!("{good}data: {{x: a, x: b}}\n")).expect_err("a key is twice there");
        assert!(error.contains("document 1") && error.contains("duplicate"), "{error}");
    }

    #[test]
    fn wrong_kinds_are_told_with_what_is_meant() {
        for (text, expected) in [
            ("kind: Pod", "app.yaml, document 1: apiVersion is missing"),
            ("apiVersion: v1\nkind: Deployment", "app.yaml, document 1: Deployment is not in v1 but in apps/v1"),
            (
                "apiVersion: apps/v1beta1\nkind: Deployment",
                "app.yaml, document 1: Deployment has no version apps/v1beta1; use apps/v1",
            ),
            ("apiVersion: v1\nkind: Podd", "app.yaml, document 1: no kind Podd in v1; did you mean pods?"),
            (
                "apiVersion: example.com/v1\nkind: CronTab",
                "app.yaml, document 1: nobody has defined CronTab in example.com/v1; when its \
                 CustomResourceDefinition is in the same files, apply that one first",
            ),
            ("- 1", "app.yaml, document 1: it is not an object: apiVersion, kind and metadata are expected"),
        ] {
            assert_eq!(names(text).expect_err("it is wrong"), expected);
        }
    }

    #[test]
    fn a_folder_is_read_in_order_and_only_as_deep_as_asked() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |path: &str, name: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().expect("it is in the folder")).expect("created");
            let text = format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n");
            std::fs::write(path, text).expect("written");
        };
        write("b.yaml", "b");
        write("a.json", "a");
        write("notes.txt", "notes");
        write("deep/c.yml", "c");
        let read = |recursive| -> Vec<String> {
            let manifests = resolved(read(&[folder.path().to_owned()], recursive)).expect("they are valid");
            manifests.iter().map(|manifest| manifest.name().to_owned()).collect()
        };
        assert_eq!(read(false), ["a", "b"]);
        assert_eq!(read(true), ["a", "b", "c"]);
    }

    #[test]
    fn any_text_is_objects_or_is_told_by_its_document() {
        let lists =
            "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: &m {name: c}}\n- <<: *m\n";
        let words = [
            "---\n",
            "...\n",
            "<<: *m\n",
            "&m ",
            "*m",
            "kind: List\n",
            "items:",
            "- ",
            "{",
            "[",
            "!!binary ",
            "? ",
            "%YAML 9\n",
        ];
        fuzz!(Texts::new(&[seeds::MANIFEST, lists, "{\"apiVersion\": \"v1\", \"kind\": \"Pod\"}"], &words), |text| {
            let documents = match parse(text, "app.yaml") {
                Ok(documents) => documents,
                Err(error) => {
                    assert!(error.to_string().starts_with("app.yaml, document "), "{error}");
                    return false;
                }
            };
            for document in documents {
                let of = (document.name().to_owned(), document.is_of_a_custom_kind(), document.definition().is_some());
                if let Ok(manifest) = document.clone().resolve(&[]) {
                    assert_eq!((manifest.name(), false), (of.0.as_str(), of.1));
                    assert!(!of.2 || manifest.kind.kind == "CustomResourceDefinition");
                }
            }
            true
        });
    }
}
