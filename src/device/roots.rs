//! The root of trust: a chain of roots in the `state` partition, which must lead on from the root in the running system.
//!
//! `state` can be written by anything that runs as root, or by whoever holds the card. The system volume was verified with its
//! release, so its root (`/usr/share/bistable/root.root`) is what `state` is held against: of the stored copies, the one with
//! the highest version that descends from it counts; if what is stored is older or can't be read, the system's root itself
//! counts. A stored chain that leads elsewhere is refused. A system without a root has only its stored chain to go by.
use super::stored::{read_stored_chain, write_stored};
use crate::{
    Device, Error,
    config::Settings,
    ports::{Board, Fault, Volume},
};
use bistable_boot::layout::{self, METADATA_BYTES};
use bistable_format::{ChainError, Root, RootChain, SignedRoot, Stray};
use std::cell::RefCell;

const _: () = assert!(RootChain::MAX_BYTES <= METADATA_BYTES);

/// The root in the running system.
#[derive(Clone, Debug)]
pub(super) enum SystemRoot {
    /// The system has none.
    Missing,
    /// It has one that its own keys signed.
    Present(SignedRoot),
    /// It has one that can't be used.
    Unusable(String),
}

impl SystemRoot {
    /// Read it from the running system.
    pub(super) fn read(board: &mut Board) -> SystemRoot {
        match board.host.system_root().map(|file| file.map(|bytes| SignedRoot::open(&bytes))) {
            Ok(None) => SystemRoot::Missing,
            Ok(Some(Ok(root))) => SystemRoot::Present(root),
            Ok(Some(Err(e))) => SystemRoot::Unusable(e.to_string()),
            Err(e) => SystemRoot::Unusable(e.to_string()),
        }
    }

    /// It, if it is there and can be used.
    pub(super) fn present(&self) -> Option<&SignedRoot> {
        match self {
            SystemRoot::Present(root) => Some(root),
            SystemRoot::Missing | SystemRoot::Unusable(_) => None,
        }
    }
}

/// What can be said about the root in the running system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemRootState {
    /// It is there.
    Present,
    /// The image was built without one: the stored root is held against nothing.
    Missing,
}

/// A root that is trusted, and the chain that is to be stored for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trusted {
    pub(super) root: Root,
    pub(super) chain: RootChain,
}

impl Trusted {
    /// The trusted root, then the older ones of its chain, newest first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Root> {
        let older = self.chain.roots().iter().rev().map(SignedRoot::root);
        std::iter::once(&self.root).chain(older.filter(|root| root.version < self.root.version))
    }
}

/// One stored copy, or why it isn't one.
pub(super) type Copy = Result<RootChain, String>;
type Raw = [Result<Vec<u8>, String>; 2];

/// What was trusted last, and for which stored bytes: the same bytes need no second verification.
#[derive(Default)]
pub(super) struct Verified(RefCell<Option<(Raw, Trusted)>>);

fn read_raw(state: &dyn Volume) -> Result<Raw, Fault> {
    let [first, second] = layout::ROOT.map(|at| match read_stored_chain(state, at) {
        // One copy is enough, and the next install writes the other one again.
        Err(e) if e.stopping().is_none() => Ok(Err(e.to_string())),
        read => read,
    });
    Ok([first?, second?])
}

/// Both stored copies. Decoded, and not verified.
pub(super) fn read_copies(state: &dyn Volume) -> Result<[Copy; 2], Fault> {
    Ok(decode(read_raw(state)?))
}

fn decode(raw: Raw) -> [Copy; 2] {
    raw.map(|copy| copy.and_then(|bytes| RootChain::decode(&bytes).map_err(|e| e.to_string())))
}

/// The root to trust.
pub(super) fn trusted(
    state: &dyn Volume,
    system: &SystemRoot,
    verified: &Verified,
) -> Result<Trusted, Error> {
    let raw = read_raw(state)?;
    if let Some((known, trusted)) = &*verified.0.borrow()
        && *known == raw
    {
        return Ok(trusted.clone());
    }
    let found = choose(&decode(raw.clone()), system)?;
    *verified.0.borrow_mut() = Some((raw, found.clone()));
    Ok(found)
}

