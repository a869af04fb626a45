//! Who may do what: tokens with a role and, perhaps, a list of namespaces.

use prestige_core::{DIGEST_BYTES, Digest, Error};
use std::fmt;
use std::str::FromStr;
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

/// Longest token, in bytes.
const MAX_TOKEN_BYTES: usize = 1024;

/// What a token allows. Each role includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Reading values, figures and lists.
    Read,
    /// Putting, changing and deleting keys as well.
    Write,
    /// Maintenance, jobs and removing namespaces as well.
    Admin,
}

impl Role {
    /// The name in token files: `read`, `write` or `admin`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        [Self::Read, Self::Write, Self::Admin]
            .into_iter()
            .find(|role| role.name() == name)
            .ok_or_else(|| {
                Error::InvalidArgument("a role is `read`, `write` or `admin`".to_owned())
            })
    }
}

/// The namespaces that a token reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Every one, and what spans them: health, metrics, maintenance.
    All,
    /// Those that one of the patterns names: a name, or the beginning of names with `*` after it.
    Only(Vec<String>),
}

/// Whether a namespace is a cache within another one, whose name its own name may hide: `embeddings/["NAME","MODEL"]/…`
/// and `responses/HASH`. A pattern that fits its name by chance must not reach what belongs to someone else.
fn is_cache_of_some(namespace: &str) -> bool {
    namespace.starts_with("embeddings/[") || namespace.starts_with("responses/")
}

impl Reach {
    pub(crate) fn includes(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(patterns) => {
                patterns
                    .iter()
                    .any(|pattern| match pattern.strip_suffix('*') {
                        Some(beginning) => {
                            namespace.starts_with(beginning) && !is_cache_of_some(namespace)
                        }
                        None => namespace == pattern,
                    })
            }
        }
    }
}

/// A token as it is kept: only its digest, so that no log or memory dump of ours shows it.
#[derive(Clone)]
struct Token {
    digest: [u8; DIGEST_BYTES],
    role: Role,
    reach: Reach,
}

/// The tokens of a server. Without any, everybody who reaches the server may do everything.
#[derive(Clone, Default)]
pub struct Tokens {
    tokens: Vec<Token>,
}

impl Tokens {
    /// No tokens.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// One token that may do everything.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if it is no token, as for [`Self::add`].
    pub fn admin(token: &str) -> Result<Self, Error> {
        let mut tokens = Self::none();
        tokens.add(token, Role::Admin, None)?;
        Ok(tokens)
    }

