//! The methods a server has, read from the descriptors it was given.
//!
//! Everything that is kept per method (metric series, scopes, priority) is a vector indexed by [`MethodId`], so a path
//! that no descriptor declares can never create anything: it is [`MethodId::UNKNOWN`].

use prost::Message as _;
use prost_types::{FileDescriptorSet, MethodDescriptorProto, method_options::IdempotencyLevel};

/// The position of a method in [`Methods`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MethodId(u16);

impl MethodId {
    /// Every path that no descriptor declares.
    pub const UNKNOWN: Self = Self(0);

    /// The index into a vector with one entry a method.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Which side streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streaming {
    /// One request, one answer.
    Unary,
    /// Many requests, one answer.
    Client,
    /// One request, many answers.
    Server,
    /// Many of both.
    Bidi,
}

impl Streaming {
    /// The conventional value of the metric label `grpc_type`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unary => "unary",
            Self::Client => "client_stream",
            Self::Server => "server_stream",
            Self::Bidi => "bidi_stream",
        }
    }

    /// Whether the answer is a stream, which may have no natural end.
    pub fn answers_with_stream(self) -> bool {
        matches!(self, Self::Server | Self::Bidi)
    }
}

/// One method of a mounted service.
#[derive(Clone, Debug)]
pub struct Method {
    /// `/package.Service/Method`, as requests name it.
    pub path: Box<str>,
    /// `package.Service`.
    pub service: Box<str>,
    /// `Method`.
    pub name: Box<str>,
    /// Which side streams.
    pub streaming: Streaming,
    /// Whether the proto's `idempotency_level` allows to send it again.
    pub idempotent: bool,
}

/// Why a service could not be registered with its descriptor.
#[derive(Debug, thiserror::Error)]
pub enum DescriptorError {
    /// The bytes are no encoded `FileDescriptorSet`.
    #[error("the descriptor given with {service} is no file descriptor set")]
    Malformed {
        /// The service registered with it.
        service: String,
        /// Where decoding stopped.
        source: prost::DecodeError,
    },
    /// The descriptor set lacks the service it was given with.
    #[error("the descriptor given with {service} does not declare that service")]
    Missing {
        /// The service registered with it.
        service: String,
    },
    /// A service was registered twice.
    #[error("{service} is registered twice")]
    Twice {
        /// The service.
        service: String,
    },
    /// More methods than an id can number.
    #[error("more than 65,535 methods")]
    TooMany,
}

/// All methods of a server; the first entry stands for the unknown ones.
#[derive(Clone, Debug)]
pub struct Methods {
    list: Vec<Method>,
    /// In the order of the paths: a handful of comparisons cost less than to hash a path.
    by_path: Vec<(Box<str>, MethodId)>,
}

impl Methods {
    /// No method at all: every path is unknown.
    pub fn empty() -> Self {
        let unknown = Method {
            path: "/unknown/unknown".into(),
            service: "unknown".into(),
            name: "unknown".into(),
            streaming: Streaming::Unary,
            idempotent: false,
        };
        Self { list: vec![unknown], by_path: Vec::new() }
    }

    /// The methods of one service, from the encoded file descriptor set of its package.
    ///
    /// # Errors
    /// When the bytes are no descriptor set, do not declare the service, or the service is there already.
    pub fn add(&mut self, service: &str, descriptor: &[u8]) -> Result<(), DescriptorError> {
        if self.list.iter().any(|method| &*method.service == service) {
            return Err(DescriptorError::Twice { service: service.to_owned() });
        }
        let set = FileDescriptorSet::decode(descriptor)
            .map_err(|source| DescriptorError::Malformed { service: service.to_owned(), source })?;
        let declared = set.file.iter().find_map(|file| {
            file.service.iter().find(|declared| full_name(file.package(), declared.name()) == service)
        });
        let declared = declared.ok_or_else(|| DescriptorError::Missing { service: service.to_owned() })?;
        for method in &declared.method {
            self.push(service, method)?;
        }
        Ok(())
    }

