//! The extension module `prestige._native`: thin classes over `prestige-core` and `prestige-http`.
//!
//! Logic lives in those crates. Here values are converted, the GIL is released around work, and errors become the
//! exceptions of `prestige.exceptions`.

mod aio;
mod arguments;
mod batch;
mod caches;
mod calibrate;
mod candidates;
mod cli;
mod clock;
mod convert;
mod embed;
mod embedder;
mod endpoint;
mod enums;
mod error;
mod hub;
mod iterate;
mod lent;
mod lifetime;
mod loader;
mod model;
mod namespace;
mod numbers;
mod options;
mod put_many;
mod reembed;
mod registry;
mod safety;
mod server;
mod stats;
mod store;
mod transfer;
mod verifier;

use pyo3::prelude::*;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    embed::note_main_thread(module.py())?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("SEMANTIC_AVAILABLE", true)?;
    module.add("SERVER_AVAILABLE", true)?;
    module.add_class::<caches::EmbeddingCache>()?;
    module.add_class::<caches::Hit>()?;
    module.add_class::<caches::SemanticCache>()?;
    module.add_class::<clock::ManualClock>()?;
    module.add_class::<enums::DedupMode>()?;
    module.add_class::<enums::NormalizationMode>()?;
    module.add_class::<model::SemanticModel>()?;
    module.add_class::<options::Options>()?;
    module.add_class::<server::Server>()?;
    module.add_class::<store::Store>()?;
    module.add_class::<iterate::StoreIterator>()?;
    arguments::add_to(module)?;
    caches::client::add_to(module)?;
    module.add_function(wrap_pyfunction!(aio::end_long_calls_at_exit, module)?)?;
    module.add_function(wrap_pyfunction!(calibrate::calibrate_similarities, module)?)?;
    module.add_function(wrap_pyfunction!(cli::parse_command, module)?)?;
    module.add_function(wrap_pyfunction!(cli::serve_main, module)?)?;
    module.add_function(wrap_pyfunction!(cli::client_token, module)?)?;
    module.add_function(wrap_pyfunction!(transfer::jsonl_problem, module)?)?;
    module.add_function(wrap_pyfunction!(transfer::restore, module)?)?;
    module.add_function(wrap_pyfunction!(reembed::reembed, module)?)?;
    module.add_function(wrap_pyfunction!(hub::model_presets, module)?)?;
    module.add_function(wrap_pyfunction!(hub::model_repository, module)?)?;
    module.add_function(wrap_pyfunction!(hub::find_model, module)?)?;
    module.add_function(wrap_pyfunction!(hub::hub_cache, module)?)?;
    module.add_function(wrap_pyfunction!(hub::hub_is_offline, module)?)?;
    module.add_function(wrap_pyfunction!(registry::close_all, module)?)
}
