//! References that are counted in several places. Two cores that change one count wait for each other, which costs more
//! than the rest of a reference: so what every call refers to is counted apart by each connection.

use std::{ops::Deref, sync::Arc};

/// A reference like an [`Arc`], whose clones share its count.
#[derive(Debug)]
pub(crate) struct Apart<T>(Arc<Reference<T>>);

#[derive(Debug)]
struct Reference<T>(Arc<T>);

impl<T> Apart<T> {
    pub(crate) fn new(to: Arc<T>) -> Self {
        Self(Arc::new(Reference(to)))
    }

    /// A reference to the same, with a count of its own.
    pub(crate) fn apart(&self) -> Self {
        Self::new(Arc::clone(&self.0.0))
    }
}

impl<T> Clone for Apart<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_counted_apart_and_refer_to_the_same() {
        let one = Apart::new(Arc::new(7));
        let (shared, other) = (one.clone(), one.apart());
        assert_eq!((*one, *shared, *other), (7, 7, 7));
        assert_eq!((Arc::strong_count(&one.0), Arc::strong_count(&other.0)), (2, 1));
        assert!(std::ptr::eq(&*one, &*other));
    }
}
