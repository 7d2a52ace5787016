//! From YAML to a [`Definition`]: unknown keys and wrong types are errors with their place.

use super::definition::{Container, Definition, FileEntry, KernelEntry, Origin, Volume};
use super::fields::Fields;
use super::parse_options::{OPTIONS, options};
use super::reference;
use super::yaml::{self, Node, Value};
use crate::problem::{Problem, Result};
use std::io::Read;
use std::path::Path;

const TOP: &[&str] = &["kernel", "init", "volumes", "onboot", "onshutdown", "services", "files", "trust"];
impl Definition {
    /// Reads and merges YAML files, left to right.
    pub fn read<P: AsRef<Path>>(files: &[P]) -> Result<Self> {
        let mut all = Self::default();
        for path in files {
            let path = path.as_ref();
            let wrong = |e| Problem::usage("cannot read the image definition").in_file(path).because(e);
            let mut text = Vec::new();
            // One byte more than is accepted, so that a longer file is told from one that just fits.
            let file = std::fs::File::open(path).map_err(wrong)?;
            file.take(yaml::LONGEST + 1).read_to_end(&mut text).map_err(wrong)?;
            all.append(Self::one(&text, path)?);
        }
        all.check()?;
        Ok(all)
    }

    /// Parses one YAML text; `file` is named in problems, and its folder is where `source:` paths begin.
    pub fn parse(text: &str, file: impl AsRef<Path>) -> Result<Self> {
        let definition = Self::one(text.as_bytes(), file.as_ref())?;
        definition.check()?;
        Ok(definition)
    }

    fn one(text: &[u8], file: &Path) -> Result<Self> {
        let node = yaml::read(text, file)?;
        refuse_templates(&node, file)?;
        let top = Fields::new(file, &node, "the definition", TOP)?;
        if let Some(trust) = top.map("trust", &["image", "org"])? {
            trust.texts("image")?;
            trust.texts("org")?;
        }
        let init = top.texts("init")?.unwrap_or_default();
        for (image, mark) in init.iter().zip(top.element_marks("init")) {
            check_reference(&Origin::at(file, mark), "", image)?;
        }
        Ok(Self {
            kernel: top
                .map("kernel", &["image", "cmdline", "binary", "tar", "ucode"])?
                .map(|fields| kernel(&fields))
                .transpose()?,
            init,
            volumes: top
                .maps("volumes", &["name", "image", "readonly", "format", "platforms"])?
                .iter()
                .map(volume)
                .collect::<Result<_>>()?,
            onboot: containers(&top, "onboot")?,
            onshutdown: containers(&top, "onshutdown")?,
            services: containers(&top, "services")?,
            files: top
                .maps(
                    "files",
                    &[
                        "path",
                        "directory",
                        "symlink",
                        "contents",
                        "source",
                        "metadata",
                        "optional",
                        "mode",
                        "uid",
                        "gid",
                    ],
                )?
                .iter()
                .map(file_entry)
                .collect::<Result<_>>()?,
        })
    }
}

fn refuse_templates(node: &Node, file: &Path) -> Result<()> {
    match &node.value {
        Value::Text(text) if text.starts_with("@pkg:") => Err(Problem::usage(format!(
            "the template {text:?} is not supported"
        ))
        .at(file, node.mark.line, Some(node.mark.column))
        .remedy(
            "write the image's full reference: it is what `linuxkit pkg show-tag` prints for that folder",
        )),
        Value::List(list) => list.iter().try_for_each(|node| refuse_templates(node, file)),
        Value::Map(map) => map.iter().try_for_each(|(_, node)| refuse_templates(node, file)),
        _ => Ok(()),
    }
}

fn check_reference(origin: &Origin, key: &str, image: &str) -> Result<()> {
    match reference::fault(image) {
        Some(fault) => Err(origin.problem(key, fault)),
        None => Ok(()),
    }
}

fn kernel(fields: &Fields<'_>) -> Result<KernelEntry> {
    let origin = fields.origin();
    let kernel = KernelEntry {
        image: fields.text("image")?.unwrap_or_default(),
        cmdline: fields.text("cmdline")?.unwrap_or_default(),
        binary: fields.text("binary")?.unwrap_or_default(),
        tar: fields.text("tar")?,
        ucode: fields.text("ucode")?,
        origin,
    };
    if !kernel.image.is_empty() {
        check_reference(&kernel.origin, "image", &kernel.image)?;
    }
    Ok(kernel)
}

