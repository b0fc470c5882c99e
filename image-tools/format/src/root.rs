//! Root metadata: which keys may sign what. The only thing a device trusts from the start.
use crate::{
    DecodeError, Digest, Envelope, Extensions, Head, Key, KeyId, KeyKind, Role, TrustError, envelope,
    from_postcard, limits,
    name::{check_channel_name, check_name},
    text::is_printable,
    to_postcard,
};
use alloc::{format, string::String, vec::Vec};
use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

/// The keys of one role, and how many of them must sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleKeys {
    /// The role.
    pub role: Role,
    /// Of the role `Channel`: the channels that these keys may sign. Empty for all that no other entry names.
    #[serde(deserialize_with = "crate::limited::<_, _, { limits::ROLE_CHANNELS }>")]
    pub channels: Vec<String>,
    /// Distinct keys that must sign: at least 1.
    pub threshold: u8,
    /// Keys that may.
    #[serde(deserialize_with = "crate::limited::<_, _, { limits::KEYS }>")]
    pub keys: Vec<KeyId>,
}

/// What must be attested of a release before a device takes it from a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    /// The channels. Empty for all.
    #[serde(deserialize_with = "crate::limited::<_, _, { limits::ROLE_CHANNELS }>")]
    pub channels: Vec<String>,
    /// What must be said: `tests-passed`, for example.
    pub kind: String,
    /// The key that must say it.
    pub key: KeyId,
}

impl Demand {
    /// Whether it is about a channel.
    pub fn is_for(&self, channel: &str) -> bool {
        self.channels.is_empty() || self.channels.iter().any(|c| c == channel)
    }
}

/// Which keys may sign what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// Which agents can use it, and of which repository.
    pub head: Head,
    /// 1, 2, 3, …: only ever replaced by the next one.
    pub version: u32,
    /// From this time on devices take no updates before they have its successor, in seconds since 1970; none for never.
    pub expires_at: Option<u64>,
    /// All keys.
    #[serde(deserialize_with = "crate::limited::<_, _, { limits::KEYS }>")]
    pub keys: Vec<Key>,
    /// Each role once, but `Channel` for several groups of channels; a role that isn't here can't be signed for.
    #[serde(deserialize_with = "crate::limited::<_, _, { limits::ROLES }>")]
    pub roles: Vec<RoleKeys>,
    /// What devices demand of releases from channels.
    #[serde(deserialize_with = "crate::limited::<_, _, { limits::ATTESTATIONS }>")]
    pub demands: Vec<Demand>,
    /// Additions of later versions.
    pub extensions: Extensions,
}

/// A root with the envelope that it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRoot {
    root: Root,
    bytes: Vec<u8>,
}

impl SignedRoot {
    /// Decode a root. Its signatures are *not* verified.
    ///
    /// # Errors
    /// When it isn't one.
    pub fn decode(bytes: &[u8]) -> Result<SignedRoot, TrustError> {
        let root = Root::decode(Envelope::parse(bytes, Role::Root)?.payload)?;
        Ok(SignedRoot { root, bytes: bytes.to_vec() })
    }

    /// Open a root that comes from a trusted place: see [`Root::open`].
    ///
    /// # Errors
    /// See [`TrustError`].
    pub fn open(bytes: &[u8]) -> Result<SignedRoot, TrustError> {
        Ok(SignedRoot { root: Root::open(bytes)?, bytes: bytes.to_vec() })
    }

    /// The root.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// The envelope.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What is signed: the same for all envelopes of one root.
    pub fn payload(&self) -> &[u8] {
        // It was parsed when this was made.
        Envelope::parse(&self.bytes, Role::Root).map_or(&[], |envelope| envelope.payload)
    }
}

impl Root {
    /// Where the system volume of a release carries its root.
    pub const SYSTEM_PATH: &str = "/usr/share/bistable/root.root";

