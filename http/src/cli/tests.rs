//! What arguments, environment and file mean together.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::layers::Source;
use super::{Command, Message, Parsed, parse, parse_layers};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs;

fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(OsString::from).collect()
}

fn environment<'a>(variables: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
    move |name| {
        let mut variables = variables.iter();
        variables
            .find(|(variable, _)| *variable == name)
            .map(|(_, value)| OsString::from(value))
    }
}

/// The arguments of a command as JSON; bytes are arrays there.
fn run(line: &str, variables: &[(&str, &str)]) -> Value {
    match parse(&words(line), &environment(variables)) {
        Parsed::Run(command) => serde_json::to_value(&command).unwrap(),
        Parsed::Message(message) => panic!("{}", message.plain),
    }
}

fn refused(line: &str, variables: &[(&str, &str)]) -> Message {
    match parse(&words(line), &environment(variables)) {
        Parsed::Run(command) => panic!("{command:?}"),
        Parsed::Message(message) => message,
    }
}

fn bytes(text: &str) -> Value {
    json!(text.as_bytes())
}

#[test]
fn a_command_has_its_arguments_by_name() {
    let put = run(
        "put key value --ttl 12h -m a=b -m c=d=e -p ./db --json",
        &[],
    );
    assert_eq!(put["command"], "put");
    assert_eq!(put["key"], bytes("key"));
    assert_eq!(put["value"], bytes("value"));
    assert_eq!(put["ttl"], 43_200);
    assert_eq!(put["metadata"], json!([["a", "b"], ["c", "d=e"]]));
    assert_eq!(put["path"], bytes("./db"));
    assert_eq!(put["url"], Value::Null);
    assert_eq!(put["namespace"], "");
    assert_eq!(put["json"], true);
    assert_eq!(run("put key - -p db", &[])["value"], bytes("-"));
    assert_eq!(run("delete a b -p db", &[])["command"], "del");
    assert_eq!(run("rebuild-index db", &[])["command"], "rebuild-index");
    let pull = run("models pull bge-small --quiet", &[]);
    assert_eq!(
        (&pull["part"], &pull["model"]),
        (&json!("pull"), &json!("bge-small"))
    );
}

#[cfg(unix)]
#[test]
fn keys_and_paths_need_not_be_utf8() {
    use std::os::unix::ffi::OsStringExt as _;
    let raw = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let argv = [raw(b"get"), raw(b"k\xff"), raw(b"-p"), raw(b"d\xfe")];
    let Parsed::Run(command) = parse(&argv, &|_| None) else {
        panic!("refused");
    };
    let command = serde_json::to_value(&command).unwrap();
    assert_eq!(command["key"], json!(b"k\xff"));
    assert_eq!(command["path"], json!(b"d\xfe"));
}

#[test]
fn the_store_is_named_once_and_somewhere() {
    let path = [("PRESTIGE_PATH", "env-db")];
    let url = [("PRESTIGE_URL", "http://127.0.0.1:1")];
    let both = [path[0], url[0]];
    assert_eq!(run("get k", &path)["path"], bytes("env-db"));
    assert_eq!(run("get k", &url)["url"], "http://127.0.0.1:1");
    // What is named on the line goes before both.
    let named = run("get k -p db", &both);
    assert_eq!(
        (&named["path"], &named["url"]),
        (&bytes("db"), &Value::Null)
    );
    let named = run("get k -u http://127.0.0.1:2", &both);
    assert_eq!(
        (&named["path"], &named["url"]),
        (&Value::Null, &json!("http://127.0.0.1:2"))
    );
    let named = run("count db", &both);
    assert_eq!(
        (&named["directory"], &named["url"]),
        (&bytes("db"), &Value::Null)
    );
    assert!(refused("get k", &both).plain.contains("both set"));
    let nowhere = refused("get k", &[("PRESTIGE_PATH", "")]);
    assert!(nowhere.plain.contains("PRESTIGE_PATH"), "{}", nowhere.plain);
    assert_eq!((nowhere.code, nowhere.is_error), (2, true));
    assert_eq!(refused("count db -p db", &[]).code, 2);
    // Pairs of a file need no store.
    assert_eq!(run("calibrate pairs.csv", &[])["path"], Value::Null);
    assert_eq!(refused("calibrate --family f", &[]).code, 2);
    assert_eq!(
        run("calibrate --store db --family f", &[])["store"],
        bytes("db")
    );
}