fn volume(fields: &Fields<'_>) -> Result<Volume> {
    let volume = Volume {
        name: fields.needed("name")?,
        image: fields.text("image")?.unwrap_or_default(),
        readonly: fields.bool("readonly")?.unwrap_or(false),
        format: fields.text("format")?.unwrap_or_default(),
        platforms: fields.texts("platforms")?.unwrap_or_default(),
        origin: fields.origin(),
    };
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
    if volume.name.is_empty() || !volume.name.bytes().all(letter) {
        return Err(volume
            .origin
            .problem("name", format!("invalid volume name: {:?}", volume.name))
            .remedy("a volume's name has small letters, digits, `_` and `-`"));
    }
    if !matches!(volume.format.as_str(), "" | "oci" | "filesystem") {
        return Err(volume
            .origin
            .problem("format", format!("unknown volume format {:?}", volume.format))
            .remedy("a volume's format is `filesystem` or `oci`"));
    }
    if !volume.image.is_empty() {
        check_reference(&volume.origin, "image", &volume.image)?;
    }
    Ok(volume)
}

fn containers(top: &Fields<'_>, section: &'static str) -> Result<Vec<Container>> {
    let accepted: Vec<&'static str> = ["name", "image"].iter().chain(OPTIONS).copied().collect();
    let mut out = Vec::new();
    for fields in top.maps(section, &accepted)? {
        let container = Container {
            name: fields.needed("name")?,
            image: fields.needed("image")?,
            options: options(&fields)?,
            origin: fields.origin(),
        };
        let parts: Vec<&str> = container.name.split('/').collect();
        if parts.iter().any(|part| matches!(*part, "" | "." | "..")) || container.name.contains('\0') {
            return Err(container
                .origin
                .problem("name", format!("{:?} cannot be a container's name", container.name))
                .remedy("the name becomes a folder below /containers"));
        }
        check_reference(&container.origin, "image", &container.image)?;
        out.push(container);
    }
    Ok(out)
}

fn file_entry(fields: &Fields<'_>) -> Result<FileEntry> {
    let file = FileEntry {
        path: fields.needed("path")?,
        directory: fields.bool("directory")?.unwrap_or(false),
        symlink: fields.text("symlink")?.unwrap_or_default(),
        contents: fields.text("contents")?,
        source: fields.text("source")?.unwrap_or_default(),
        metadata: fields.text("metadata")?.unwrap_or_default(),
        optional: fields.bool("optional")?.unwrap_or(false),
        mode: fields.octal_text("mode")?,
        uid: fields.id("uid")?,
        gid: fields.id("gid")?,
        origin: fields.origin(),
    };
    let wrong = |key, what: String| Err(file.origin.problem(key, what));
    match crate::initramfs::TreePath::new(&file.path) {
        Ok(path) if path.is_root() => return wrong("path", "a file's path is empty".into()),
        Ok(_) => {}
        Err(e) => return Err(file.origin.problem("path", "the path cannot be used").because(e)),
    }
    let given: Vec<&str> = [
        ("contents", file.contents.is_some()),
        ("source", !file.source.is_empty()),
        ("metadata", !file.metadata.is_empty()),
    ]
    .iter()
    .filter(|(_, given)| *given)
    .map(|(key, _)| *key)
    .collect();
    match (file.directory, file.symlink.is_empty(), given.as_slice()) {
        (true, true, []) | (false, true, [_]) => {}
        (true, false, _) => {
            return wrong("symlink", format!("{} is a directory and a symlink at once", file.path));
        }
        (true, _, [key, ..]) => return wrong(key, format!("{} is a directory: it has no {key}", file.path)),
        // What is beside a symlink is dropped, as by LinuxKit; the plan warns of it.
        (false, false, _) => {}
        (false, true, []) => {
            return Err(file
                .origin
                .problem("path", format!("{} has no content", file.path))
                .remedy("give it one of contents, source, metadata, symlink or directory"));
        }
        (false, true, [_, second, ..]) => {
            return wrong(second, format!("{} has two contents: {}", file.path, given.join(" and ")));
        }
    }
    if !matches!(file.metadata.as_str(), "" | "yaml" | "json") {
        return wrong("metadata", format!("unknown metadata format {:?}; it is yaml or json", file.metadata));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linuxkit::ContainerOptions;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC{0,200}", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Definition::parse(&text, "x.yml");
            let _ = ContainerOptions::from_label(&text, "x");
            let _ = Definition::one(&bytes, Path::new("x.yml"));
        }

        /// Something that looks like a definition, with one thing broken.
        #[test]
        fn a_damaged_definition_is_parsed_or_refused(at in 0usize..400, with in "[\\[\\]{}:,&*!|>'\"%@`#?\\- \n\t]{1,3}") {
            let mut text = String::from(
                "kernel: {image: k}\ninit: [a, b]\nservices:\n  - name: x\n    image: i\n    binds: [\"/a:/b\"]\n    \
                 resources:\n      memory: {limit: 5}\n    runtime:\n      bindNS: {net: /x}\nfiles:\n  - path: a\n    contents: |\n      x\n",
            );
            let at = at.min(text.len());
            text.insert_str(at, &with);
            if let Err(problem) = Definition::parse(&text, "x.yml") {
                prop_assert!(problem.place().is_some(), "{}", problem);
            }
        }
    }
}
