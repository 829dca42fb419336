//! Values from several sources over their defaults, and a type read from them with every problem at once.

use std::collections::BTreeMap;
use std::fmt;

use figment::error::Kind;
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use serde::de::DeserializeOwned;

use super::problem::{Origin, Problem, SettingsError};

/// One value as it was written.
#[derive(Clone, PartialEq, Eq)]
pub struct Given {
    /// Its key.
    pub name: String,
    /// The value, as text.
    pub value: String,
    /// Where it was written.
    pub origin: Origin,
}

impl Given {
    /// What is wrong with it.
    pub fn problem(&self, message: impl Into<String>) -> Problem {
        Problem::new(&self.name, self.origin.clone(), message)
    }
}

/// Never the value: it may be a secret.
impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.origin)
    }
}

/// Values by their dotted paths.
pub type Effective = BTreeMap<String, Given>;

/// What is wrong with a value: its dotted path, and a message that does not tell the value.
pub type Refusal = (String, String);

/// Values over defaults. [`Settings`](super::Settings) is read from them, and so may be settings of a service's own.
///
/// ```
/// use hive_grpc_kit::settings::{Given, Layers, Origin, value};
///
/// #[derive(Debug, serde::Deserialize)]
/// struct Orders {
///     #[serde(deserialize_with = "value::whole::<_, _, 1, 1_000>")]
///     page: usize,
/// }
///
/// let given = |value: &str, origin| Given { name: "PAGE".to_owned(), value: value.to_owned(), origin };
/// let mut layers = Layers::over([("page".to_owned(), given("10", Origin::Default))].into());
/// assert_eq!(layers.clone().read(|_: &Orders| Vec::new()).unwrap().0.page, 10);
/// layers.set("page".to_owned(), given("all", Origin::Environment));
/// let told = layers.read(|_: &Orders| Vec::new()).unwrap_err();
/// assert_eq!(told.to_string(), "PAGE (environment): must be a whole number from 1 to 1000");
/// ```
#[derive(Debug, Clone)]
pub struct Layers {
    defaults: Effective,
    effective: Effective,
    problems: Vec<Problem>,
}

impl Layers {
    /// The defaults alone.
    pub fn over(defaults: Effective) -> Self {
        Layers { effective: defaults.clone(), defaults, problems: Vec::new() }
    }

    /// Whether there is a setting with this path.
    pub fn has(&self, path: &str) -> bool {
        self.defaults.contains_key(path)
    }

    /// Sets a value over those set before.
    pub fn set(&mut self, path: String, given: Given) {
        self.effective.insert(path, given);
    }

    /// Keeps a problem for [`Self::read`] to tell.
    pub fn refuse(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Reads a type whose fields are the paths, by the functions of [`value`](super::value), and checks what no single
    /// value shows.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn read<T: DeserializeOwned>(
        mut self,
        check: impl FnOnce(&T) -> Vec<Refusal>,
    ) -> Result<(T, Effective), SettingsError> {
        // A value that does not fit gives way to its default, so that the next problem shows.
        loop {
            let (path, message) = match extract::<T>(&self.effective) {
                Ok(settings) => {
                    let refused = check(&settings);
                    let problems = refused.into_iter().map(|refusal| self.blame(refusal));
                    self.problems.extend(problems.collect::<Vec<_>>());
                    return if self.problems.is_empty() {
                        Ok((settings, self.effective))
                    } else {
                        Err(SettingsError { problems: self.problems })
                    };
                }
                Err(refused) => refused,
            };
            let replaced = match self.defaults.get(&path) {
                Some(default) => self.effective.insert(path.clone(), default.clone()),
                None => self.effective.remove(&path),
            };
            match replaced.filter(|given| given.origin != Origin::Default) {
                Some(given) => self.problems.push(given.problem(message)),
                None => {
                    self.problems.push(Problem::new(path, Origin::Default, message));
                    return Err(SettingsError { problems: self.problems });
                }
            }
        }
    }

    fn blame(&self, (path, message): Refusal) -> Problem {
        match self.effective.get(&path) {
            Some(given) => given.problem(message),
            None => Problem::new(super::name(&path), Origin::Default, message),
        }
    }
}

/// The settings, or the path of a value that does not fit and what is wrong with it.
fn extract<T: DeserializeOwned>(effective: &Effective) -> Result<T, Refusal> {
    let mut root = Dict::new();
    for (path, given) in effective {
        insert(&mut root, path, given.value.clone());
    }
    Figment::from(Texts(root)).extract().map_err(|error| {
        let message = match &error.kind {
            Kind::Message(message) => message.clone(),
            // The kinds of serde may quote the value.
            _ => "is not of the right kind".to_owned(),
        };
        (error.path.join("."), message)
    })
}

/// Puts a text at a dotted path.
fn insert(dict: &mut Dict, path: &str, text: String) {
    match path.split_once('.') {
        None => {
            dict.insert(path.to_owned(), Value::from(text));
        }
        Some((head, rest)) => {
            let inner = dict.entry(head.to_owned()).or_insert_with(|| Value::from(Dict::new()));
            if let Value::Dict(_, members) = inner {
                insert(members, rest, text);
            }
        }
    }
}

/// Texts by path, as figment takes them in.
struct Texts(Dict);

impl Provider for Texts {
    fn metadata(&self) -> Metadata {
        Metadata::named("settings")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.0.clone())]))
    }
}
