//! Root metadata: made, and read from its file.
use crate::keys::SecretKey;
use crate::output;
use bistable_format::root::Demand;
use bistable_format::{Digest, Envelope, Extensions, Head, Key, KeyId, Role, RoleKeys, Root, TrustError};
use std::io;
use std::path::{Path, PathBuf};

/// The first root of a product.
#[derive(Clone, Debug, Default)]
pub struct RootOptions {
    /// Keys that may sign the next root.
    pub root_keys: Vec<Key>,
    /// Keys that may sign releases.
    pub release_keys: Vec<Key>,
    /// Keys that may sign channels: all that have none of their own.
    pub channel_keys: Vec<Key>,
    /// Keys that may sign one channel, by its name; no others may then.
    pub own_channel_keys: Vec<(String, Key)>,
    /// What devices demand of releases from a channel, or from each one.
    pub demands: Vec<DemandOption>,
    /// From this time on devices take no updates before they have the next root, in seconds since 1970; none for never.
    pub expires_at: Option<u64>,
    /// How many distinct keys must sign, where it isn't the default: more than half of the root keys, one of the
    /// others.
    pub thresholds: Vec<(Role, u8)>,
    /// Keys that sign this root: at least as many root keys as the root's own threshold says.
    pub sign: Vec<SecretKey>,
}

/// An attestation that devices demand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemandOption {
    /// The channel; none for each one.
    pub channel: Option<String>,
    /// What must be said.
    pub kind: String,
    /// Who must say it.
    pub key: Key,
}

/// The keys of a role.
#[derive(Clone, Debug)]
struct Entry {
    role: Role,
    /// See [`RoleKeys::channels`].
    channels: Vec<String>,
    keys: Vec<Key>,
    threshold: u8,
}

impl RootOptions {
    /// The keys of each role.
    fn given(&self) -> [(Role, &Vec<Key>); 3] {
        [
            (Role::Root, &self.root_keys),
            (Role::Release, &self.release_keys),
            (Role::Channel, &self.channel_keys),
        ]
    }

    /// How many keys of a role must sign.
    fn threshold(&self, role: Role, usual: u8) -> u8 {
        self.thresholds.iter().find(|(r, _)| *r == role).map_or(usual, |(_, n)| *n)
    }

    /// The entries of channels with keys of their own.
    fn own_channels(&self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        for (channel, key) in &self.own_channel_keys {
            match entries.iter_mut().find(|e| e.channels.contains(channel)) {
                Some(entry) => entry.keys.push(key.clone()),
                None => entries.push(Entry {
                    role: Role::Channel,
                    channels: vec![channel.clone()],
                    keys: vec![key.clone()],
                    threshold: 1,
                }),
            }
        }
        entries
    }

    /// A root with these entries and demands.
    fn assemble(&self, version: u32, head: Head, entries: &[Entry], demands: Vec<(Demand, Key)>) -> Root {
        let mut keys: Vec<Key> = Vec::new();
        let named = entries.iter().flat_map(|entry| &entry.keys).chain(demands.iter().map(|(_, key)| key));
        for key in named {
            if !keys.contains(key) {
                keys.push(key.clone());
            }
        }
        let role_keys = |entry: &Entry| RoleKeys {
            role: entry.role,
            channels: entry.channels.clone(),
            threshold: entry.threshold,
            keys: entry.keys.iter().map(Key::id).collect(),
        };
        Root {
            head,
            version,
            expires_at: self.expires_at,
            keys,
            roles: entries.iter().map(role_keys).collect(),
            demands: demands.into_iter().map(|(demand, _)| demand).collect(),
            extensions: Extensions::default(),
        }
    }

    /// What devices demand, with the keys.
    fn demanded(&self) -> Vec<(Demand, Key)> {
        let demand = |d: &DemandOption| Demand {
            channels: d.channel.iter().cloned().collect(),
            kind: d.kind.clone(),
            key: d.key.id(),
        };
        self.demands.iter().map(|d| (demand(d), d.key.clone())).collect()
    }
}

