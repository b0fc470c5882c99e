//! Images of containers as their tools save them, made by hand, so that each part can be wrong.
use bistable_format::Digest;
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// How a layer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packed {
    Plain,
    Gzip,
    Zstd,
}

/// A tar with these files.
pub(crate) fn layer(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        header.set_mtime(1_600_000_000);
        tar.append_data(&mut header, name, *content).unwrap();
    }
    tar.into_inner().unwrap()
}

pub(crate) fn packed(how: Packed, bytes: &[u8]) -> (Vec<u8>, &'static str) {
    match how {
        Packed::Plain => (bytes.to_vec(), "application/vnd.oci.image.layer.v1.tar"),
        Packed::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            (encoder.finish().unwrap(), "application/vnd.oci.image.layer.v1.tar+gzip")
        }
        Packed::Zstd => (zstd::encode_all(bytes, 3).unwrap(), "application/vnd.oci.image.layer.v1.tar+zstd"),
    }
}

/// The configuration of an image with these layers.
pub(crate) fn config(architecture: &str, layers: &[Vec<u8>]) -> Value {
    let diff_ids: Vec<String> = layers.iter().map(|layer| format!("sha256:{}", Digest::of(layer))).collect();
    json!({"architecture": architecture, "os": "linux", "config": {"Cmd": ["/run"]}, "rootfs": {"type": "layers", "diff_ids": diff_ids}})
}

/// An OCI layout in a folder.
pub(crate) struct Layout(pub(crate) PathBuf);

impl Layout {
    pub(crate) fn new(folder: PathBuf) -> Layout {
        fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
        fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        Layout(folder)
    }

    /// Put a blob there, and describe it.
    pub(crate) fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        fs::write(self.0.join(format!("blobs/sha256/{digest}")), bytes).unwrap();
        json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len()})
    }

    pub(crate) fn document(&self, media_type: &str, document: &Value) -> Value {
        self.blob(media_type, document.to_string().as_bytes())
    }

    /// An image with its manifest.
    pub(crate) fn image(&self, architecture: &str, layers: &[Vec<u8>], how: Packed) -> Value {
        self.image_of(&config(architecture, layers), layers, how)
    }

    pub(crate) fn image_of(&self, config: &Value, layers: &[Vec<u8>], how: Packed) -> Value {
        let config = self.document("application/vnd.oci.image.config.v1+json", config);
        let layers: Vec<Value> = layers
            .iter()
            .map(|layer| {
                let (bytes, media_type) = packed(how, layer);
                self.blob(media_type, &bytes)
            })
            .collect();
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers});
        self.document("application/vnd.oci.image.manifest.v1+json", &manifest)
    }

    pub(crate) fn nested(&self, manifests: &[Value]) -> Value {
        self.document(
            "application/vnd.oci.image.index.v1+json",
            &json!({"schemaVersion": 2, "manifests": manifests}),
        )
    }

    pub(crate) fn index(&self, manifests: &[Value]) {
        let index = json!({"schemaVersion": 2, "manifests": manifests});
        fs::write(self.0.join("index.json"), index.to_string()).unwrap();
    }

    /// The file of a described blob.
    pub(crate) fn file(&self, descriptor: &Value) -> PathBuf {
        let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        self.0.join("blobs/sha256").join(digest)
    }
}

/// A descriptor with more fields.
pub(crate) fn with(mut descriptor: Value, fields: &Value) -> Value {
    for (key, value) in fields.as_object().unwrap() {
        descriptor[key] = value.clone();
    }
    descriptor
}

/// What old versions of `docker save` write: a folder for each layer, links between layers that are equal.
pub(crate) fn docker_archive(path: &Path, images: &[(&str, Value, &[Vec<u8>])]) {
    let mut tar = tar::Builder::new(fs::File::create(path).unwrap());
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, bytes).unwrap();
    };
    let (mut list, mut links, mut seen) = (Vec::new(), Vec::new(), Vec::new());
    for (at, (name, config, layers)) in images.iter().enumerate() {
        let config = config.to_string();
        let config_name = format!("{}.json", Digest::of(config.as_bytes()));
        if !seen.contains(&config_name) {
            add(&config_name, config.as_bytes());
            seen.push(config_name.clone());
        }
        let mut names = Vec::new();
        for (n, layer) in layers.iter().enumerate() {
            let (folder, original) = (format!("{at}-{n}"), Digest::of(layer).to_string());
            if !seen.contains(&original) {
                add(&format!("{original}/layer.tar"), layer);
                seen.push(original.clone());
            }
            links.push((format!("{folder}/layer.tar"), format!("../{original}/layer.tar")));
            names.push(format!("{folder}/layer.tar"));
        }
        list.push(json!({"Config": config_name, "RepoTags": [name], "Layers": names}));
    }
    add("manifest.json", Value::from(list).to_string().as_bytes());
    for (name, target) in links {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, name, target).unwrap();
    }
    tar.into_inner().unwrap();
}

/// A tar of a folder.
pub(crate) fn archive(folder: &Path, path: &Path) {
    let mut tar = tar::Builder::new(fs::File::create(path).unwrap());
    tar.append_dir_all(".", folder).unwrap();
    tar.into_inner().unwrap();
}
