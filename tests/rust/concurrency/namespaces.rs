//! Every operation from many threads at once, on the same keys and values, in namespaces that come and go.

use crate::watchdog::{Reporter, Watchdog};
use prestige_core::{Error, Options, Range, Store};
use prestige_tests::{Random, assert_sound, entries, fast_semantic_options};

const SPACES: [&str; 3] = ["", "red", "blue"];
const THREADS: u64 = 16;

/// One of few texts; of some length, so that the size is worth evicting for.
fn value(random: &mut Random) -> Vec<u8> {
    let number = random.below(40);
    format!("v{number}a v{number}b v{number}c. ")
        .repeat(1 + number as usize)
        .into_bytes()
}

fn key(random: &mut Random) -> Vec<u8> {
    format!("key {}", random.below(60)).into_bytes()
}

/// A value that was read must be one that somebody puts: whole, and never bytes of another.
fn assert_whole(value: &[u8]) {
    let text = std::str::from_utf8(value).unwrap();
    let number: usize = text[1..].split('a').next().unwrap().parse().unwrap();
    let sentence = format!("v{number}a v{number}b v{number}c. ");
    assert_eq!(text, sentence.repeat(1 + number));
}

struct Worker<'a> {
    store: &'a Store,
    random: Random,
    reporter: Reporter<'a>,
}

impl Worker<'_> {
    fn step(&mut self) -> Result<(), Error> {
        let random = &mut self.random;
        let space = SPACES[random.below(3) as usize];
        let number = random.below(30);
        self.reporter
            .begins(format!("operation {number} in {space:?}"));
        let view = self.store.namespace(space)?;
        match number {
            0..9 => {
                let ttl = Some(random.below(3));
                view.put(&key(random), &value(random), ttl).map(drop)
            }
            9..13 => {
                let count = random.below(20);
                let pairs: Vec<_> = (0..count).map(|_| (key(random), value(random))).collect();
                view.put_many(&entries(&pairs)).map(drop)
            }
            13..16 => view.get_with(&key(random), assert_whole).map(drop),
            16 => {
                let keys: Vec<_> = (0..10).map(|_| key(random)).collect();
                let keys: Vec<_> = keys.iter().map(Vec::as_slice).collect();
                let reader = view.reader()?;
                let found = reader.get_many(&keys)?;
                found.iter().flatten().for_each(|value| assert_whole(value));
                Ok(())
            }
            17..20 => view.delete(&key(random)),
            20 => {
                let keys: Vec<_> = (0..20).map(|_| key(random)).collect();
                let keys: Vec<_> = keys.iter().map(Vec::as_slice).collect();
                view.delete_many(&keys).map(drop)
            }
            21..23 => self.scan(&view),
            23..25 => view.sweep().map(drop),
            25 => view.prune(1, 0).map(drop),
            26 => view.evict_lru(2000).map(drop),
            27 => view.health().map(drop),
            28 if random.below(4) == 0 => {
                let violations = self.store.verify()?;
                assert!(violations.is_empty(), "{violations:#?}");
                Ok(())
            }
            28 if random.below(8) == 0 => self.store.flush(),
            _ if random.below(3) == 0 && !space.is_empty() => self.store.drop_namespace(space),
            _ => view.count_keys(false).map(drop),
        }
    }

    /// A scan sees each key once, in order, with a value of its time, whatever others do meanwhile.
    fn scan(&mut self, view: &Store) -> Result<(), Error> {
        let mut scan = view.scan(Range::default())?;
        let mut previous: Option<Vec<u8>> = None;
        while scan.next_items(|key, value| {
            assert_whole(value);
            assert!(previous.as_deref().is_none_or(|previous| previous < key));
            previous = Some(key.to_vec());
        })? > 0
        {}
        Ok(())
    }
}

fn hammer(options: Options, steps: u64) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), options.clone()).unwrap();
    Watchdog::watch(|watchdog| {
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let mut worker = Worker {
                    store: &store,
                    random: Random::new(thread + 1),
                    reporter: watchdog.reporter(),
                };
                scope.spawn(move || {
                    for _ in 0..steps {
                        match worker.step() {
                            // Absent keys, and namespaces that another thread dropped.
                            Ok(()) | Err(Error::NotFound(_) | Error::InvalidArgument(_)) => {}
                            Err(error) => panic!("{error:?}"),
                        }
                    }
                });
            }
        });
    });
    assert_sound(&store);
    store.close().unwrap();
    assert_sound(&Store::open(directory.path(), options).unwrap());
}

/// Waiting for a lock may take long here, and must not look like an error.
fn patient(options: Options) -> Options {
    Options {
        lock_timeout_ms: 50_000,
        lru_update_interval_seconds: 0,
        // Smaller than what there is to read, so that it evicts too.
        value_cache_bytes: 1 << 15,
        ..options
    }
}

#[test]
fn sixteen_threads_in_namespaces_that_come_and_go() {
    hammer(patient(Options::default()), 600);
}

#[test]
fn sixteen_threads_in_namespaces_without_collection_and_with_a_size_limit() {
    let options = Options {
        enable_gc: false,
        max_store_bytes: 30_000,
        write_buffer_bytes: 1 << 18,
        ..Options::default()
    };
    hammer(patient(options), 400);
}

#[test]
fn sixteen_threads_in_semantic_namespaces() {
    let mut options = patient(fast_semantic_options());
    options.semantic.index_save_interval = 20;
    hammer(options, 200);
}
