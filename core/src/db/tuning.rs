//! How RocksDB and the families of the schema are tuned.

use crate::error::Result;
use crate::options::Options;
use crate::schema::{self, FAMILIES};
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, DBRecoveryMode, LogLevel,
    LruCacheOptions, MemtableFactory, SliceTransform,
};

/// The families of the schema that are wanted, and RocksDB's own.
pub(super) fn descriptors(
    options: &Options,
    wanted: impl Fn(&'static str) -> bool,
) -> Result<Vec<ColumnFamilyDescriptor>> {
    let mut shards = LruCacheOptions::default();
    shards.set_capacity(usize_of(options.block_cache_bytes));
    shards.set_num_shard_bits(CACHE_SHARD_BITS);
    let cache = Cache::new_lru_cache_opts(&shards);
    FAMILIES
        .into_iter()
        .filter(|name| wanted(name))
        .map(|name| {
            let family = family_options(name, options, &cache)?;
            Ok(ColumnFamilyDescriptor::new(name, family))
        })
        .chain(std::iter::once(Ok(default_family(options))))
        .collect()
}

/// What is not of one family.
pub(super) fn database_options(options: &Options) -> rocksdb::Options {
    let mut database = rocksdb::Options::default();
    database.create_if_missing(true);
    database.create_missing_column_families(true);
    database.set_paranoid_checks(true);
    // The logs were checked, and torn tails cut off, before RocksDB opens them (`wal.rs`); whatever it finds wrong after
    // that is an error, not a reason to drop something.
    database.set_wal_recovery_mode(DBRecoveryMode::AbsoluteConsistency);
    database.set_db_write_buffer_size(usize_of(options.write_buffer_bytes));
    // The log is kept until the slowest family has flushed; this bounds it.
    database.set_max_total_wal_size(options.write_buffer_bytes.saturating_mul(4));
    // One group of writers may fill the write buffers while the next writes the log: a quarter more puts of two threads on
    // two processors, and nothing less of one.
    database.set_enable_pipelined_write(true);
    // Hash tables of `digests` have one writer at a time. Of eight threads that put on two processors each does a tenth
    // more without the turns they would take within a write buffer.
    database.set_allow_concurrent_memtable_write(false);
    database.increase_parallelism(2);
    database.set_max_open_files(512);
    database.set_keep_log_file_num(2);
    database.set_max_log_file_size(1 << 20);
    database.set_log_level(LogLevel::Warn);
    database.set_stats_dump_period_sec(0);
    database.set_stats_persist_period_sec(0);
    database.set_bytes_per_sync(1 << 20);
    // By default RocksDB allocates 4 MiB for it in advance.
    database.set_manifest_preallocation_size(1 << 16);
    if options.enable_statistics {
        database.enable_statistics();
    }
    database
}

/// The buffer of a family grows by this part of all write buffers. RocksDB's default is an eighth of it, up to 1 MiB: the
/// families of one put would together fill small buffers with next to nothing in them, and flush without end.
const ARENA_SHARE: u64 = 128;

/// Values of so many bytes go into files of their own when a write buffer is flushed, so that compaction moves references
/// to them and not the values, and a file whose values are all gone is deleted unread. In a store that evicts as much as
/// it puts, values of 16 KiB are written once beyond the log instead of 1.6 times, and read in half the time; at 6 KiB
/// writes are spared as well and reads take the same, at 1.5 KiB overwriting takes longer.
const LEAST_BLOB_BYTES: u64 = 8 << 10;
/// Share of the blob files, the oldest first, that compaction writes anew where they hold garbage.
pub(super) const BLOB_GC_AGE_CUTOFF: &str = "0.25";
/// Small enough that the values of a file go at about the same time in a store that evicts.
const BLOB_FILE_BYTES: u64 = 64 << 20;

/// The block cache has two to the power of this shards. The filter of a table of a million keys has 1.25 MB and must fit
/// into one, or it is read from the file at every look-up; by default RocksDB would make 64 shards of 1 MB each.
const CACHE_SHARD_BITS: i32 = 2;

/// Share of a write buffer that its filter takes: 0.8 MiB of 64 MiB, ten bits for each of 650,000 keys.
const MEMTABLE_FILTER_SHARE: f64 = 0.0125;

/// Level of LZ4HC for the last level of `keys` and `digests`. A key takes 24 bytes there, 16 with zstd, but is unpacked in far
/// less time: a get from 3,000,000 keys, whose blocks the block cache does not hold, takes a sixth less. Higher levels save
/// nothing more and cost puts a tenth.
const LZ4HC_LEVEL: i32 = 3;
/// RocksDB's default; LZ4 has no use for it.
const WINDOW_BITS: i32 = -14;

/// Bytes of write buffer for each bucket of its hash table: 65,536 buckets, 0.5 MiB of 64 MiB. When the buffer of
/// `digests` is flushed it holds 40,000 digests where the values have 1.5 KB, and a few times as many where they are tiny.
const BYTES_PER_BUCKET: u64 = 1024;
const MOST_BUCKETS: usize = 1 << 20;

/// The counters of a stripe are written with almost every put, each time right before what they were. RocksDB remembers the
/// places of names, by their first bytes, in place of searching the write buffer: a put takes a twentieth less. Names of the
/// counters have 14 bytes; others of as many are remembered as well, which are few.
const REMEMBERED_PLACES: &str = "memtable_insert_with_hint_prefix_extractor=rocksdb.FixedPrefix.14";

fn family_options(name: &str, options: &Options, cache: &Cache) -> Result<rocksdb::Options> {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    // Index and filter blocks count against the cache, so that its size bounds the memory of the store.
    table.set_cache_index_and_filter_blocks(true);
    table.set_cache_index_and_filter_blocks_with_high_priority(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    let looked_up_by_key = matches!(
        name,
        schema::KEYS
            | schema::OBJECTS
            | schema::OBJECT_META
            | schema::DIGESTS
            | schema::VECTORS
            | schema::VECTORS_B
            | schema::METADATA
    );
    if looked_up_by_key && options.bloom_bits_per_key > 0 {
        table.set_bloom_filter(f64::from(options.bloom_bits_per_key), false);
        table.set_optimize_filters_for_memory(true);
    }
    let mut family = rocksdb::Options::default();
    if name == schema::SYSTEM {
        // First of all: what comes of it holds on to no cache that was set before.
        family = family.get_options_from_string(REMEMBERED_PLACES)?;
    }
    family.set_block_based_table_factory(&table);
    family.set_write_buffer_size(usize_of(options.write_buffer_bytes));
    family.set_arena_block_size(usize_of(options.write_buffer_bytes / ARENA_SHARE).max(4096));
    // A new key is looked up and not found: the filter spares the search of what is not on disk yet, which the filters of
    // the tables do not cover.
    if name == schema::KEYS && options.bloom_bits_per_key > 0 {
        family.set_memtable_whole_key_filtering(true);
        family.set_memtable_prefix_bloom_ratio(MEMTABLE_FILTER_SHARE);
    }
    // Digests come in no order, and only a flush and `verify` ask for them in one: so what is not on disk yet is hashed. To
    // put a digest into a list with an order takes a tenth of a put. The prefix that RocksDB hashes is the whole key.
    if name == schema::DIGESTS {
        family.set_prefix_extractor(SliceTransform::create_noop());
        family.set_memtable_factory(MemtableFactory::HashLinkList {
            bucket_count: usize_of(options.write_buffer_bytes / BYTES_PER_BUCKET).min(MOST_BUCKETS),
        });
    }
    if name == schema::OBJECTS {
        family.set_enable_blob_files(true);
        family.set_min_blob_size(LEAST_BLOB_BYTES);
        family.set_blob_file_size(BLOB_FILE_BYTES);
        family.set_blob_compression_type(DBCompressionType::Lz4);
        // Half of the oldest quarter of the files being garbage is reason enough to write the other half again.
        family.set_enable_blob_gc(true);
        family.set_blob_gc_age_cutoff(BLOB_GC_AGE_CUTOFF.parse().unwrap_or(0.25));
        family.set_blob_gc_force_threshold(0.5);
    }
    set_compression(&mut family, name);
    Ok(family)
}

fn set_compression(family: &mut rocksdb::Options, name: &str) {
    let (upper, last) = match name {
        // Vectors are noise to a compressor.
        schema::VECTORS | schema::VECTORS_B => (DBCompressionType::None, None),
        // Ids only grow, so the tables of `objects` follow one another, and RocksDB moves them down the levels as they
        // are. It does so only where both levels compress alike; otherwise every value would be written again.
        schema::OBJECTS => (DBCompressionType::Lz4, None),
        // Digests are noise as well; what RocksDB keeps beside them is not.
        schema::DIGESTS => (DBCompressionType::None, Some(DBCompressionType::Lz4hc)),
        schema::KEYS => (DBCompressionType::Lz4, Some(DBCompressionType::Lz4hc)),
        _ => (DBCompressionType::Lz4, Some(DBCompressionType::Zstd)),
    };
    family.set_compression_type(upper);
    if let Some(last) = last {
        family.set_bottommost_compression_type(last);
    }
    if last == Some(DBCompressionType::Lz4hc) {
        family.set_bottommost_compression_options(WINDOW_BITS, LZ4HC_LEVEL, 0, 0, true);
    }
}

/// RocksDB's own family, which stays empty. Named, since the largest write buffer of all families is the space that
/// RocksDB wants to see on a disk that was full before it goes on writing, and its default is 64 MiB.
fn default_family(options: &Options) -> ColumnFamilyDescriptor {
    let mut family = rocksdb::Options::default();
    family.set_write_buffer_size(usize_of(options.write_buffer_bytes));
    ColumnFamilyDescriptor::new(rocksdb::DEFAULT_COLUMN_FAMILY_NAME, family)
}

/// A size of the options as `usize`; validated to fit far below the limits of 64-bit machines.
pub(super) fn usize_of(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::db::Db;

    #[test]
    fn every_family_uses_the_one_block_cache() {
        let directory = tempfile::tempdir().unwrap();
        let options = Options {
            block_cache_bytes: 5 << 20,
            ..Options::default()
        };
        let db = Db::open(directory.path(), &options).unwrap();
        let figures = || {
            FAMILIES.map(|name| {
                let family = db.family(name).unwrap();
                let of = |property| db.db().property_int_value_cf(family, property).unwrap();
                let capacity = of(c"rocksdb.block-cache-capacity").unwrap();
                (capacity, of(c"rocksdb.block-cache-usage").unwrap())
            })
        };
        let [(capacity, empty), ..] = figures();
        assert_eq!(capacity, 5 << 20);
        let mut batch = rocksdb::WriteBatch::default();
        batch.put_cf(db.family(schema::KEYS).unwrap(), b"key", b"value");
        db.write(batch).unwrap();
        db.flush().unwrap();
        assert!(db.get(schema::KEYS, b"key").unwrap().is_some());
        // What one has in it, all have.
        let [(_, used), ..] = figures();
        assert!(used > empty, "{used} {empty}");
        assert_eq!(figures(), FAMILIES.map(|_| (5 << 20, used)));
    }

    #[test]
    fn the_places_of_counters_are_remembered_and_of_nothing_else_written_often() {
        let directory = tempfile::tempdir().unwrap();
        let db = Db::open(directory.path(), &Options::default()).unwrap();
        drop(db);
        let files = std::fs::read_dir(directory.path()).unwrap();
        let paths = files.map(|file| file.unwrap().path());
        let written = paths.filter(|path| path.to_str().unwrap().contains("/OPTIONS"));
        let text = std::fs::read_to_string(written.max().unwrap()).unwrap();
        let (setting, extractor) = REMEMBERED_PLACES.split_once('=').unwrap();
        let families = text.split("[CFOptions ").filter(|family| {
            let line = family.lines().find(|line| line.contains(setting));
            line.is_some_and(|line| line.ends_with(extractor))
        });
        let names: Vec<_> = families
            .map(|family| family.lines().next().unwrap())
            .collect();
        assert_eq!(names, [format!("\"{}\"]", schema::SYSTEM)]);

        let counters = crate::counters::counters_key(crate::schema::NamespaceId::DEFAULT, 0);
        assert!(extractor.ends_with(&format!(".{}", counters.len())));
    }

    #[test]
    fn options_change_at_a_compaction_of_blob_files_only() {
        let directory = tempfile::tempdir().unwrap();
        let store = crate::Store::open(directory.path(), Options::default()).unwrap();
        let options = || {
            let files = std::fs::read_dir(directory.path()).unwrap();
            let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
            let mut names: Vec<_> = names.filter(|name| name.starts_with("OPTIONS")).collect();
            names.sort();
            names
        };
        store.put(b"short", &[1; 1000], None).unwrap();
        let before = options();
        store.compact().unwrap();
        assert_eq!(options(), before);
        store.put(b"long", &[1; 100_000], None).unwrap();
        store.flush().unwrap();
        store.compact().unwrap();
        assert_ne!(options(), before);
    }
}
