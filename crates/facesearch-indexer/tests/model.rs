//! Any history of files and runs against a slow model of what the index must then say.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use common::{Mortal, World, dump, store};
use facesearch_core::{ContentHash, FaceStore, Outcome};
use facesearch_indexer::{IdentityRule, IndexOptions};
use facesearch_store::{MemoryStore, SledStore};
use proptest::prelude::*;
use proptest::sample::Index;

const NAMES: &[&str] =
    &["a/1.jpg", "a/2.jpg", "a!/3.jpg", "b/4.jpg", "b/c/5.jpg", "b/c/6.jpg", "d/7.jpg", "d/8.jpg"];

const CONTENTS: &[&str] = &["1 p", "2 q", "3 r", "1 s", "0 t", "0 u", "bad v", "reject w"];

#[derive(Debug, Clone)]
enum Act {
    Write(Index, Index),
    Remove(Index),
    Rename(Index, Index),
    Swap(Index, Index),
    Copy(Index, Index),
    /// A run: whether it prunes, of which root, how many threads, and after how many commits a twin
    /// of the store dies in it before it is run again.
    Run {
        prune: bool,
        root: Index,
        threads: usize,
        dies: u64,
    },
}

fn act() -> impl Strategy<Value = Act> {
    let two = || (any::<Index>(), any::<Index>());
    let run = (any::<bool>(), any::<Index>(), 1usize..4, 0u64..10);
    prop_oneof![
        4 => two().prop_map(|(name, content)| Act::Write(name, content)),
        1 => any::<Index>().prop_map(Act::Remove),
        2 => two().prop_map(|(from, to)| Act::Rename(from, to)),
        2 => two().prop_map(|(one, other)| Act::Swap(one, other)),
        1 => two().prop_map(|(from, to)| Act::Copy(from, to)),
        3 => run.prop_map(|(prune, root, threads, dies)| Act::Run { prune, root, threads, dies }),
    ]
}

/// A ledger line: the content of a path, and the one it keeps the faces of.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Line {
    content: &'static str,
    keeps: Option<&'static str>,
}

impl Line {
    fn stands_for(&self) -> Option<&'static str> {
        if is_failure(self.content) { self.keeps } else { Some(self.content) }
    }
}

fn is_failure(content: &str) -> bool {
    content.starts_with("bad") || content.starts_with("reject")
}

fn faces_in(content: &str) -> u64 {
    content[..1].parse().unwrap_or(0)
}

type Files = BTreeMap<&'static str, &'static str>;

/// What the index must say, by definition.
#[derive(Debug, Clone, Default)]
struct Model {
    lines: BTreeMap<&'static str, Line>,
}

impl Model {
    /// Runs below `root`, and returns how many faces had to be embedded.
    fn run(&mut self, files: &Files, root: &str, prune: bool) -> u64 {
        let below = |name: &str| Path::new(name).starts_with(root);
        let known: BTreeSet<_> = self.contents();
        let mut fresh = BTreeSet::new();
        for (name, content) in files.iter().filter(|(name, _)| below(name)) {
            if !known.contains(content) {
                fresh.insert(*content);
            }
            let earlier = self.lines.get(name).and_then(Line::stands_for);
            let keeps = earlier.filter(|_| is_failure(content));
            self.lines.insert(name, Line { content, keeps });
        }
        let before = self.lines.clone();
        for (name, line) in before.iter().filter(|(name, _)| below(name)) {
            if files.contains_key(name) {
                continue;
            }
            let content = line.stands_for().unwrap_or(line.content);
            let elsewhere = before.iter().any(|(other, line)| {
                other != name && line.content == content && files.contains_key(other)
            });
            if prune || elsewhere {
                self.lines.remove(name);
            }
        }
        fresh.iter().map(|content| faces_in(content)).sum()
    }

