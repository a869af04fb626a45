//! What the child does until it is killed.

use crate::process::{ACKNOWLEDGED, SEED};
use crate::script::{Place, Script, Step, key, metadata, namespace, value};
use prestige_core::{Entry, Error, Options, Store};
use prestige_tests::{Random, fast_model, fast_semantic_options, question, real_semantic_options};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The role in which texts are embedded anew all the time.
pub const REEMBEDDING: &str = "semantic, embedding anew";
/// The models that take turns.
const MODELS: usize = 3;
/// Threads of the mixed load.
pub const THREADS: u64 = 3;
/// Of the flushes in the script of the durable load, every so many-th is done.
const FLUSH_EVERY: u64 = 16;
/// Texts of the load on the real model.
pub const TEXTS: usize = 1000;

/// Options of a role: buffers so small that flushes, switches of the log and compactions happen all the time.
pub fn options(role: &str, seed: u64) -> Options {
    let semantic = role.contains("semantic");
    let mut options = if semantic {
        fast_semantic_options()
    } else {
        Options::default()
    };
    options.write_buffer_bytes = 1 << (17 + seed % 2);
    options.semantic.index_save_interval = 50;
    options.sync_writes = role.starts_with("synced");
    options.enable_gc = !seed.is_multiple_of(3);
    // Everything waits for the disk here, and for each other.
    options.lock_timeout_ms = 60_000;
    options
}

/// Opens a store, of which nobody knows which model it has by now.
pub fn open(role: &str, seed: u64, directory: &Path) -> Store {
    if role != REEMBEDDING {
        return Store::open(directory, options(role, seed)).unwrap();
    }
    for number in 0..MODELS {
        let mut options = options(role, seed);
        options.embedder = Some(Arc::new(move || Ok(fast_model(number))));
        match Store::open(directory, options) {
            Err(Error::Model(_)) => {}
            opened => return opened.unwrap(),
        }
    }
    panic!("the store has none of the models");
}

pub fn run(role: &str, directory: &Path) {
    // A thread that fails must not leave the others running as if nothing had happened.
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        report(info);
        std::process::abort();
    }));
    let path = PathBuf::from(std::env::var_os(ACKNOWLEDGED).unwrap());
    let acknowledged = File::options().append(true).open(path).unwrap();
    let seed: u64 = std::env::var(SEED).unwrap().parse().unwrap();
    if role == "texts" {
        texts(directory, &acknowledged);
    } else {
        let store = if role == REEMBEDDING && seed.is_multiple_of(5) {
            // With a model that it may not have, and without the one it has.
            let mut options = options(role, seed);
            let number = seed as usize % MODELS;
            options.embedder = Some(Arc::new(move || Ok(fast_model(number))));
            options.reembed = true;
            Store::open(directory, options).unwrap()
        } else {
            open(role, seed, directory)
        };
        match role {
            "exact" | "semantic" => mixed_load(&store, seed, &acknowledged, |_| {}),
            REEMBEDDING => mixed_load(&store, seed, &acknowledged, |store| {
                change_models(store, seed);
            }),
            _ => durable_load(&store, role.starts_with("synced"), seed, &acknowledged),
        }
    }
}

/// On the real model, one byte a text.
fn texts(directory: &Path, mut acknowledged: &File) {
    let store = Store::open(directory, real_semantic_options()).unwrap();
    for i in 0..TEXTS {
        store
            .put(format!("q{i}").as_bytes(), question(i).as_bytes(), None)
            .unwrap();
        acknowledged.write_all(b"q").unwrap();
    }
    // Killed while it waits, not while the store closes.
    std::thread::sleep(Duration::from_secs(60));
}

/// Several threads; each acknowledges a step by a byte of its number.
fn mixed_load(store: &Store, seed: u64, acknowledged: &File, meanwhile: impl Fn(&Store) + Send) {
    std::thread::scope(|scope| {
        scope.spawn(move || meanwhile(store));
        for thread in 0..THREADS {
            let mut acknowledged = acknowledged;
            scope.spawn(move || {
                for step in Script::new(seed, thread) {
                    take(store, thread, &step);
                    acknowledged.write_all(&[thread as u8]).unwrap();
                }
            });
        }
        scope.spawn(|| {
            loop {
                std::thread::sleep(Duration::from_millis(60));
                store.compact().unwrap();
            }
        });
    });
}