/// Why there is no root.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootError {
    /// The file can't be read.
    #[error("can't read the root {path}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds no root that its own keys signed.
    #[error("{path} is not a valid root", path = path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: TrustError,
    },
    /// What was asked for would be an unusable root.
    #[error("such a root would be refused everywhere, so it was not made")]
    Unusable(#[source] TrustError),
    /// A key that signs, but whose signature would not count.
    #[error(
        "the key {label} ({id:.4}) may sign neither this root nor the one before it, so its signature would count for nothing: \
         sign with one of {}", .wanted.join(", ")
    )]
    NotRootKey {
        /// The key's label.
        label: String,
        /// The key.
        id: KeyId,
        /// Labels of those that may.
        wanted: Vec<String>,
    },
    /// A root that one lost or stolen key is enough to break.
    #[error("such a root is weak: {}; make it stronger, or give --yes-weak", list(.0))]
    Weak(Vec<Weakness>),
    /// A role without keys.
    #[error("no key was given that may sign a {role}: give at least one with --{role}-key")]
    NoKey {
        /// The role.
        role: Role,
    },
}

/// Why a root is easier to break, or to lose, than it has to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// One key is enough to sign the next root.
    #[error("one stolen root key is enough to replace it (use three with --threshold root=2)")]
    OneSigner,
    /// There is one root key.
    #[error("it has one root key, so it can't be changed after that is lost (use three)")]
    OneKey,
    /// A key has two roles.
    #[error("the key {label:?} may sign as {one} and as {other} (make a key for each)", one = .roles[0], other = .roles[1])]
    TwoRoles {
        /// The key's label.
        label: String,
        /// Two of its roles.
        roles: [Role; 2],
    },
}

fn list(weaknesses: &[Weakness]) -> String {
    weaknesses.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// What is weak about a root.
pub fn weaknesses(root: &Root) -> Vec<Weakness> {
    let mut found = Vec::new();
    if let Some(keys) = root.role(Role::Root) {
        if keys.keys.len() < 2 {
            found.push(Weakness::OneKey);
        } else if keys.threshold < 2 {
            found.push(Weakness::OneSigner);
        }
    }
    for key in &root.keys {
        let mut roles = root.roles.iter().filter(|r| r.keys.contains(&key.id())).map(|r| r.role);
        if let (Some(one), Some(other)) = (roles.next(), roles.next()) {
            found.push(Weakness::TwoRoles { label: key.label.clone(), roles: [one, other] });
        }
    }
    found
}

/// What the next root accepts no longer, or not alone: what was signed before may have to be signed again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Dropped {
    /// A key.
    #[error("key {label:?} ({id:.4}) may not sign {} any more", subject(*.role, .channel.as_deref()))]
    Key {
        /// Its role.
        role: Role,
        /// The channel, if that has keys of its own in one of the two roots.
        channel: Option<String>,
        /// The key's label.
        label: String,
        /// The key.
        id: KeyId,
    },
    /// More keys have to sign.
    #[error("{need} keys have to sign {} instead of {had}", subject(*.role, .channel.as_deref()))]
    Threshold {
        /// The role.
        role: Role,
        /// The channel, if that has keys of its own in one of the two roots.
        channel: Option<String>,
        /// How many had to sign.
        had: u8,
        /// How many have to sign now.
        need: u8,
    },
    /// Devices demand an attestation.
    #[error("devices demand that key {label:?} attests {kind} of each release")]
    Demand {
        /// What must be attested.
        kind: String,
        /// The key's label.
        label: String,
    },
}

/// What a role signs, in the plural.
fn subject(role: Role, channel: Option<&str>) -> String {
    match (role, channel) {
        (Role::Channel, Some(channel)) => format!("channel {channel}"),
        (Role::Channel, None) => "channels".into(),
        _ => format!("{role}s"),
    }
}

/// What the next root no longer accepts of what devices take with the current one: of releases and channels.
pub fn dropped(current: &Root, next: &Root) -> Vec<Dropped> {
    let mut found = Vec::new();
    let mut compare = |role, channel: Option<&String>, old: Option<&RoleKeys>, new: Option<&RoleKeys>| {
        let Some(old) = old else { return };
        let kept = new.map(|new| new.keys.as_slice()).unwrap_or_default();
        for key in old.keys.iter().filter(|id| !kept.contains(id)).filter_map(|id| current.key(id)) {
            let (channel, label) = (channel.cloned(), key.label.clone());
            found.push(Dropped::Key { role, channel, label, id: key.id() });
        }
        if let Some(need) = new.map(|new| new.threshold).filter(|need| *need > old.threshold) {
            found.push(Dropped::Threshold { role, channel: channel.cloned(), had: old.threshold, need });
        }
    };
    for role in [Role::Release, Role::Channel] {
        compare(role, None, current.role(role), next.role(role));
    }
    let mut own: Vec<&String> = current.roles.iter().chain(&next.roles).flat_map(|r| &r.channels).collect();
    own.sort();
    own.dedup();
    for channel in own {
        compare(Role::Channel, Some(channel), current.channel_keys(channel), next.channel_keys(channel));
    }
    let is_new = |demand: &&Demand| !current.demands.contains(demand);
    found.extend(next.demands.iter().filter(is_new).filter_map(|demand| {
        let label = next.key(&demand.key)?.label.clone();
        Some(Dropped::Demand { kind: demand.kind.clone(), label })
    }));
    found
}

