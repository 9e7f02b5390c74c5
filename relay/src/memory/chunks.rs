//! A vector that grows without moving its elements.

use std::ops::{Index, IndexMut};

/// Number of elements of one chunk.
const CHUNK: usize = 64;

/// A vector that grows by one chunk at a time: growing copies nothing, so that no packet waits for
/// it, and takes hardly more memory than the elements need.
#[derive(Debug)]
pub(crate) struct Chunks<T>(Vec<Vec<T>>);

impl<T> Chunks<T> {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.last().map_or(0, |last| (self.0.len() - 1) * CHUNK + last.len())
    }

    pub(crate) fn push(&mut self, element: T) {
        match self.0.last_mut().filter(|last| last.len() < CHUNK) {
            Some(last) => last.push(element),
            None => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(element);
                self.0.push(chunk);
            }
        }
    }

    #[inline]
    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        self.0.get(at / CHUNK)?.get(at % CHUNK)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        self.0.get_mut(at / CHUNK)?.get_mut(at % CHUNK)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().flatten()
    }
}

impl<T> Index<usize> for Chunks<T> {
    type Output = T;

    #[inline]
    fn index(&self, at: usize) -> &T {
        &self.0[at / CHUNK][at % CHUNK]
    }
}

impl<T> IndexMut<usize> for Chunks<T> {
    #[inline]
    fn index_mut(&mut self, at: usize) -> &mut T {
        &mut self.0[at / CHUNK][at % CHUNK]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_vector_that_does_not_move() {
        let mut chunks = Chunks::new();
        chunks.push(0);
        let first = std::ptr::from_ref(&chunks[0]);
        for element in 1..10 * CHUNK {
            assert_eq!((chunks.len(), chunks.get(element)), (element, None));
            chunks.push(element);
            assert_eq!(
                (chunks[element], chunks.get_mut(element).copied()),
                (element, Some(element))
            );
        }
        chunks[CHUNK] = 7;
        chunks.iter_mut().for_each(|element| *element += 1);
        assert!(
            chunks.iter().copied().eq((1..=10 * CHUNK).map(|element| if element == CHUNK + 1 {
                8
            } else {
                element
            }))
        );
        assert_eq!(std::ptr::from_ref(&chunks[0]), first);
    }
}
