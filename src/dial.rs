//! Which of a host's addresses is dialed: after RFC 8305, the one that answers first.
//!
//! A network that swallows what goes to one family of addresses costs a quarter of a second instead of most of the time that a
//! connection may take.
use std::{
    net::{SocketAddr, TcpStream},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};
use ureq::{
    Error,
    config::Config,
    http::Uri,
    unversioned::{
        resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver},
        transport::NextTimeout,
    },
};

/// How long an address is tried alone (RFC 8305, 5).
const HEAD_START: Duration = Duration::from_millis(250);
/// How long all of them are waited for. Then the order stays as it was.
const PATIENCE: Duration = Duration::from_secs(5);
/// Addresses that are tried.
const MOST: usize = 6;

/// Finds a host's addresses, and tries them where both families are among them.
#[derive(Debug, Default)]
pub(crate) struct Quickest(DefaultResolver);

impl Resolver for Quickest {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let found = self.0.resolve(uri, config, timeout)?;
        let tried = alternating(&found);
        if tried.iter().all(SocketAddr::is_ipv4) || tried.iter().all(SocketAddr::is_ipv6) {
            return Ok(found);
        }
        let Some(first) = race(&tried, &connect()) else { return Ok(found) };
        let mut addresses = self.empty();
        addresses.push(first);
        tried.into_iter().filter(|address| *address != first).for_each(|address| addresses.push(address));
        Ok(addresses)
    }
}

/// Whether an address can be connected to.
type Connect = Arc<dyn Fn(SocketAddr) -> bool + Send + Sync>;

fn connect() -> Connect {
    Arc::new(|address| TcpStream::connect_timeout(&address, PATIENCE).is_ok())
}

/// The families in turn, beginning with the one that the system prefers.
fn alternating(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let preferred = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut ours, mut others): (Vec<_>, Vec<_>) =
        addresses.iter().copied().partition(|address| address.is_ipv6() == preferred);
    ours.reverse();
    others.reverse();
    let mut order = Vec::new();
    while order.len() < MOST && !(ours.is_empty() && others.is_empty()) {
        order.extend(ours.pop());
        order.extend(others.pop());
    }
    order
}

/// The first address that can be connected to, each begun a head start after the one before, or when that one failed.
fn race(addresses: &[SocketAddr], connect: &Connect) -> Option<SocketAddr> {
    let (tell, hear) = mpsc::channel();
    let mut failed = 0;
    for address in addresses {
        let (tell, connect, address) = (tell.clone(), Arc::clone(connect), *address);
        // It ends by itself; what it says then is not heard any more.
        thread::spawn(move || tell.send(connect(address).then_some(address)));
        match hear.recv_timeout(HEAD_START) {
            Ok(Some(first)) => return Some(first),
            Ok(None) => failed += 1,
            Err(_) => {}
        }
    }
    while failed < addresses.len() {
        match hear.recv_timeout(PATIENCE) {
            Ok(Some(first)) => return Some(first),
            Ok(None) => failed += 1,
            Err(_) => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::TcpListener, sync::Mutex};

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn families_take_turns() {
        let six = ["[::1]:1", "[::2]:1", "[::3]:1"].map(address);
        let four = ["1.0.0.1:1", "1.0.0.2:1"].map(address);
        let all = [six.to_vec(), four.to_vec()].concat();
        assert_eq!(alternating(&all), [six[0], four[0], six[1], four[1], six[2]]);
        assert_eq!(alternating(&four), four);
        assert_eq!(alternating(&[]), []);
    }

    #[test]
    fn an_address_that_swallows_packets_costs_a_head_start() {
        let (silent, good, gone) = (address("[::1]:1"), address("1.0.0.1:1"), address("[::2]:1"));
        let begun = Arc::new(Mutex::new(Vec::new()));
        let asked = Arc::clone(&begun);
        let connect: Connect = Arc::new(move |address| {
            asked.lock().unwrap().push(address);
            if address == silent {
                thread::park_timeout(Duration::from_secs(60));
            }
            address == good
        });
        for (order, first) in [
            (vec![silent, good], Some(good)),
            (vec![good, silent], Some(good)),
            (vec![gone, good], Some(good)),
            (vec![gone], None),
            (vec![], None),
        ] {
            begun.lock().unwrap().clear();
            assert_eq!(race(&order, &connect), first, "{order:?}");
            let most = if order.first() == Some(&good) { 1 } else { order.len() };
            assert_eq!(begun.lock().unwrap().len(), most, "{order:?}");
        }
    }

    #[test]
    fn a_host_that_answers_on_one_family_only_is_reached() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let both = [address(&format!("[::1]:{port}")), address(&format!("127.0.0.1:{port}"))];
        assert_eq!(race(&both, &connect()), Some(both[1]));
    }
}