/// A root with the bytes it was opened from: those are what devices keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRoot {
    /// The signed envelope.
    pub bytes: Vec<u8>,
    /// What it says. Its own keys signed it to its own threshold.
    pub root: Root,
}

/// Make and sign version 1 of a root. The result opens.
///
/// # Errors
/// When it would not.
pub fn create(options: &RootOptions) -> Result<SignedRoot, RootError> {
    let mut entries = Vec::new();
    for (role, given) in options.given() {
        match (given.is_empty(), role) {
            // Without a channel, a product is updated from files: that is a way to use it.
            (true, Role::Channel) => {}
            (true, _) => return Err(RootError::NoKey { role }),
            (false, _) => {
                let half = u8::try_from(given.len() / 2 + 1).unwrap_or(u8::MAX);
                let threshold = options.threshold(role, if role == Role::Root { half } else { 1 });
                entries.push(Entry { role, channels: Vec::new(), keys: given.clone(), threshold });
            }
        }
    }
    entries.extend(options.own_channels());
    let head = Head::new(Digest([0; 32]), "");
    let root = options.assemble(1, head, &entries, options.demanded());
    let signers: Vec<_> = options.sign.iter().map(SecretKey::signing).collect();
    let bytes = root.seal(&signers).map_err(RootError::Unusable)?;
    let root = Root::open(&bytes).map_err(RootError::Unusable)?;
    Ok(SignedRoot { bytes, root })
}

/// What changes in the next root. A role without keys keeps those it has.
///
/// The result is signed, but perhaps not by enough: [`add_signatures`] adds others', who needn't be at the same place.
///
/// # Errors
/// When such a root makes no sense.
pub fn next(current: &Root, options: &RootOptions) -> Result<Vec<u8>, RootError> {
    let labeled =
        |ids: &[KeyId]| -> Vec<Key> { ids.iter().filter_map(|id| current.key(id).cloned()).collect() };
    let mut entries = Vec::new();
    for (role, given) in options.given() {
        let old = current.role(role);
        let keys =
            if given.is_empty() { old.map(|r| labeled(&r.keys)).unwrap_or_default() } else { given.clone() };
        if keys.is_empty() {
            continue;
        }
        let most = u8::try_from(keys.len()).unwrap_or(u8::MAX);
        let threshold = options.threshold(role, old.map_or(1, |r| r.threshold).min(most));
        entries.push(Entry { role, channels: Vec::new(), keys, threshold });
    }
    let own = options.own_channels();
    let replaced = |channel: &String| own.iter().any(|entry| entry.channels.contains(channel));
    for old in current.roles.iter().filter(|r| !r.channels.is_empty()) {
        let channels: Vec<String> = old.channels.iter().filter(|c| !replaced(c)).cloned().collect();
        if !channels.is_empty() {
            let (role, threshold) = (old.role, old.threshold);
            entries.push(Entry { role, channels, keys: labeled(&old.keys), threshold });
        }
    }
    entries.extend(own);
    let demands = match options.demands.as_slice() {
        [] => {
            let old = current.demands.iter();
            old.filter_map(|d| Some((d.clone(), current.key(&d.key)?.clone()))).collect()
        }
        _ => options.demanded(),
    };
    let head = Head::new(current.repository(), "");
    let root = options.assemble(current.version.saturating_add(1), head, &entries, demands);
    require_root_keys(current, &root, &options.sign)?;
    let signers: Vec<_> = options.sign.iter().map(SecretKey::signing).collect();
    root.seal(&signers).map_err(RootError::Unusable)
}