    /// Decode and check that the metadata makes sense: keys distinct, thresholds reachable.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(payload: &[u8]) -> Result<Root, DecodeError> {
        let root: Root = from_postcard("root", payload, limits::ENVELOPE_PAYLOAD)?;
        // A varint can be longer than needed. The first root's bytes are the repository's identity, so there is one way
        // to write them.
        if root.encode()? != payload {
            return Err(DecodeError::Malformed("root"));
        }
        Ok(root)
    }

    /// The payload to be signed.
    ///
    /// # Errors
    /// When it makes no sense or is too large.
    pub fn encode(&self) -> Result<Vec<u8>, DecodeError> {
        self.check()?;
        to_postcard("root", self, limits::ENVELOPE_PAYLOAD)
    }

    /// Encode and sign.
    ///
    /// # Errors
    /// When it makes no sense or is too large.
    pub fn seal(&self, keys: &[&SigningKey]) -> Result<Vec<u8>, TrustError> {
        Ok(envelope::seal(Role::Root, &self.encode()?, keys)?)
    }

    /// Open a root that comes from a place that is trusted already (the card, the image): it must be signed by its
    /// own keys to its own threshold.
    ///
    /// # Errors
    /// See [`TrustError`].
    pub fn open(bytes: &[u8]) -> Result<Root, TrustError> {
        let envelope = Envelope::parse(bytes, Role::Root)?;
        // The one place where a payload is decoded before it is verified: the keys to verify with are in it.
        Head::understood(&envelope)?;
        let root = Root::decode(envelope.payload)?;
        root.check_signatures(&envelope)?;
        Ok(root)
    }

    /// The identity of the repository whose first root this is, or descends from.
    pub fn repository(&self) -> Digest {
        match self.version {
            // `verify` asks for it each time, so the keys are not checked again here. What was decoded can be written.
            1 => Digest::of(&postcard::to_allocvec(self).unwrap_or_default()),
            _ => self.head.repository,
        }
    }

    /// Whether it is past its expiry at a time, in seconds since 1970.
    pub fn is_expired(&self, now: u64) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// What must be attested of a release before a device takes it from a channel.
    pub fn demands_of<'a>(&'a self, channel: &'a str) -> impl Iterator<Item = (&'a Demand, &'a Key)> {
        let demands = self.demands.iter().filter(move |demand| demand.is_for(channel));
        demands.filter_map(|demand| Some((demand, self.key(&demand.key)?)))
    }

    /// Open the root that follows this one: signed to the thresholds of both.
    ///
    /// # Errors
    /// See [`TrustError`].
    pub fn successor(&self, bytes: &[u8]) -> Result<Root, TrustError> {
        let payload = self.verify(Role::Root, bytes)?;
        let next = Root::decode(payload)?;
        next.check_signatures(&Envelope::parse(bytes, Role::Root)?)?;
        if Some(next.version) != self.version.checked_add(1) {
            return Err(TrustError::Successor { current: self.version, found: next.version });
        }
        Ok(next)
    }

    /// The payload of a signed envelope, if enough distinct keys that this root names for the role signed it.
    ///
    /// # Errors
    /// See [`TrustError`]: the one that tells most about what is wrong.
    pub fn verify<'a>(&self, role: Role, bytes: &'a [u8]) -> Result<&'a [u8], TrustError> {
        let envelope = Envelope::parse(bytes, role)?;
        self.check_signatures(&envelope)?;
        let head = Head::understood(&envelope)?;
        let wanted = self.repository();
        if head.repository != wanted {
            return Err(TrustError::OtherRepository { role, found: head.repository, wanted });
        }
        Ok(envelope.payload)
    }

    /// Whether the keys that this root names for a channel signed it.
    ///
    /// # Errors
    /// [`TrustError::OtherChannel`] when only those of other channels did.
    pub(crate) fn verify_channel(&self, bytes: &[u8], channel: &str) -> Result<(), TrustError> {
        let envelope = Envelope::parse(bytes, Role::Channel)?;
        let named = self.channel_keys(channel);
        self.check_signatures_of(&envelope, named)
            .map_err(|_| TrustError::OtherChannel { channel: channel.into() })
    }

    /// Refuse a root that trusts demo keys.
    ///
    /// # Errors
    /// [`TrustError::DemoKey`].
    pub fn refuse_demo(&self) -> Result<(), TrustError> {
        match self.keys.iter().find(|k| k.kind == KeyKind::Demo) {
            Some(key) => Err(TrustError::DemoKey { label: key.label.clone() }),
            None => Ok(()),
        }
    }

    /// The keys of a role. Of the role `Channel`, those of the channels that no other entry names, if there are any.
    pub fn role(&self, role: Role) -> Option<&RoleKeys> {
        let role = role.keys();
        self.roles.iter().find(|r| r.role == role && r.channels.is_empty())
    }

    /// The keys of a channel.
    pub fn channel_keys(&self, channel: &str) -> Option<&RoleKeys> {
        let named = |r: &&RoleKeys| r.role == Role::Channel && r.channels.iter().any(|c| c == channel);
        self.roles.iter().find(named).or_else(|| self.role(Role::Channel))
    }

    /// A key by id.
    pub fn key(&self, id: &KeyId) -> Option<&Key> {
        self.keys.iter().find(|k| k.id() == *id)
    }

    /// Signed to the threshold of one of the role's entries.
    fn check_signatures(&self, envelope: &Envelope<'_>) -> Result<(), TrustError> {
        let named: Vec<&RoleKeys> = self.roles.iter().filter(|r| r.role == envelope.role.keys()).collect();
        let mut refused: Option<TrustError> = None;
        for entry in &named {
            match (self.check_signatures_of(envelope, Some(entry)), &refused) {
                (Ok(()), _) => return Ok(()),
                (Err(e), None) => refused = Some(e),
                // A broken signature by a right key tells more than a right one by another channel's.
                (Err(e @ TrustError::BadSignature { .. }), Some(_)) => refused = Some(e),
                (Err(_), Some(_)) => {}
            }
        }
        refused.map_or_else(|| self.check_signatures_of(envelope, None), Err)
    }

    fn check_signatures_of(
        &self,
        envelope: &Envelope<'_>,
        named: Option<&RoleKeys>,
    ) -> Result<(), TrustError> {
        let role = envelope.role;
        let mut counted: Vec<[u8; 32]> = Vec::new();
        let (mut bad, mut misplaced, mut unknown) = (None, None, None);
        for (id, signature) in envelope.signatures() {
            let Some(key) = self.key(&id) else {
                unknown.get_or_insert(TrustError::UnknownKey { role, key: id });
                continue;
            };
            if !named.is_some_and(|n| n.keys.contains(&id)) {
                misplaced.get_or_insert(TrustError::WrongRole { role, key: id, label: key.label.clone() });
                continue;
            }
            let fits = VerifyingKey::from_bytes(&key.public).is_ok_and(|k| envelope.verifies(&k, &signature));
            if !fits {
                bad.get_or_insert(TrustError::BadSignature { role, key: id });
            } else if !counted.contains(&key.public) {
                // By key, not by signature: the same one twice is one.
                counted.push(key.public);
            }
        }
        let need = named.map_or(u8::MAX, |n| n.threshold.max(1));
        let have = u8::try_from(counted.len()).unwrap_or(u8::MAX);
        if have >= need {
            return Ok(());
        }
        // What tells most first: a broken signature by the right key, a known key in the wrong place, too few.
        let few = (have > 0).then_some(TrustError::Threshold { role, have, need });
        Err(bad.or(misplaced).or(few).or(unknown).unwrap_or(TrustError::Unsigned(role)))
    }

    fn check(&self) -> Result<(), DecodeError> {
        let invalid = |problem: String| Err(DecodeError::Invalid { what: "root", problem });
        self.head.check_for("root: head", false)?;
        self.extensions.check("root")?;
        if self.keys.len() > limits::KEYS || self.roles.len() > limits::ROLES {
            return invalid("too many keys or roles".into());
        }
        if self.version == 0 {
            return invalid("versions start at 1".into());
        }
        if (self.version == 1) != (self.head.repository == Digest([0; 32])) {
            return invalid("the first root names no repository, and each later one the first's".into());
        }
        for (i, key) in self.keys.iter().enumerate() {
            if self.keys.iter().skip(i + 1).any(|k| k.public == key.public) {
                return invalid(format!("key {:.4} is there twice", key.id()));
            }
            if key.label.len() > limits::NAME {
                return invalid(format!("the label of key {:.4} is too long", key.id()));
            }
            if !is_printable(&key.label, &[]) {
                return invalid(format!(
                    "the label of key {:.4} has control characters or invisible ones",
                    key.id()
                ));
            }
            if VerifyingKey::from_bytes(&key.public).map_or(true, |k| k.is_weak()) {
                return invalid(format!("key {:.4} is not a usable Ed25519 key", key.id()));
            }
        }
        self.check_roles()?;
        self.check_demands()?;
        if self.role(Role::Root).is_none() {
            return invalid("no key may sign the next root".into());
        }
        Ok(())
    }

    fn check_roles(&self) -> Result<(), DecodeError> {
        let invalid = |problem: String| Err(DecodeError::Invalid { what: "root", problem });
        for (i, role) in self.roles.iter().enumerate() {
            let name = role.role;
            let others = || self.roles.iter().skip(i + 1).filter(|r| r.role == name);
            if !Role::IN_ROOT.contains(&name) {
                return invalid(format!("a root names no keys for {name}"));
            }
            if name != Role::Channel && !role.channels.is_empty() {
                return invalid(format!("role {name} is not about channels"));
            }
            check_channels(&role.channels)?;
            if others().any(|r| r.channels.is_empty() && role.channels.is_empty()) {
                return invalid(format!("role {name} is there twice"));
            }
            if let Some(channel) = role.channels.iter().find(|c| others().any(|r| r.channels.contains(c))) {
                return invalid(format!("channel {channel} is there twice"));
            }
            for (j, id) in role.keys.iter().enumerate() {
                if self.key(id).is_none() {
                    return invalid(format!("role {name} names key {id:.4}, which is not there"));
                }
                if role.keys.iter().skip(j + 1).any(|k| k == id) {
                    return invalid(format!("role {name} names key {id:.4} twice"));
                }
            }
            // An envelope carries a limited number of signatures: a higher threshold could never be met again.
            let most = role.keys.len().min(limits::SIGNATURES);
            if role.threshold == 0 || usize::from(role.threshold) > most {
                return invalid(format!(
                    "role {name} demands {} signatures from {} keys: 1 to {most} are possible",
                    role.threshold,
                    role.keys.len()
                ));
            }
        }
        Ok(())
    }

    fn check_demands(&self) -> Result<(), DecodeError> {
        let invalid = |problem: String| Err(DecodeError::Invalid { what: "root", problem });
        if self.demands.len() > limits::ATTESTATIONS {
            return invalid(format!("more than {} attestations are demanded", limits::ATTESTATIONS));
        }
        for (i, demand) in self.demands.iter().enumerate() {
            check_name("root: attestation", &demand.kind)?;
            check_channels(&demand.channels)?;
            if self.key(&demand.key).is_none() {
                return invalid(format!(
                    "attestation {} names key {:.4}, which is not there",
                    demand.kind, demand.key
                ));
            }
            if self.demands.iter().skip(i + 1).any(|d| d == demand) {
                return invalid(format!("attestation {} is demanded twice", demand.kind));
            }
        }
        Ok(())
    }
}

fn check_channels(channels: &[String]) -> Result<(), DecodeError> {
    let invalid = |problem: String| Err(DecodeError::Invalid { what: "root", problem });
    if channels.len() > limits::ROLE_CHANNELS {
        return invalid(format!("more than {} channels in one entry", limits::ROLE_CHANNELS));
    }
    for (i, channel) in channels.iter().enumerate() {
        check_channel_name(channel)?;
        if channels.iter().skip(i + 1).any(|c| c == channel) {
            return invalid(format!("channel {channel} is there twice"));
        }
    }
    Ok(())
}