#[test]
fn client_settings_come_from_the_environment() {
    let variables = [
        ("PRESTIGE_URL", "http://127.0.0.1:1"),
        ("PRESTIGE_NAMESPACE", "tenant"),
        ("PRESTIGE_TOKEN", "secret"),
        ("PRESTIGE_JSON", "1"),
        ("PRESTIGE_LIMIT", "1"),
    ];
    let keys = run("keys", &variables);
    assert_eq!(keys["namespace"], "tenant");
    assert_eq!(keys["token"], "secret");
    assert_eq!(
        (&keys["json"], &keys["limit"]),
        (&json!(false), &Value::Null)
    );
    let other = run("keys -n other --token-file t", &variables);
    assert_eq!(
        (&other["namespace"], &other["token"]),
        (&json!("other"), &Value::Null)
    );
}

#[test]
fn usage_has_exit_code_2_and_that_of_health_3() {
    for line in [
        "",
        "no-such",
        "get",
        "del -p db",
        "evict many db",
        "candidates q -k 0 -p db",
        "demo --threshold 0",
        "demo --threshold nan",
        "demo --limit 0",
        "demo one two",
        "put k -p db --ttl -1",
        "prune db --max-age soon",
        "completions tcsh",
        "keys a b -p db",
    ] {
        let message = refused(line, &[]);
        assert_eq!(
            (message.code, message.is_error),
            (2, true),
            "{line}: {}",
            message.plain
        );
        assert!(message.plain.ends_with('\n'));
    }
    for line in [
        "health db --warn keys",
        "health",
        "health db --nagios --json",
    ] {
        assert_eq!(refused(line, &[]).code, 3, "{line}");
    }
    for line in ["--help", "--version", "get --help", "health --help"] {
        let message = refused(line, &[]);
        assert_eq!((message.code, message.is_error), (0, false), "{line}");
    }
    assert_eq!(
        refused("--version", &[]).plain,
        format!("prestige {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn styles_are_apart_from_the_text() {
    let help = refused("--help", &[]);
    assert!(!help.plain.contains('\u{1b}'));
    assert!(help.styled.contains('\u{1b}'));
}

#[test]
fn shells_get_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = refused(&format!("completions {shell}"), &[]);
        assert_eq!((script.code, script.is_error), (0, false));
        assert!(script.plain.contains("rebuild-index"), "{shell}");
    }
}

/// The settings of `serve`, and where they come from.
fn serve(line: &str, variables: &[(&str, &str)]) -> (Value, Vec<(String, Source)>) {
    let (command, layered) = parse_layers(&words(line), &environment(variables)).unwrap();
    let Command::Serve(arguments) = command else {
        panic!("{command:?}");
    };
    let mut sources: Vec<_> = layered.sources.into_iter().collect();
    sources.retain(|(_, source)| *source != Source::Default);
    (serde_json::to_value(&arguments).unwrap(), sources)
}

fn serve_refused(line: &str, variables: &[(&str, &str)]) -> String {
    parse_layers(&words(line), &environment(variables))
        .map(|(command, _)| panic!("{command:?}"))
        .unwrap_err()
        .plain
}

#[test]
fn arguments_go_before_the_environment_and_that_before_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prestige.toml");
    fs::write(
        &file,
        "[server]\nport = 1_001\nhost = \"::1\"\n\n[store]\nmax_store_bytes = \"1GiB\"\nsync_writes = true\n\
         semantic_threshold = 0.9\n[access]\nallowed_host = [\"a.example\", \"b.example\"]\n",
    )
    .unwrap();
    let line = format!("serve db --config {} --port 1003", file.display());
    let variables = [
        ("PRESTIGE_PORT", "1002"),
        ("PRESTIGE_HOST", "127.0.0.2"),
        ("PRESTIGE_MODEL", ""),
    ];
    let (settings, sources) = serve(&line, &variables);
    assert_eq!(settings["port"], 1003);
    assert_eq!(settings["host"], "127.0.0.2");
    assert_eq!(settings["max_store_bytes"], 1 << 30);
    assert_eq!(settings["sync_writes"], true);
    assert_eq!(settings["semantic_threshold"], 0.9);
    assert_eq!(settings["allowed_host"], json!(["a.example", "b.example"]));
    assert_eq!(settings["model"], Value::Null);
    assert_eq!(settings["log_format"], "text");
    let in_file = |line| Source::File {
        name: file.display().to_string(),
        line,
    };
    let source = |id: &str| {
        sources
            .iter()
            .find(|(other, _)| other == id)
            .unwrap()
            .1
            .clone()
    };
    assert_eq!(source("port"), Source::Argument("--port".to_owned()));
    assert_eq!(
        source("host"),
        Source::Environment("PRESTIGE_HOST".to_owned())
    );
    assert_eq!(source("max_store_bytes"), in_file(6));
    assert_eq!(source("allowed_host"), in_file(10));
    assert!(sources.iter().all(|(id, _)| id != "log_format"));

    let from_environment = format!("{}", file.display());
    let (settings, _) = serve("serve db", &[("PRESTIGE_CONFIG", &from_environment)]);
    assert_eq!(settings["port"], 1001);
}