    fn push(&mut self, service: &str, method: &MethodDescriptorProto) -> Result<(), DescriptorError> {
        let id = u16::try_from(self.list.len()).map_err(|_| DescriptorError::TooMany)?;
        let path: Box<str> = format!("/{service}/{}", method.name()).into();
        let streaming = match (method.client_streaming(), method.server_streaming()) {
            (false, false) => Streaming::Unary,
            (true, false) => Streaming::Client,
            (false, true) => Streaming::Server,
            (true, true) => Streaming::Bidi,
        };
        let level = method.options.as_ref().map(|options| options.idempotency_level());
        let idempotent =
            matches!(level, Some(IdempotencyLevel::NoSideEffects | IdempotencyLevel::Idempotent));
        match self.position(&path) {
            Ok(at) => self.by_path[at].1 = MethodId(id),
            Err(at) => self.by_path.insert(at, (path.clone(), MethodId(id))),
        }
        self.list.push(Method {
            path,
            service: service.into(),
            name: method.name().into(),
            streaming,
            idempotent,
        });
        Ok(())
    }

    /// The methods of every service an encoded file descriptor set declares, apart from those there already.
    ///
    /// # Errors
    /// When the bytes are no descriptor set.
    pub fn add_all(&mut self, descriptor: &[u8]) -> Result<(), DescriptorError> {
        let set = FileDescriptorSet::decode(descriptor)
            .map_err(|source| DescriptorError::Malformed { service: "clients".to_owned(), source })?;
        for file in &set.file {
            for service in &file.service {
                match self.add(&full_name(file.package(), service.name()), descriptor) {
                    Ok(()) | Err(DescriptorError::Twice { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// The id of a path; [`MethodId::UNKNOWN`] when no descriptor declares it.
    pub fn resolve(&self, path: &str) -> MethodId {
        self.position(path).map_or(MethodId::UNKNOWN, |at| self.by_path[at].1)
    }

    fn position(&self, path: &str) -> Result<usize, usize> {
        self.by_path.binary_search_by(|(known, _)| (**known).cmp(path))
    }

    /// The method of an id.
    pub fn get(&self, id: MethodId) -> &Method {
        &self.list[id.index()]
    }

    /// Every method, the unknown one first: position = index of its id.
    pub fn all(&self) -> &[Method] {
        &self.list
    }
}

fn full_name(package: &str, service: &str) -> String {
    if package.is_empty() { service.to_owned() } else { format!("{package}.{service}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{DESCRIPTOR, SERVICE};

    #[test]
    fn methods_come_from_the_descriptor() {
        let mut methods = Methods::empty();
        methods.add(SERVICE, DESCRIPTOR).expect("the health service");
        let check = methods.get(methods.resolve("/grpc.health.v1.Health/Check"));
        assert_eq!((check.streaming, check.idempotent), (Streaming::Unary, true));
        let watch = methods.get(methods.resolve("/grpc.health.v1.Health/Watch"));
        assert_eq!((watch.streaming, watch.idempotent), (Streaming::Server, false));
        assert_eq!(methods.resolve("/grpc.health.v1.Health/Other"), MethodId::UNKNOWN);
    }

    #[test]
    fn a_descriptor_must_declare_the_service_once() {
        let mut methods = Methods::empty();
        let missing = methods.add("a.B", DESCRIPTOR).expect_err("not declared");
        assert!(matches!(missing, DescriptorError::Missing { .. }));
        let malformed = methods.add(SERVICE, &[0xff, 1]).expect_err("no descriptor");
        assert!(matches!(malformed, DescriptorError::Malformed { .. }));
        methods.add(SERVICE, DESCRIPTOR).expect("the first time");
        assert!(matches!(methods.add(SERVICE, DESCRIPTOR), Err(DescriptorError::Twice { .. })));
    }
}