    /// Adds a token for the namespaces that `patterns` name, for all of them if `None`. A pattern is a name, or the
    /// beginning of names with `*` after it; the empty pattern is the default namespace.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] unless the token is 1 to 1,024 visible ASCII characters and new.
    pub fn add(
        &mut self,
        token: &str,
        role: Role,
        patterns: Option<Vec<String>>,
    ) -> Result<(), Error> {
        if token.is_empty()
            || token.len() > MAX_TOKEN_BYTES
            || !token.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(Error::InvalidArgument(format!(
                "a token is 1 to {MAX_TOKEN_BYTES} visible ASCII characters without spaces"
            )));
        }
        let digest = Digest::of(token.as_bytes()).0;
        if self.tokens.iter().any(|known| known.digest == digest) {
            return Err(Error::InvalidArgument(
                "the same token is listed twice; give each role a token of its own".to_owned(),
            ));
        }
        self.tokens.push(Token {
            digest,
            role,
            reach: patterns.map_or(Reach::All, Reach::Only),
        });
        Ok(())
    }

    /// Adds the tokens of a file: one a line, `ROLE TOKEN [NAMESPACE,NAMESPACE…]`; or one token alone, which may do
    /// everything. Empty lines and those that begin with `#` are skipped.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming the line, never the token.
    pub fn add_lines(&mut self, text: &str) -> Result<(), Error> {
        let lines = lines_of(text);
        // Only alone: in a list, a role that was forgotten must not become every right.
        let bare = matches!(lines.as_slice(), [(_, line)] if bare(line).is_some());
        for (number, line) in lines {
            let added = match bare {
                true => self.add(line, Role::Admin, None),
                false => self.add_line(line),
            };
            added.map_err(|error| {
                Error::InvalidArgument(format!("line {number} of the tokens: {error}"))
            })?;
        }
        Ok(())
    }

    fn add_line(&mut self, line: &str) -> Result<(), Error> {
        let mut fields = line.split_whitespace();
        let (Some(role), Some(token)) = (fields.next(), fields.next()) else {
            return Err(Error::InvalidArgument(
                "expected ROLE TOKEN [NAMESPACE,NAMESPACE…]".to_owned(),
            ));
        };
        let patterns = fields
            .next()
            .map(|list| list.split(',').map(str::to_owned).collect());
        if fields.next().is_some() {
            return Err(Error::InvalidArgument(
                "expected ROLE TOKEN [NAMESPACE,NAMESPACE…], without spaces between namespaces"
                    .to_owned(),
            ));
        }
        self.add(token, role.parse()?, patterns)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Role and reach of a token. Takes the same time whichever of them it is, and whether it is one at all: digests are
    /// compared, all of them, without a branch on what they hold.
    pub(crate) fn find(&self, token: &[u8]) -> Option<(Role, &Reach)> {
        let digest = Digest::of(token).0;
        let mut found = 0u32;
        let mut any = Choice::from(0);
        for (number, known) in (0u32..).zip(&self.tokens) {
            let same = known.digest.ct_eq(&digest);
            found.conditional_assign(&number, same);
            any |= same;
        }
        if !bool::from(any) {
            return None;
        }
        let known = self.tokens.get(usize::try_from(found).ok()?)?;
        Some((known.role, &known.reach))
    }
}

/// The token that a client takes out of a file: of one that has it alone, or in a single line of a server's,
/// `ROLE TOKEN [NAMESPACE,NAMESPACE…]`. Other words behind a token that stands alone count as remarks.
///
/// # Errors
/// [`Error::InvalidArgument`], which shows no token, for a file without one and for a server's with several.
pub fn client_token(text: &str) -> Result<&str, Error> {
    let lines = lines_of(text);
    let of_server = |line: &str| {
        let mut fields = line.split_whitespace();
        let role = fields
            .next()
            .is_some_and(|role| role.parse::<Role>().is_ok());
        role && fields.next().is_some()
    };
    let Some((_, first)) = lines.first() else {
        return Err(Error::InvalidArgument(
            "expected a token, or a line ROLE TOKEN; found neither".to_owned(),
        ));
    };
    let found = lines.iter().filter(|(_, line)| of_server(line)).count();
    if found > 0 && lines.len() > 1 {
        return Err(Error::InvalidArgument(format!(
            "expected one token, found the {} lines of a server's file; put the token of this client alone into a file of \
             its own",
            lines.len()
        )));
    }
    let token = first.split_whitespace().nth(found);
    token.ok_or_else(|| Error::InvalidArgument("expected a token".to_owned()))
}

/// The lines of a token file that say something, with their numbers from 1.
fn lines_of(text: &str) -> Vec<(usize, &str)> {
    let lines = text.lines().map(str::trim).enumerate();
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(index, line)| (index + 1, line))
        .collect()
}

/// A line that is one token alone, and no role whose token was forgotten.
fn bare(line: &str) -> Option<&str> {
    let one =
        !line.contains(char::is_whitespace) && line.to_ascii_lowercase().parse::<Role>().is_err();
    one.then_some(line)
}

