//! The rooms of a crate, and which of them uses which. A room is a folder, or a file beside folders; the rooms of one folder
//! are seen together, so that a circle is one of neighbors. What a folder's own `mod.rs` uses of its inside is no arrow.
use super::source::{self, Named};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// A module: the names from the crate's root to it.
pub(crate) type Module = Vec<String>;

/// One room uses another one of the same folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Arrow {
    /// The folder of both: empty for the crate's root.
    pub(crate) folder: String,
    /// Who uses.
    pub(crate) from: String,
    /// What is used.
    pub(crate) to: String,
}

/// A crate's modules.
#[derive(Debug, Default)]
pub(crate) struct Crate {
    modules: BTreeMap<Module, Named>,
}

impl Crate {
    /// Read the sources below a folder.
    pub(crate) fn read(folder: &Path) -> Crate {
        Crate::of(&files(folder))
    }

    /// From the texts of files, by their paths.
    pub(crate) fn of(files: &BTreeMap<String, String>) -> Crate {
        let mut modules: BTreeMap<Module, Named> =
            files.iter().map(|(path, text)| (module(path), source::read(text))).collect();
        let tests: Vec<Module> = modules
            .iter()
            .flat_map(|(module, named)| named.test_modules.iter().map(|test| child(module, test)))
            .collect();
        modules.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
        Crate { modules }
    }

    /// The rooms at the root.
    pub(crate) fn rooms(&self) -> BTreeSet<String> {
        self.modules.keys().filter_map(|module| module.first().cloned()).collect()
    }

    /// Who uses what.
    pub(crate) fn arrows(&self) -> BTreeSet<Arrow> {
        let mut arrows = BTreeSet::new();
        for (module, named) in &self.modules {
            for path in &named.paths {
                let Some(target) = self.resolve(module, path, 0) else { continue };
                let common = module.iter().zip(&target).take_while(|(a, b)| a == b).count();
                // One lies within the other: a folder and its inside are one.
                let (Some(from), Some(to)) = (module.get(common), target.get(common)) else { continue };
                let folder = module[..common].join("/");
                arrows.insert(Arrow { folder, from: from.clone(), to: to.clone() });
            }
        }
        arrows
    }

    /// The module that a path leads to, through what other modules re-export.
    fn resolve(&self, from: &Module, path: &[String], depth: usize) -> Option<Module> {
        let (mut at, mut rest) = (from.clone(), path);
        match path.first()?.as_str() {
            "crate" => {
                at.clear();
                rest = &path[1..];
            }
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|word| word == "super") {
                    at.pop()?;
                    rest = &rest[1..];
                }
            }
            first if self.modules.contains_key(&child(from, first)) => {}
            // Another crate, or what another `use` of this file names.
            _ => return None,
        }
        while let Some((word, after)) = rest.split_first() {
            let inside = child(&at, word);
            if self.modules.contains_key(&inside) {
                (at, rest) = (inside, after);
                continue;
            }
            let alias = self.modules.get(&at)?.aliases.get(word).filter(|_| at != *from && depth < 8);
            if let Some(alias) = alias {
                let whole: Vec<String> = alias.iter().chain(after).cloned().collect();
                return self.resolve(&at, &whole, depth + 1).or(Some(at));
            }
            break;
        }
        Some(at)
    }
}

/// Groups of rooms of one folder that use each other, the way round or directly; each sorted.
pub(crate) fn circles(arrows: &BTreeSet<Arrow>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for Arrow { folder, from, .. } in arrows {
        let around: BTreeSet<&String> = reached(arrows, folder, from)
            .into_iter()
            .filter(|room| *room != from && reached(arrows, folder, room).contains(from))
            .collect();
        if !around.is_empty() {
            let mut rooms: Vec<&str> = around.into_iter().map(String::as_str).collect();
            rooms.push(from);
            rooms.sort_unstable();
            found.insert(format!("{folder}: {}", rooms.join(" ")).trim_start_matches(": ").to_owned());
        }
    }
    found
}

fn reached<'a>(arrows: &'a BTreeSet<Arrow>, folder: &str, from: &String) -> BTreeSet<&'a String> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(room) = open.pop() {
        for arrow in arrows.iter().filter(|a| a.folder == folder && a.from == *room) {
            if reached.insert(&arrow.to) {
                open.push(&arrow.to);
            }
        }
    }
    reached
}

fn child(module: &Module, name: &str) -> Module {
    let mut module = module.clone();
    module.push(name.to_owned());
    module
}

fn module(path: &str) -> Module {
    let mut module: Module = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| last == "mod") || module == ["lib"] {
        module.pop();
    }
    module
}

/// The texts of all sources below a folder, by their paths.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    collect(folder, folder, &mut files);
    files
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            files.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
}
