//! Who may call what, of those who are found to be calling.

use std::collections::HashMap;

use super::{Principal, Source};
use crate::methods::{Method, Methods};

/// Who may call what, apart from the mode.
#[derive(Clone, Debug, Default)]
pub struct AccessRules {
    /// Paths, or services as `package.Service/*`, that need no token.
    pub public: Vec<String>,
    /// By path, or `package.Service/*`: scopes a token must all have.
    pub scopes: HashMap<String, Vec<String>>,
    /// By path, or `package.Service/*`: SPIFFE ids of certificates that need no scopes, which they cannot have. Where
    /// there are no scopes, nobody else may call: by an empty list nobody at all. A call that shows a token is judged by
    /// that alone.
    pub identities: HashMap<String, Vec<String>>,
}

/// What the rules say of one method.
#[derive(Clone, Debug)]
pub(crate) enum Access {
    Public,
    Ruled(Rule),
}

/// Who may call a method, of those who are known.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    scopes: Box<[String]>,
    /// `None` where no rule names any: an empty list is one that names nobody.
    identities: Option<Box<[String]>>,
}

impl Rule {
    /// Also those who are not known.
    pub(crate) fn admits_anybody(&self) -> bool {
        self.scopes.is_empty() && self.identities.is_none()
    }

    pub(crate) fn admits(&self, principal: &Principal) -> bool {
        if self.scopes.is_empty() && self.identities.is_some() {
            return self.names(principal);
        }
        self.scopes.iter().all(|scope| principal.has_scope(scope)) || self.names(principal)
    }

    /// A token may say that it is anybody.
    fn names(&self, principal: &Principal) -> bool {
        principal.source() == Source::Certificate
            && self.identities.iter().flatten().any(|id| id == principal.subject())
    }
}

impl AccessRules {
    pub(crate) fn access(&self, method: &Method) -> Access {
        let service = format!("{}/*", method.service);
        let names = |name: &str| name == &*method.path || name == service;
        if self.public.iter().any(|name| names(name)) {
            return Access::Public;
        }
        let of = |rules: &HashMap<String, Vec<String>>| {
            rules.iter().filter(|(name, _)| names(name)).flat_map(|(_, values)| values).cloned().collect()
        };
        let named = self.identities.keys().any(|name| names(name));
        Access::Ruled(Rule { scopes: of(&self.scopes), identities: named.then(|| of(&self.identities)) })
    }

    /// A rule that matches no method, if there is one: most likely a slip of the pen that opens or closes the wrong door.
    pub fn unmatched<'a>(&'a self, methods: &Methods) -> Option<&'a str> {
        let known = |name: &str| {
            methods
                .all()
                .iter()
                .any(|method| *method.path == *name || format!("{}/*", method.service) == name)
        };
        let named = self.public.iter().chain(self.scopes.keys()).chain(self.identities.keys());
        named.map(String::as_str).find(|name| !known(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{DESCRIPTOR, SERVICE};

    #[test]
    fn a_rule_for_nothing_is_found() {
        let rules = AccessRules {
            public: vec!["/grpc.health.v1.Health/Check".to_owned(), "/a.B/C".to_owned()],
            ..AccessRules::default()
        };
        let mut methods = Methods::empty();
        methods.add(SERVICE, DESCRIPTOR).expect("the health service");
        assert_eq!(rules.unmatched(&methods), Some("/a.B/C"));
        let identities = HashMap::from([("/a.B/D".to_owned(), Vec::new())]);
        assert_eq!(AccessRules { identities, ..AccessRules::default() }.unmatched(&methods), Some("/a.B/D"));
    }
}