impl fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_list()
            .entries(self.tokens.iter().map(|token| (token.role, &token.reach)))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_gives_roles_and_namespaces() {
        let mut tokens = Tokens::none();
        tokens
            .add_lines("# who\n\nread r-token tenant-*,shared\nwrite w-token\n  admin a-token  \n")
            .unwrap();
        assert_eq!(tokens.len(), 3);
        let (role, reach) = tokens.find(b"r-token").unwrap();
        assert_eq!(role, Role::Read);
        for (namespace, included) in [
            ("tenant-1", true),
            ("tenant-", true),
            ("shared", true),
            ("shared-not", false),
            ("tenant", false),
            ("", false),
        ] {
            assert_eq!(reach.includes(namespace), included, "{namespace:?}");
        }
        assert_eq!(tokens.find(b"w-token"), Some((Role::Write, &Reach::All)));
        assert_eq!(tokens.find(b"a-token"), Some((Role::Admin, &Reach::All)));
        for wrong in [&b""[..], b"r-toke", b"r-token ", b"R-TOKEN", b"\xff"] {
            assert_eq!(tokens.find(wrong), None);
        }
    }

    #[test]
    fn a_token_alone_is_a_file() {
        let mut tokens = Tokens::none();
        tokens.add_lines("# all of it\n secret-1 \n").unwrap();
        assert_eq!(tokens.find(b"secret-1"), Some((Role::Admin, &Reach::All)));
        // In a list a role was forgotten, and a role alone is no token.
        for text in [
            "secret-1\nread other",
            "secret-1\nsecret-2",
            "admin",
            "Read",
        ] {
            let error = Tokens::none().add_lines(text).unwrap_err().to_string();
            assert!(
                error.contains("ROLE TOKEN") && !error.contains("cret-1"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_client_takes_the_token_of_either_file() {
        for (text, token) in [
            ("secret-1", "secret-1"),
            ("secret-1\n", "secret-1"),
            ("# mine\n\n  secret-1  \n", "secret-1"),
            ("secret-1 until May\nask Ann", "secret-1"),
            ("write secret-1", "secret-1"),
            ("# mine\nread secret-1 tenant-1,shared-*\n", "secret-1"),
            ("read", "read"),
        ] {
            assert_eq!(client_token(text).unwrap(), token, "{text:?}");
        }
        for (text, said) in [
            ("", "neither"),
            ("# nothing\n\n", "neither"),
            ("read secret-1\nwrite secret-2", "2 lines"),
            ("secret-1\nwrite secret-2", "2 lines"),
        ] {
            let error = client_token(text).unwrap_err().to_string();
            assert!(error.contains(said) && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn an_empty_pattern_is_the_default_namespace() {
        let reach = Reach::Only(vec![String::new()]);
        assert!(reach.includes(""));
        assert!(!reach.includes("other"));
        assert!(Reach::Only(vec!["*".to_owned()]).includes("other"));
        assert!(!Reach::Only(Vec::new()).includes(""));
    }

    #[test]
    fn patterns_reach_no_cache_within_another_namespace() {
        let reach = Reach::Only(vec!["embeddings/*".to_owned(), "r*".to_owned()]);
        assert!(reach.includes("embeddings/"));
        assert!(reach.includes("embeddings/model/384"));
        assert!(!reach.includes(r#"embeddings/["tenant","model"]/384"#));
        assert!(!reach.includes("responses/0123"));
    }

    #[test]
    fn bad_lines_are_named_and_tokens_are_not() {
        for (line, word) in [
            ("owner secret-1", "role"),
            ("admin", "ROLE TOKEN"),
            ("admin secret-1 a, b", "spaces"),
            ("admin s\u{e9}cret-1", "visible ASCII"),
            ("read known", "twice"),
        ] {
            let mut tokens = Tokens::admin("known").unwrap();
            let error = tokens
                .add_lines(&format!("# comment\n{line}"))
                .unwrap_err()
                .to_string();
            assert!(error.contains("line 2"), "{error}");
            assert!(error.contains(word), "{error}");
            assert!(!error.contains("cret-1"), "{error}");
        }
        assert!(Tokens::admin("").is_err());
        assert!(Tokens::admin("two words").is_err());
        assert!(Tokens::admin(&"x".repeat(1025)).is_err());
    }

    #[test]
    fn nothing_shows_a_token() {
        let tokens = Tokens::admin("secret-token").unwrap();
        assert!(!format!("{tokens:?}").contains("secret-token"));
    }
}
