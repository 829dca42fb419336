//! What `cargo metadata` says about the crates of this workspace.

use cargo_metadata::{DependencyKind, MetadataCommand, Package};
use hive_architecture::Tree;

/// The members, by name.
pub(super) fn members(tree: &Tree) -> Vec<Member> {
    let metadata = MetadataCommand::new()
        .manifest_path(tree.root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata reads the manifests");
    let mut members: Vec<Member> =
        metadata.packages.iter().map(|package| Member::new(tree, package)).collect();
    members.sort_by(|a, b| a.name.cmp(&b.name));
    members
}

/// One crate of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: String,
    /// Folder of its manifest, relative to the root.
    pub(super) folder: String,
    /// Everything its manifest names, by name; a crate named in two sections appears twice.
    pub(super) dependencies: Vec<Dependency>,
}

/// One entry of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Dependency {
    pub(super) name: String,
    pub(super) section: Section,
    /// Whether it is a crate of this workspace.
    pub(super) ours: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Section {
    Normal,
    Build,
    Dev,
}

impl Member {
    fn new(tree: &Tree, package: &Package) -> Self {
        let manifest = package.manifest_path.as_std_path();
        let folder = manifest.parent().and_then(|folder| folder.strip_prefix(tree.root()).ok());
        let mut dependencies: Vec<Dependency> = package
            .dependencies
            .iter()
            .map(|dependency| Dependency {
                name: dependency.name.clone(),
                section: match dependency.kind {
                    DependencyKind::Development => Section::Dev,
                    DependencyKind::Build => Section::Build,
                    _ => Section::Normal,
                },
                ours: dependency.path.is_some(),
            })
            .collect();
        dependencies.sort();
        dependencies.dedup();
        Self {
            name: package.name.to_string(),
            folder: folder.map(|folder| folder.to_string_lossy().replace('\\', "/")).unwrap_or_default(),
            dependencies,
        }
    }

    /// Path of its manifest, relative to the root.
    pub(super) fn manifest(&self) -> String {
        format!("{}/Cargo.toml", self.folder)
    }
}
