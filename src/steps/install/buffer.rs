//! As many buffers for direct I/O as memory allows.
use crate::aligned::Buffer;
use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, Condvar, Mutex, PoisonError},
};

/// A bounded number of buffers, made when they are needed: a thread that takes one when there may be no more waits until one is
/// given back. That bounds the memory of the whole pipeline, whatever a bundle says.
#[derive(Clone, Debug)]
pub(super) struct Pool(Arc<(Mutex<Stock>, Condvar)>);

#[derive(Debug)]
struct Stock {
    free: Vec<Buffer>,
    /// How many more may be made, of that many bytes.
    unmade: usize,
    len: usize,
}

impl Pool {
    /// At most `count` buffers of `len` bytes.
    pub(super) fn new(count: usize, len: usize) -> Pool {
        let stock = Stock { free: Vec::new(), unmade: count, len };
        Pool(Arc::new((Mutex::new(stock), Condvar::new())))
    }

    /// Take one, of its full length. Comes back by itself when dropped.
    pub(super) fn take(&self, len: usize) -> Loan {
        let (lock, back) = &*self.0;
        let mut stock = lock.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let buffer = match stock.free.pop() {
                None if stock.unmade > 0 => {
                    stock.unmade -= 1;
                    Some(Buffer::new(stock.len))
                }
                given_back => given_back,
            };
            if let Some(mut buffer) = buffer {
                buffer.resize(len);
                return Loan { buffer: Some(buffer), pool: self.clone() };
            }
            stock = back.wait(stock).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A buffer on loan.
#[derive(Debug)]
pub(super) struct Loan {
    buffer: Option<Buffer>,
    pool: Pool,
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            let (lock, back) = &*self.pool.0;
            lock.lock().unwrap_or_else(PoisonError::into_inner).free.push(buffer);
            back.notify_one();
        }
    }
}

impl Deref for Loan {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.buffer.as_deref().unwrap_or_default()
    }
}

impl DerefMut for Loan {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.buffer.as_deref_mut().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aligned::ALIGN;

    #[test]
    fn buffers_are_aligned_and_come_back() {
        let pool = Pool::new(1, 10_000);
        for len in [10_000, 512, 10_000] {
            let loan = pool.take(len);
            assert_eq!(loan.len(), len);
            assert_eq!(loan.as_ptr().align_offset(ALIGN), 0);
        }
    }

    #[test]
    fn who_finds_none_waits_for_one() {
        let pool = Pool::new(1, 512);
        let first = pool.take(512);
        let other = pool.clone();
        let waiting = std::thread::spawn(move || other.take(512).len());
        drop(first);
        assert_eq!(waiting.join().unwrap(), 512);
    }
}