/// The root to trust, out of two stored copies and the system's.
pub(super) fn choose(copies: &[Copy; 2], system: &SystemRoot) -> Result<Trusted, Error> {
    match system {
        SystemRoot::Unusable(problem) => Err(Error::SystemRoot(problem.clone())),
        SystemRoot::Missing => choose_stored(copies),
        SystemRoot::Present(from) => choose_descendant(copies, from),
    }
}

fn choose_stored(copies: &[Copy; 2]) -> Result<Trusted, Error> {
    let open = |copy: &Copy| {
        let chain = copy.clone()?;
        let root = chain.open_newest().map_err(|e| e.to_string())?.clone();
        Ok(Trusted { root, chain })
    };
    match [open(&copies[0]), open(&copies[1])] {
        [Ok(a), Ok(b)] => Ok(newer(a, b)),
        [Ok(one), Err(_)] | [Err(_), Ok(one)] => Ok(one),
        [Err(problem), Err(_)] => Err(Error::NoRoot(problem)),
    }
}

fn choose_descendant(copies: &[Copy; 2], from: &SignedRoot) -> Result<Trusted, Error> {
    let (mut best, mut behind, mut stray): (Option<Trusted>, Option<&RootChain>, _) = (None, None, None);
    for chain in copies.iter().flatten() {
        match chain.descend(from) {
            Ok(root) => {
                let found = Trusted { root: root.clone(), chain: chain.clone() };
                best = Some(match best.take() {
                    Some(other) => newer(other, found),
                    None => found,
                });
            }
            Err(Stray::Behind { .. }) => {
                let version = |chain: &RootChain| chain.newest().root().version;
                behind = Some(behind.filter(|other| version(other) >= version(chain)).unwrap_or(chain));
            }
            Err(e) => stray = Some((chain.newest().root().version, e)),
        }
    }
    if let Some(best) = best {
        return Ok(best);
    }
    if let Some((stored, problem)) = stray {
        return Err(Error::ForeignRoot { stored, system: from.root().version, problem });
    }
    // The system's root follows what is stored, or begins a new chain.
    let linked = behind.and_then(|chain| {
        let mut chain = chain.clone();
        chain.push(from.bytes(), None).ok().map(|()| chain)
    });
    let chain = linked.unwrap_or_else(|| RootChain::of(from.clone()));
    Ok(Trusted { root: from.root().clone(), chain })
}

fn newer(a: Trusted, b: Trusted) -> Trusted {
    if b.root.version > a.root.version { b } else { a }
}

impl Device {
    /// The root to trust, whatever the floor says, and the chain that is to be stored for it.
    pub(super) fn trusted(&self) -> Result<Trusted, Error> {
        trusted(&*self.state, &self.system_root, &self.verified)
    }

    /// The root of trust without regard to the floor: where following newer ones begins.
    ///
    /// # Errors
    /// When there is none that may be trusted.
    pub(crate) fn anchor(&self) -> Result<Root, Error> {
        let root = self.trusted()?.root;
        refuse_demo(&root, &self.settings)?;
        Ok(root)
    }

    /// The root of trust: descended from the running system's, signed by its own keys, not below the floor, and without demo
    /// keys unless they are allowed.
    ///
    /// # Errors
    /// When there is none that may be trusted. The device then refuses everything.
    pub fn root(&self) -> Result<Root, Error> {
        let root = self.anchor()?;
        self.not_below(&root, self.record.floors.root_version)?;
        Ok(root)
    }

    /// Refuse a root below a floor.
    pub(crate) fn not_below(&self, root: &Root, floor: u32) -> Result<(), Error> {
        if root.version < floor {
            let text = format!("root version {} is below {floor}, seen before", root.version);
            return Err(Error::NoRoot(text));
        }
        Ok(())
    }

