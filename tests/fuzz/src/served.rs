//! A web server without a network: what it answers is the input.
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};
use ureq::{Agent, Error};

/// Answers, one for each connection, again and again.
#[derive(Clone, Debug)]
pub struct Served(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    answers: VecDeque<Vec<u8>>,
    connections: usize,
    bytes: usize,
}

impl Served {
    pub fn new(answers: impl Iterator<Item = Vec<u8>>) -> Served {
        Served(Arc::new(Mutex::new(State { answers: answers.collect(), connections: 0, bytes: 0 })))
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.0.lock().unwrap().connections
    }

    /// Bytes on all of them.
    pub fn bytes(&self) -> usize {
        self.0.lock().unwrap().bytes
    }
}

/// An agent that reaches this server, and nothing else, by whatever address.
pub fn agent(config: Config, served: &Served) -> Agent {
    Agent::with_parts(config, served.clone(), Here)
}

#[derive(Debug)]
struct Here;

impl Resolver for Here {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let mut found = self.empty();
        found.push(SocketAddr::from((Ipv4Addr::LOCALHOST, 80)));
        Ok(found)
    }
}

impl<In: Transport> Connector<In> for Served {
    type Out = Wire;

    fn connect(&self, details: &ConnectionDetails, _: Option<In>) -> Result<Option<Wire>, Error> {
        let mut state = self.0.lock().unwrap();
        let answer = state.answers.pop_front().unwrap_or_default();
        state.answers.push_back(answer.clone());
        state.connections += 1;
        state.bytes += answer.len();
        let (input, output) = (details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Wire { left: answer.into(), buffers: LazyBuffers::new(input, output) }))
    }
}

#[derive(Debug)]
pub struct Wire {
    left: VecDeque<u8>,
    buffers: LazyBuffers,
}

impl Transport for Wire {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, _: usize, _: NextTimeout) -> Result<(), Error> {
        Ok(())
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
        let into = self.buffers.input_append_buf();
        let len = into.len().min(self.left.len());
        for (to, from) in into.iter_mut().zip(self.left.drain(..len)) {
            *to = from;
        }
        self.buffers.input_appended(len);
        Ok(len > 0)
    }

    fn is_open(&mut self) -> bool {
        !self.left.is_empty()
    }
}
