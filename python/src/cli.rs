//! The command line: arguments are parsed in Rust, and `prestige serve` runs there. The other commands are Python.

use crate::error::PyStoreResult;
use crate::loader::{Kept, Loader, Settings, bundled_folder, package_folder, query};
use prestige_core::{EmbedderProvider, Error};
use prestige_http::cli::{self, ModelChoice, Parsed};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Parse the arguments of the ``prestige`` command.
///
/// Args:
///     argv: The arguments, without the name of the program. The environment is read, too.
///
/// Returns:
///     The arguments of a command by name, with its name as ``command``; bytes, where they need not
///     be UTF-8. Or, where there is only something to print, ``message``, ``styled`` (for
///     terminals), ``is_error`` and ``exit_code``.
#[pyfunction]
pub(crate) fn parse_command(py: Python<'_>, argv: Vec<OsString>) -> PyResult<Bound<'_, PyAny>> {
    match cli::parse(&argv, &|name| std::env::var_os(name)) {
        Parsed::Run(command) => Ok(pythonize::pythonize(py, &command)?),
        Parsed::Message(message) => {
            let parsed = PyDict::new(py);
            parsed.set_item("message", message.plain)?;
            parsed.set_item("styled", message.styled)?;
            parsed.set_item("is_error", message.is_error)?;
            parsed.set_item("exit_code", message.code)?;
            Ok(parsed.into_any())
        }
    }
}

/// Read the token of a client out of the text of a token file.
///
/// Args:
///     text: The token alone, or a single line of a server's file, ``ROLE TOKEN [NAMESPACES]``.
///         Empty lines and those that begin with ``#`` are skipped.
///
/// Returns:
///     The token.
///
/// Raises:
///     InvalidArgumentError: There is none, or they are the tokens of a server. The message
///         shows none.
#[pyfunction]
pub(crate) fn client_token(text: &str) -> PyStoreResult<String> {
    Ok(prestige_http::client_token(text)?.to_owned())
}

/// Run ``prestige serve`` until a signal ends it.
///
/// SIGTERM ends it in order, a second signal at once. Python's own handlers are not called
/// meanwhile if they are set to ``SIG_DFL`` before.
///
/// Args:
///     argv: The arguments, ``"serve"`` the first of them.
///     heed_interrupt: Whether SIGINT ends it as well.
///
/// Returns:
///     The exit code: 0 ended in order, 1 failed, 2 settings that cannot be used.
#[pyfunction]
pub(crate) fn serve_main(
    py: Python<'_>,
    argv: Vec<OsString>,
    heed_interrupt: bool,
) -> PyResult<u8> {
    let bundled = bundled_folder(py)?;
    let runtime = package_folder(py, "onnxruntime")?.map(|folder| folder.join("capi"));
    let models = |choice: &ModelChoice| provider(choice, &bundled, runtime.as_deref());
    Ok(py.detach(|| {
        cli::serve(
            &argv,
            &|name| std::env::var_os(name),
            &models,
            heed_interrupt,
        )
    }))
}

/// The model of a server, which is loaded when it is first needed.
fn provider(
    choice: &ModelChoice,
    bundled: &Path,
    runtime: Option<&Path>,
) -> Result<EmbedderProvider, Error> {
    let mut settings = Settings {
        num_threads: choice.threads,
        ..Settings::default()
    };
    match &choice.model {
        Some(model) if is_path(model) => {
            if !Path::new(model).exists() {
                return Err(Error::InvalidArgument(format!(
                    "model: there is nothing at {model}; name the folder of a model, or one of `prestige models list`"
                )));
            }
            settings.model_path = Some(PathBuf::from(model));
        }
        Some(name) => {
            query(name, None, None).repository()?;
            settings.model_name = Some(name.clone());
        }
        None => {}
    }
    let loader = Loader {
        settings,
        kept: Kept::default(),
        callable: None,
        bundled: bundled.to_path_buf(),
        runtime_hint: runtime.map(Path::to_path_buf),
    };
    Ok(Arc::new(move || loader.load()))
}

/// Whether a model is named by its place: what is there, or can be nothing else.
fn is_path(model: &str) -> bool {
    Path::new(model).exists()
        || [".", "/", "~"].iter().any(|start| model.starts_with(start))
        || model.ends_with(".onnx")
}
