//! The layers of ARCHITECTURE.md: a module uses only modules that its row names, and pure modules read
//! no clock, file or environment.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A row of the table: the modules it may use, and whether it is pure.
struct Layer {
    uses: Vec<String>,
    is_pure: bool,
}

/// The names in backticks.
fn names(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The table, bottom up; a row may only name modules of rows above it.
fn table() -> BTreeMap<String, Layer> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let section = text.split("## Layers").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut layers = BTreeMap::<String, Layer>::new();
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = row.trim_matches('|').split('|').collect();
        let [modules, what, uses] = cells[..] else { panic!("three cells, not {row}") };
        let uses = names(uses);
        for used in &uses {
            let module = used.split("::").next().unwrap();
            assert!(layers.contains_key(module), "{used} has no row above {row}");
        }
        for module in names(modules) {
            let layer = Layer { uses: uses.clone(), is_pure: what.contains("pure") };
            assert!(layers.insert(module, layer).is_none(), "twice: {row}");
        }
    }
    layers
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if name != "tests" {
                sources(&path, found);
            }
        } else if path.extension() == Some("rs".as_ref()) && !matches!(name, "tests.rs" | "laws.rs")
        {
            found.push(path);
        }
    }
}

/// A file's code without comments and tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = code.lines().map(|line| line.split("//").next().unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

/// All code, by top-level module.
fn modules() -> Vec<(String, PathBuf, String)> {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    let module = |path: &Path| {
        let first = path.strip_prefix(root().join("src")).unwrap().iter().next().unwrap();
        first.to_str().unwrap().trim_end_matches(".rs").to_owned()
    };
    let found = files.into_iter().map(|path| (module(&path), code(&path), path));
    found
        .filter(|(module, ..)| module != "lib" && module != "main")
        .map(|(module, code, path)| (module, path, code))
        .collect()
}

#[test]
fn modules_use_only_what_their_row_names() {
    let layers = table();
    let mut faults = Vec::new();
    let mut used = BTreeMap::<&str, Vec<String>>::new();
    let files = modules();
    for (module, path, code) in &files {
        let Some(layer) = layers.get(module) else {
            faults.push(format!("{module} has no row in ARCHITECTURE.md"));
            continue;
        };
        for rest in code.split("crate::").skip(1) {
            let path_of_use = rest.split(|c: char| c != ':' && c != '_' && !c.is_alphanumeric());
            let other = path_of_use.into_iter().next().unwrap();
            let allowed = |name: &&String| {
                other == *name
                    || other.strip_prefix(name.as_str()).is_some_and(|it| it.starts_with("::"))
            };
            let own = other.split("::").next() == Some(module);
            match layer.uses.iter().find(allowed) {
                Some(name) => used.entry(module).or_default().push(name.clone()),
                None if own => {}
                None => faults.push(format!("{} uses {other}", path.display())),
            }
        }
    }
    for (module, layer) in &layers {
        let found = used.remove(module.as_str()).unwrap_or_default();
        let unused = layer.uses.iter().filter(|name| !found.contains(name));
        faults.extend(unused.map(|name| format!("{module} does not use {name}: leave it out")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn pure_modules_read_no_clock_file_or_environment() {
    let layers = table();
    assert!(layers.values().any(|layer| layer.is_pure));
    let pure = |module: &String, path: &Path| {
        let path = path.to_str().unwrap();
        layers[module].is_pure
            || path.contains("portal/interpret/")
            || path.contains("ingestion/interpret/")
            || path.ends_with("portal/stage.rs")
    };
    let mut faults = Vec::new();
    for (module, path, code) in modules() {
        if !pure(&module, &path) {
            continue;
        }
        for word in [
            "tokio",
            "reqwest",
            "std::fs",
            "std::env",
            "std::net",
            "SystemTime",
            "Instant",
            "::now(",
        ] {
            if code.contains(word) {
                faults.push(format!("{} uses {word}", path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