/// Refuse keys that may sign neither the next root nor the one before it: a slip that would look like a signature.
fn require_root_keys(current: &Root, next: &Root, sign: &[SecretKey]) -> Result<(), RootError> {
    let mut wanted: Vec<&Key> = Vec::new();
    for root in [current, next] {
        let ids = root.role(Role::Root).map(|r| r.keys.as_slice()).unwrap_or_default();
        wanted.extend(ids.iter().filter_map(|id| root.key(id)));
    }
    match sign.iter().map(SecretKey::public).find(|key| !wanted.iter().any(|k| k.id() == key.id())) {
        None => Ok(()),
        Some(key) => {
            let mut labels: Vec<String> = wanted.iter().map(|key| key.label.clone()).collect();
            labels.sort();
            labels.dedup();
            Err(RootError::NotRootKey { id: key.id(), label: key.label, wanted: labels })
        }
    }
}

/// The same root, which follows `current`, with signatures of these keys added to those it has.
///
/// # Errors
/// When it is no root, or one of the keys may not sign it.
pub fn add_signatures(current: &Root, bytes: &[u8], keys: &[SecretKey]) -> Result<Vec<u8>, RootError> {
    let envelope = Envelope::parse(bytes, Role::Root).map_err(|e| RootError::Unusable(e.into()))?;
    // Not verified: what it lacks are the signatures that come now.
    let next = Root::decode(envelope.payload).map_err(|e| RootError::Unusable(e.into()))?;
    require_root_keys(current, &next, keys)?;
    let signers: Vec<_> = keys.iter().map(SecretKey::signing).collect();
    envelope.add_signatures(&signers).map_err(|e| RootError::Unusable(e.into()))
}

/// What to do about a release or delta that other people have to sign, too.
pub(crate) fn not_enough(few: &TrustError) -> String {
    format!("not enough yet: {few}; `bistable-image sign` adds signatures")
}

/// Read a root from its file. It must be signed by its own keys; that they are the right ones is for whoever gave the
/// file to know.
///
/// # Errors
/// A file that can't be read or is no such root.
pub fn read(path: &Path) -> Result<SignedRoot, RootError> {
    let bytes = output::read_limited(path, Envelope::MAX_BYTES)
        .map_err(|source| RootError::Read { path: path.into(), source })?;
    let root = Root::open(&bytes).map_err(|source| RootError::Invalid { path: path.into(), source })?;
    Ok(SignedRoot { bytes, root })
}