#[test]
fn a_server_takes_a_token_and_a_file_of_tokens() {
    let (settings, _) = serve("serve db --token-file t", &[("PRESTIGE_TOKEN", "secret")]);
    assert_eq!(settings["token"], "secret");
    assert_eq!(settings["token_file"], "t");
}

#[test]
fn truths_have_several_forms() {
    let truth =
        |line: &str, variables: &[(&str, &str)]| serve(line, variables).0["sync_writes"].clone();
    assert_eq!(truth("serve db", &[]), false);
    assert_eq!(truth("serve db --sync-writes", &[]), true);
    assert_eq!(truth("serve --sync-writes db", &[]), true);
    assert_eq!(truth("serve db --sync-writes true", &[]), true);
    let (settings, _) = serve("serve --sync-writes false --tcp false db --port 1", &[]);
    assert_eq!(
        (&settings["sync_writes"], &settings["tcp"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(settings["port"], 1);
    // Behind two dashes, and of other arguments, words are what they are.
    assert_eq!(truth("serve --sync-writes -- true", &[]), true);
    assert_eq!(serve("serve db --token true", &[]).0["token"], "true");
    assert_eq!(
        truth(
            "serve db --sync-writes=false",
            &[("PRESTIGE_SYNC_WRITES", "1")]
        ),
        false
    );
    assert_eq!(truth("serve db", &[("PRESTIGE_SYNC_WRITES", "yes")]), true);
    assert!(
        serve_refused("serve db", &[("PRESTIGE_SYNC_WRITES", "maybe")])
            .contains("PRESTIGE_SYNC_WRITES")
    );
}

#[test]
fn what_is_wrong_below_the_arguments_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prestige.toml");
    let with = |text: &str| {
        fs::write(&file, text).unwrap();
        serve_refused(&format!("serve db -c {}", file.display()), &[])
    };
    for (text, expected) in [
        (
            "[server]\nprot = 1",
            "line 2: there is no setting prot; did you mean port?",
        ),
        (
            "[servr]\nport = 1",
            "line 1: there is no table [servr]; did you mean [server]?",
        ),
        ("port = 1", "line 1: port belongs into the table [server]"),
        (
            "[store]\nport = 1",
            "line 2: port belongs into the table [server], not [store]",
        ),
        ("qqqq = 1", "line 1: there is no setting qqqq"),
        (
            "[server]\n\nport = 70000",
            "line 3: port: 70000 is not in 0..=65535",
        ),
        ("[server]\nport = [1]", "line 2: port: expected one value"),
        (
            "[server]\nport = 0x10",
            "line 2: port: expected a string, a decimal number",
        ),
        (
            "[server]\nport = 1979-05-27",
            "line 2: port: expected a string",
        ),
        (
            "[log]\nlog_format = \"xml\"",
            "line 2: log_format: expected one of text, json",
        ),
        (
            "[store]\nsemantic_threshold = 2",
            "line 2: semantic_threshold: expected a number over 0",
        ),
        ("[server]\nport = 1\nport = 2", "line 3: this is not TOML"),
        ("[server\n", "this is not TOML"),
        (
            "[server]\nprint_config = true",
            "line 2: there is no setting print_config",
        ),
    ] {
        let message = with(text);
        assert!(message.contains(expected), "{text}: {message}");
        assert!(message.contains("prestige.toml"), "{message}");
    }
    fs::write(&file, b"\xff").unwrap();
    let line = format!("serve db -c {}", file.display());
    assert!(serve_refused(&line, &[]).contains("not UTF-8"));
    assert!(serve_refused("serve db -c /no/such/file", &[]).contains("cannot read"));
    let message = serve_refused("serve db", &[("PRESTIGE_PORT", "many")]);
    assert!(message.contains("PRESTIGE_PORT"), "{message}");
    assert!(message.contains("\"many\""), "{message}");
}

#[test]
fn no_message_shows_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prestige.toml");
    fs::write(&file, "[access]\ntoken = \"hidden\nport = 1\n").unwrap();
    let message = serve_refused(&format!("serve db -c {}", file.display()), &[]);
    assert!(
        message.contains("line 2") && !message.contains("hidden"),
        "{message}"
    );
}
