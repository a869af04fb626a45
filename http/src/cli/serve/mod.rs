//! `prestige serve`: settings in, a server until a signal ends it.

mod arguments;
mod log;
mod print;
mod settings;
mod signals;

pub(super) use arguments::ServeArguments;
pub use settings::ModelChoice;

use super::command::{Command, Prestige};
use super::layers::Environment;
use super::{EXIT_USAGE, parse_layers};
use crate::{Server, backups};
use clap::CommandFactory as _;
use prestige_core::{EmbedderProvider, Error, Store};
use sd_notify::NotifyState;
use serde_json::json;
use signals::Signals;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

/// Exit code of a server that could not do its work.
const EXIT_FAILED: u8 = 1;

/// Finds the model of a store: who calls knows where models and their runtime are.
pub type Models<'a> = &'a dyn Fn(&ModelChoice) -> Result<EmbedderProvider, Error>;

/// Runs `prestige serve` with the arguments `argv`, of which `serve` is the first, until a signal ends it, and returns the
/// exit code: 0 ended in order, 1 failed, 2 settings that cannot be used.
///
/// SIGTERM, and SIGINT if `heed_interrupt`, end it; a second signal ends the process at once.
#[must_use]
pub fn serve(
    argv: &[OsString],
    environment: Environment<'_>,
    models: Models<'_>,
    heed_interrupt: bool,
) -> u8 {
    let (arguments, layered) = match parse_layers(argv, environment) {
        Ok((Command::Serve(arguments), layered)) => (arguments, layered),
        // Whoever calls has parsed the arguments before.
        Ok(_) => return EXIT_USAGE,
        Err(message) => {
            say(&message.plain);
            return message.code;
        }
    };
    if arguments.print_config {
        let command = Prestige::command();
        if let Some(command) = command.find_subcommand("serve") {
            let text = if arguments.json {
                print::json(&arguments, &layered, command)
            } else {
                print::toml(&arguments, &layered, command)
            };
            if std::io::stdout().write_all(text.as_bytes()).is_err() {
                return EXIT_FAILED;
            }
        }
        return settings::config(&arguments, models).map_or_else(|error| refuse(&error), |_| 0);
    }
    match run(&arguments, models, heed_interrupt) {
        Ok(()) => 0,
        Err(error) => refuse(&error),
    }
}

fn refuse(error: &Error) -> u8 {
    say(&format!("prestige serve: {error}\n"));
    match error {
        Error::InvalidArgument(_) => EXIT_USAGE,
        _ => EXIT_FAILED,
    }
}

/// Writes to the standard error output; who has closed it does not want to know.
fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn run(arguments: &ServeArguments, models: Models<'_>, heed_interrupt: bool) -> Result<(), Error> {
    let path = settings::directory(arguments)?;
    let config = settings::config(arguments, models)?;
    let embedder = models(&settings::model(&arguments.store))?;
    let options = settings::options(&arguments.store, embedder)?;
    let _telemetry = log::start(&arguments.log)?;
    // Before the store is opened, which may take long: a signal meanwhile ends the server as soon as it is.
    let mut signals = Signals::install(heed_interrupt)
        .map_err(|error| Error::Io(format!("cannot handle signals: {error}")))?;
    // Before a store is made: what cannot be served should leave nothing behind.
    if let Some(directory) = &config.backup_directory {
        backups::check(directory)?;
    }
    let store = Arc::new(Store::open(&path, options).map_err(|error| opening(&path, error))?);
    if signals.asked() {
        return store.close();
    }
    let server = Server::start(Arc::clone(&store), config)?;
    announce(arguments, &store, &server);
    notify(NotifyState::Ready);
    signals.wait();
    notify(NotifyState::Stopping);
    server.stop();
    // Checkpoints the index and writes what is pending.
    store.close()
}

/// What an opening is told that fails, in terms of the command line.
fn opening(path: &Path, error: Error) -> Error {
    match error {
        Error::Busy(_) => Error::Busy(format!(
            "the store at {} is open in another process, and one process has it at a time: if that is a server, ask it \
             with --url URL; otherwise end it first, or serve beside it with --read-only",
            path.display()
        )),
        other => other,
    }
}

/// Says in one line that the server is ready.
fn announce(arguments: &ServeArguments, store: &Store, server: &Server) {
    let path = store.path().display();
    let line = if arguments.json {
        json!({
            "url": server.url(),
            "unix_socket": server.unix_socket().map(Path::to_string_lossy),
            "path": path.to_string(),
            "pid": std::process::id(),
        })
        .to_string()
    } else {
        // A server without TCP has no other address.
        let socket = server.address().and(server.unix_url());
        let socket = socket.map(|url| format!(" and {url}"));
        format!(
            "Serving {path} at {}{}",
            server.url(),
            socket.unwrap_or_default()
        )
    };
    // A server whose output nobody reads serves all the same.
    let mut output = std::io::stdout().lock();
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
}

/// Tells systemd, if it has started this process with `Type=notify`.
fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}