/// The keys that a verified envelope is signed by, as far as the root names them for the role.
pub fn signers<'a>(root: &'a Root, role: Role, bytes: &[u8]) -> Vec<&'a Key> {
    let Ok(envelope) = Envelope::parse(bytes, role) else { return Vec::new() };
    let named: Vec<&RoleKeys> = root.roles.iter().filter(|r| r.role == role.keys()).collect();
    let ids = envelope.signatures().map(|(id, _)| id).filter(|id| named.iter().any(|r| r.keys.contains(id)));
    let mut keys: Vec<&Key> = ids.filter_map(|id| root.key(&id)).collect();
    keys.dedup();
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use bistable_format::KeyKind;

    fn key(n: u8) -> SecretKey {
        SecretKey::from_seed([n; 32], &format!("key {n}"), KeyKind::Production).unwrap()
    }

    fn options(root: &[u8], sign: &[u8]) -> RootOptions {
        RootOptions {
            root_keys: root.iter().map(|n| key(*n).public()).collect(),
            release_keys: vec![key(9).public()],
            channel_keys: vec![key(8).public()],
            sign: sign.iter().map(|n| key(*n)).collect(),
            ..RootOptions::default()
        }
    }

    #[test]
    fn a_root_opens_when_enough_of_its_keys_signed_it() {
        let cases: [(&[u8], &[u8], bool); 7] = [
            (&[1], &[1], true),
            (&[1], &[2], false),
            (&[1], &[], false),
            (&[1, 2, 3], &[1], false),
            (&[1, 2, 3], &[1, 1], false),
            (&[1, 2, 3], &[3, 1], true),
            (&[1, 2], &[1, 9], false),
        ];
        for (root, sign, fine) in cases {
            assert_eq!(create(&options(root, sign)).is_ok(), fine, "{root:?} signed by {sign:?}");
        }
    }

    #[test]
    fn thresholds_are_as_asked_and_a_key_can_have_two_roles() {
        let mut o = options(&[1, 2, 3], &[1]);
        o.thresholds = vec![(Role::Root, 1), (Role::Release, 2)];
        o.release_keys = vec![key(1).public(), key(9).public()];
        let made = create(&o).unwrap();
        assert_eq!(made.root.role(Role::Release).unwrap().threshold, 2);
        assert_eq!(made.root.keys.len(), 5);
        o.thresholds = vec![(Role::Release, 3)];
        assert!(matches!(create(&o), Err(RootError::Unusable(_))));
    }

    #[test]
    fn a_key_whose_signature_would_count_for_nothing_is_refused_by_name() {
        let current = create(&options(&[1, 2, 3], &[1, 2])).unwrap().root;
        let half = next(&current, &options(&[1, 4], &[1])).unwrap();
        for fine in [1, 2, 4] {
            assert!(add_signatures(&current, &half, &[key(fine)]).is_ok(), "{fine}");
        }
        let mut rotated = options(&[1, 4], &[]);
        for wrong in [7, 8, 9] {
            let refused = add_signatures(&current, &half, &[key(1), key(wrong)]).unwrap_err().to_string();
            let named = format!("the key key {wrong} (");
            assert!(
                refused.starts_with(&named) && refused.ends_with("key 1, key 2, key 3, key 4"),
                "{refused}"
            );
            rotated.sign = vec![key(1), key(wrong)];
            assert!(matches!(next(&current, &rotated), Err(RootError::NotRootKey { .. })), "{wrong}");
        }
    }

    #[test]
    fn root_that_one_key_breaks_is_weak() {
        let two_roles = Weakness::TwoRoles { label: "key 3".into(), roles: [Role::Root, Role::Release] };
        for (roots, threshold, releasers, want) in [
            (&[1, 2, 3][..], 2, &[9][..], vec![]),
            (&[1, 2], 2, &[9, 7], vec![]),
            (&[1], 1, &[9], vec![Weakness::OneKey]),
            (&[1, 2, 3], 1, &[9], vec![Weakness::OneSigner]),
            (&[1, 2, 3], 2, &[9, 3], vec![two_roles]),
        ] {
            let mut o = options(roots, roots);
            o.thresholds = vec![(Role::Root, threshold)];
            o.release_keys = releasers.iter().map(|n| key(*n).public()).collect();
            assert_eq!(weaknesses(&create(&o).unwrap().root), want, "{roots:?} {threshold} {releasers:?}");
        }
    }

    #[test]
    fn next_root_names_what_it_accepts_no_longer() {
        let current = create(&options(&[1, 2, 3], &[1, 2])).unwrap().root;
        let changed = |change: &dyn Fn(&mut RootOptions)| {
            let mut changed = options(&[1, 2, 3], &[1, 2]);
            change(&mut changed);
            let next = next(&current, &changed).unwrap();
            let next = current.successor(&next).unwrap();
            dropped(&current, &next).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let id = |n: u8| format!("{:.4}", key(n).public().id());
        assert_eq!(changed(&|_| {}), [""; 0]);
        assert_eq!(changed(&|o| o.release_keys.push(key(7).public())), [""; 0]);
        assert_eq!(
            changed(&|o| o.release_keys = vec![key(7).public()]),
            [format!("key \"key 9\" ({}) may not sign releases any more", id(9))]
        );
        assert_eq!(
            changed(&|o| o.channel_keys = vec![key(7).public()]),
            [format!("key \"key 8\" ({}) may not sign channels any more", id(8))]
        );
        // A key of its own takes the channel from those that sign all others.
        assert_eq!(
            changed(&|o| o.own_channel_keys = vec![("staging".into(), key(7).public())]),
            [format!("key \"key 8\" ({}) may not sign channel staging any more", id(8))]
        );
        assert_eq!(
            changed(&|o| {
                o.release_keys.push(key(7).public());
                o.thresholds = vec![(Role::Release, 2)];
            }),
            ["2 keys have to sign releases instead of 1"]
        );
        let demand = DemandOption { channel: None, kind: "tests-passed".into(), key: key(7).public() };
        assert_eq!(
            changed(&|o| o.demands = vec![demand.clone()]),
            ["devices demand that key \"key 7\" attests tests-passed of each release"]
        );
    }

    #[test]
    fn a_role_without_keys_is_named() {
        let mut o = options(&[1], &[1]);
        o.release_keys.clear();
        let text = create(&o).unwrap_err().to_string();
        assert!(text.contains("--release-key"), "{text}");
    }

    #[test]
    fn a_missing_or_foreign_file_is_no_root() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.root");
        assert!(matches!(read(&path), Err(RootError::Read { .. })));
        std::fs::File::create(&path).unwrap();
        assert!(matches!(read(&path), Err(RootError::Invalid { .. })));
    }
}