/// Embeds all texts by one model after another, and rebuilds indexes; many of these calls are ended half-way.
fn change_models(store: &Store, seed: u64) {
    let mut random = Random::new(seed);
    loop {
        let model = random.below(MODELS as u64) as usize;
        let mut ends = random.below(12);
        let mut progress = |_: u64, _: u64| {
            std::thread::sleep(Duration::from_millis(random.below(4)));
            ends = ends.wrapping_sub(1);
            match ends {
                0 => Err(Error::InvalidArgument("enough".to_owned())),
                _ => Ok(()),
            }
        };
        let ended = store
            .reembed(fast_model(model), &mut progress)
            .and_then(|_| store.rebuild_index(&mut progress));
        match ended {
            Err(error) if error.to_string() != "enough" => panic!("{error}"),
            _ => {}
        }
    }
}

/// One thread. Each line says how many steps are done and, where all of them are durable, the newest log and its length.
fn durable_load(store: &Store, synced: bool, seed: u64, mut acknowledged: &File) {
    let durable = |done: usize| {
        let (log, length) = newest_log(store.path());
        format!("{done} {log} {length}\n")
    };
    acknowledged.write_all(durable(0).as_bytes()).unwrap();
    let mut flushes = 0;
    for (done, step) in Script::new(seed, 0).enumerate() {
        let flush = matches!(step, Step::Flush);
        flushes += u64::from(flush);
        // Most are left out, or all the time would go by in them.
        let left_out = flush && !flushes.is_multiple_of(FLUSH_EVERY);
        if !left_out {
            take(store, 0, &step);
        }
        let line = if synced || (flush && !left_out) {
            durable(done + 1)
        } else {
            format!("{}\n", done + 1)
        };
        acknowledged.write_all(line.as_bytes()).unwrap();
    }
}

/// Number and length of the log that is written now.
pub fn newest_log(directory: &Path) -> (u64, u64) {
    let entries = std::fs::read_dir(directory).unwrap().map(Result::unwrap);
    let logs = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().unwrap();
        let number: u64 = name.strip_suffix(".log")?.parse().ok()?;
        // It may have been deleted since it was listed; the newest never is.
        Some((number, entry.metadata().ok()?.len()))
    });
    logs.max().unwrap()
}

/// Does a step; returns when it is done.
fn take(store: &Store, thread: u64, step: &Step) {
    let view = |place| store.namespace(&namespace(thread, place)).unwrap();
    match step {
        Step::Put(place, number, wanted, fleeting) => {
            let entry = Entry {
                key: &key(thread, *place, *number),
                value: &value(*wanted),
                ttl_seconds: fleeting.then_some(1),
                metadata: Some(&metadata(*wanted, *fleeting)),
                lent: None,
            };
            view(*place).put_many(&[entry]).unwrap();
        }
        Step::PutMany(place, pairs) => {
            let pairs: Vec<_> = pairs
                .iter()
                .map(|(number, wanted)| {
                    let key = key(thread, *place, *number);
                    (key, value(*wanted), metadata(*wanted, false))
                })
                .collect();
            let entries: Vec<_> = pairs
                .iter()
                .map(|(key, value, metadata)| Entry {
                    key,
                    value,
                    ttl_seconds: None,
                    metadata: Some(metadata),
                    lent: None,
                })
                .collect();
            view(*place).put_many(&entries).unwrap();
        }
        Step::Delete(place, number) => {
            let deleted = view(*place).delete(&key(thread, *place, *number));
            assert!(
                matches!(deleted, Ok(()) | Err(Error::NotFound(_))),
                "{deleted:?}"
            );
        }
        Step::DeleteMany(place, numbers) => {
            let keys: Vec<_> = numbers
                .iter()
                .map(|number| key(thread, *place, *number))
                .collect();
            let keys: Vec<_> = keys.iter().map(Vec::as_slice).collect();
            view(*place).delete_many(&keys).unwrap();
        }
        Step::Sweep => drop(store.sweep().unwrap()),
        Step::Evict(percent) => {
            let view = view(Place::Evicted);
            let target = view.total_bytes().unwrap() * percent / 100;
            view.evict_lru(target).unwrap();
        }
        Step::DropNamespace => {
            let dropped = store.drop_namespace(&namespace(thread, Place::Dropped));
            assert!(
                matches!(dropped, Ok(()) | Err(Error::NotFound(_))),
                "{dropped:?}"
            );
        }
        Step::Flush => store.flush().unwrap(),
    }
}