    /// Every content that is named.
    fn contents(&self) -> BTreeSet<&'static str> {
        self.lines.values().flat_map(|line| [Some(line.content), line.keeps]).flatten().collect()
    }

    /// Who answers for a content: the first with its bytes, or else the first that keeps them.
    fn answers(&self, content: &str) -> &'static str {
        let has = self.lines.iter().find(|(_, line)| line.content == content);
        let keeps = || self.lines.iter().find(|(_, line)| line.keeps == Some(content));
        has.or_else(keeps).unwrap().0
    }

    fn check(&self, world: &World, store: &dyn FaceStore) {
        let mut lines = BTreeMap::new();
        store
            .for_each_file(Path::new(""), &mut |path, entry| {
                let name = path.strip_prefix(&world.dir)?.to_str().unwrap().to_owned();
                lines.insert(name, entry);
                Ok(())
            })
            .unwrap();
        assert_eq!(lines.keys().collect::<Vec<_>>(), self.lines.keys().collect::<Vec<_>>());
        for (name, line) in &self.lines {
            let entry = &lines[*name];
            assert_eq!(entry.content, Some(hash(line.content)), "{name}");
            assert_eq!(entry.keeps, line.keeps.map(hash), "{name}");
            let first = self.answers(line.content);
            match &entry.outcome {
                Outcome::Faces(count) => {
                    assert_eq!((u64::from(*count), *name), (faces_in(line.content), first));
                }
                Outcome::NoFace => assert_eq!((0, *name), (faces_in(line.content), first)),
                Outcome::DuplicateOf(path) => {
                    assert!(!is_failure(line.content) && *name != first);
                    assert_eq!(*path, world.path(first));
                }
                failure => assert!(failure.is_failure() && is_failure(line.content), "{name}"),
            }
        }
        let mut faces = BTreeSet::new();
        for &content in CONTENTS {
            let photo = store.photo(&hash(content)).unwrap();
            assert_eq!(photo.is_some(), self.contents().contains(content), "{content}");
            let Some(photo) = photo else { continue };
            let first = self.answers(content);
            assert_eq!(photo.path, world.path(first), "{content}");
            assert_eq!(photo.faces.len() as u64, faces_in(content));
            for (place, id) in photo.faces.iter().enumerate() {
                let face = store.face(*id).unwrap().unwrap();
                assert_eq!(face.photo, hash(content));
                let stem = Path::new(first).file_stem().unwrap();
                let label = (place == 0).then(|| stem.to_str().unwrap());
                assert_eq!(face.identity.as_deref(), label, "{first}");
                assert!(faces.insert(*id));
            }
        }
        assert_eq!(store.face_count().unwrap(), faces.len() as u64);
    }
}

fn hash(content: &str) -> ContentHash {
    ContentHash(*blake3::hash(content.as_bytes()).as_bytes())
}

/// Applies an act to the files on disk and in mind.
fn apply(world: &World, files: &mut Files, act: &Act) {
    let pick = |files: &Files, index: &Index| {
        (!files.is_empty()).then(|| *files.keys().nth(index.index(files.len())).unwrap())
    };
    match act {
        Act::Write(name, content) => {
            files.insert(*name.get(NAMES), *content.get(CONTENTS));
        }
        Act::Remove(name) => {
            if let Some(name) = pick(files, name) {
                files.remove(name);
            }
        }
        Act::Rename(from, to) => {
            if let Some(from) = pick(files, from) {
                let content = files.remove(from).unwrap();
                files.insert(*to.get(NAMES), content);
            }
        }
        Act::Swap(one, other) => {
            if let (Some(one), Some(other)) = (pick(files, one), pick(files, other)) {
                let (a, b) = (files[one], files[other]);
                files.insert(one, b);
                files.insert(other, a);
            }
        }
        Act::Copy(from, to) => {
            if let Some(from) = pick(files, from) {
                files.insert(*to.get(NAMES), files[from]);
            }
        }
        Act::Run { .. } => {}
    }
    for &name in NAMES {
        match files.get(name) {
            Some(content) => world.write(name, content),
            None => drop(std::fs::remove_file(world.path(name))),
        }
    }
}

/// A store that is never disturbed, and a twin that dies in every run and is run again.
fn check_history(acts: &[Act], straight: &dyn FaceStore, twin: &dyn FaceStore) {
    let world = World::new();
    let (mut files, mut model) = (Files::new(), Model::default());
    for &name in NAMES {
        world.write(name, "");
        world.remove(name);
    }
    for act in acts {
        apply(&world, &mut files, act);
        let Act::Run { prune, root, threads, dies } = act else { continue };
        let root = *root.get(&["", "", "", "b", "b/c"]);
        let options = || IndexOptions {
            prune: *prune,
            threads: *threads,
            identity: IdentityRule::Stem,
            ..world.options()
        };
        let want = model.run(&files, root, *prune);

        let report = world.run_with(straight, options(), &[root]).unwrap();
        assert_eq!((world.embeds(), report.embedded), (want, want), "{files:?}");
        model.check(&world, straight);

        let _ = world.run_with(&Mortal::new(twin, *dies), options(), &[root]);
        world.run_with(twin, options(), &[root]).unwrap();
        assert_eq!(dump(twin, &world.dir), dump(straight, &world.dir));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_history_in_memory(acts in prop::collection::vec(act(), 1..40)) {
        check_history(&acts, &store(), &store());
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 8,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_history_on_disk(acts in prop::collection::vec(act(), 1..40)) {
        let dir = tempfile::tempdir().unwrap();
        let disk = SledStore::create_or_open(dir.path(), &common::contract()).unwrap();
        let memory: MemoryStore = store();
        check_history(&acts, &memory, &disk);
    }
}