    /// Whether the running system has a root, which the stored one must descend from.
    pub fn system_root(&self) -> SystemRootState {
        match self.system_root {
            SystemRoot::Missing => SystemRootState::Missing,
            SystemRoot::Present(_) | SystemRoot::Unusable(_) => SystemRootState::Present,
        }
    }

    /// Whether each stored copy of the root can be used.
    ///
    /// # Errors
    /// When the card fails.
    pub fn root_copies(&self) -> Result<[bool; 2], Error> {
        let copies = read_copies(&*self.state)?;
        Ok(copies.map(|copy| match (copy, self.system_root.present()) {
            (Ok(chain), Some(from)) => matches!(chain.descend(from), Ok(_) | Err(Stray::Behind { .. })),
            (Ok(chain), None) => chain.open_newest().is_ok(),
            (Err(_), _) => false,
        }))
    }

    /// Write each stored copy that differs from the trusted chain; but not while the floors are still those of an older
    /// root: see `root_before`. `Ok(true)` when that was needed.
    ///
    /// # Errors
    /// When the card fails.
    pub fn mend_root(&mut self) -> Result<bool, Error> {
        let trusted = match self.trusted() {
            Err(Error::Fault(e)) => return Err(e.into()),
            Err(_) => return Ok(false),
            Ok(trusted) => trusted,
        };
        let copies = read_copies(&*self.state)?;
        if copies.iter().all(Result::is_ok) && trusted.root.version > self.record.floors.root_version {
            return Ok(false);
        }
        write_copies(&*self.state, &copies, &trusted.chain)
    }

    /// The trusted chain, with newer roots, each verified by the one before.
    ///
    /// # Errors
    /// When one doesn't follow, or the chain is full.
    pub(crate) fn chain_with(&self, newer: &[Vec<u8>]) -> Result<RootChain, Error> {
        let mut chain = self.trusted()?.chain;
        let proof = self.system_root.present().map(|root| root.root().version);
        for next in newer {
            chain.push(next, proof).map_err(|e| match e {
                ChainError::Untrusted { problem, .. } => Error::Root(problem),
                e => Error::NoRoot(e.to_string()),
            })?;
        }
        Ok(chain)
    }

    /// Store a chain with newer roots: its newest is trusted from now on. The second copy still has the old chain, until the
    /// floors are saved and [`mend_root`](Self::mend_root) writes it again.
    ///
    /// # Errors
    /// When the card fails, or gives back something else than was written.
    pub(crate) fn store_chain(&mut self, chain: &RootChain) -> Result<(), Error> {
        self.mend_root()?;
        let [first, _] = layout::ROOT;
        write_stored(&*self.state, first, &chain.encode())
    }

    /// The root that the floors are of, if the power went before they followed the one that is trusted now.
    ///
    /// # Errors
    /// When the card fails.
    pub(crate) fn root_before(&self) -> Result<Option<Root>, Error> {
        let floor = self.record.floors.root_version;
        let copies = read_copies(&*self.state)?;
        let mut roots = copies.iter().flatten().flat_map(RootChain::roots).map(SignedRoot::root);
        Ok(roots.find(|root| root.version == floor).cloned())
    }
}

/// Write each stored copy that is not this chain. `Ok(true)` when one wasn't.
pub(super) fn write_copies(state: &dyn Volume, copies: &[Copy; 2], chain: &RootChain) -> Result<bool, Error> {
    let mut written = false;
    for (_, at) in copies.iter().zip(layout::ROOT).filter(|(copy, _)| copy.as_ref() != Ok(chain)) {
        write_stored(state, at, &chain.encode())?;
        written = true;
    }
    Ok(written)
}

pub(super) fn refuse_demo(root: &Root, settings: &Settings) -> Result<(), Error> {
    if settings.allow_demo_keys { Ok(()) } else { root.refuse_demo().map_err(Error::Root) }
}
