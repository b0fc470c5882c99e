//! How often an address may show a wrong token. A token can't be guessed; this keeps guessing from costing anything.
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

/// Wrong tokens of one address within [`WINDOW`].
const WRONG: u32 = 10;
/// How long they count.
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are remembered. A client with more of them gets as many attempts as it has addresses, and this much memory.
const ADDRESSES: usize = 1024;

/// Wrong tokens that were shown.
#[derive(Debug, Default)]
pub(super) struct Attempts(HashMap<IpAddr, Wrong>);

#[derive(Clone, Copy, Debug)]
struct Wrong {
    since: Duration,
    count: u32,
}

impl Attempts {
    /// How long an address has to wait before it may show a token again.
    pub(super) fn wait(&self, address: IpAddr, now: Duration) -> Option<Duration> {
        let wrong = self.0.get(&network(address))?;
        let over = wrong.since.saturating_add(WINDOW);
        (wrong.count >= WRONG && now < over).then(|| over.saturating_sub(now))
    }

    /// An address showed a wrong one.
    pub(super) fn wrong(&mut self, address: IpAddr, now: Duration) {
        let address = network(address);
        if !self.0.contains_key(&address) && self.0.len() >= ADDRESSES {
            self.0.retain(|_, wrong| now < wrong.since.saturating_add(WINDOW));
            if self.0.len() >= ADDRESSES
                && let Some(oldest) = self.0.iter().min_by_key(|(_, wrong)| wrong.since).map(|(of, _)| *of)
            {
                self.0.remove(&oldest);
            }
        }
        let wrong = self.0.entry(address).or_insert(Wrong { since: now, count: 0 });
        if now >= wrong.since.saturating_add(WINDOW) {
            *wrong = Wrong { since: now, count: 0 };
        }
        wrong.count = wrong.count.saturating_add(1);
    }
}

/// Of an IPv6 address, the part that a network has: the rest is its owner's to choose.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn ten_wrong_tokens_a_minute_and_then_a_pause_for_that_address() {
        let mut attempts = Attempts::default();
        let (one, other): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        for _ in 0..WRONG {
            assert_eq!(attempts.wait(one, at(5)), None);
            attempts.wrong(one, at(5));
        }
        assert_eq!(attempts.wait(one, at(6)), Some(at(59)));
        assert_eq!(attempts.wait(other, at(6)), None);
        assert_eq!(attempts.wait(one, at(65)), None, "a minute later");
        attempts.wrong(one, at(65));
        assert_eq!(attempts.wait(one, at(65)), None, "it counts anew");
    }

    #[test]
    fn addresses_of_one_network_count_together_and_memory_is_bounded() {
        let mut attempts = Attempts::default();
        for i in 0..WRONG {
            attempts.wrong(format!("2001:db8::{i:x}").parse().unwrap(), at(0));
        }
        assert!(attempts.wait("2001:db8::ffff".parse().unwrap(), at(1)).is_some());
        assert!(attempts.wait("2001:db8:0:1::".parse().unwrap(), at(1)).is_none());
        for i in 0..10_000_u32 {
            attempts.wrong(IpAddr::from((0x0a00_0000 + i).to_be_bytes()), at(2));
        }
        assert!(attempts.0.len() <= ADDRESSES);
    }
}
