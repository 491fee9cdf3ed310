//! Descriptors kept for the moment when none is left: with them a client can be taken in for as long as it takes to
//! tell it no. Without, it would wait in the backlog until its own patience ends.

use std::{fs::File, io, os::fd::OwnedFd};

/// As many descriptors as it takes to take a client in.
#[derive(Debug)]
pub(crate) struct Reserve {
    wanted: usize,
    kept: Vec<OwnedFd>,
}

impl Reserve {
    pub(crate) fn new(wanted: usize) -> Self {
        Self { wanted, kept: Vec::with_capacity(wanted) }
    }

    /// Takes what is missing again, if it is to be had.
    pub(crate) fn fill(&mut self) -> io::Result<()> {
        while self.kept.len() < self.wanted {
            self.kept.push(File::open("/")?.into());
        }
        Ok(())
    }

    /// Lets go of it. False: not all of it was there.
    pub(crate) fn spend(&mut self) -> bool {
        let had = self.kept.len() == self.wanted;
        self.kept.clear();
        had
    }
}
