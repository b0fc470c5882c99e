//! One question to a server, and where its redirects lead.
use super::{Address, Limits, answer::location, error_map};
use crate::{
    http_client::{self, Scheme},
    source::SourceError,
};
use ureq::{
    Agent, Body, Proxy,
    config::{Config, ConfigBuilder},
    http::Response,
    typestate::AgentScope,
};

/// Where other programs look for a proxy. A setting has an origin, a check and a line in `config show`.
const VARIABLES: [&str; 4] = ["https_proxy", "http_proxy", "HTTPS_PROXY", "HTTP_PROXY"];

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

/// Asks. Intact connections are used again.
pub(super) struct Client {
    limits: Limits,
    /// Without and with encryption.
    agents: [Option<Agent>; 2],
}

impl Client {
    pub(super) fn new(limits: Limits) -> Client {
        Client { limits, agents: [None, None] }
    }

    /// Made when it's needed: reading the certificates takes a while.
    fn agent(&mut self, scheme: Scheme) -> Agent {
        let [plain, encrypted] = &self.agents;
        if let Some(agent) = if scheme == Scheme::Https { encrypted } else { plain } {
            return agent.clone();
        }
        if let Some(variable) = VARIABLES.into_iter().find(|name| self.limits.proxy.is_none() && is_set(name))
        {
            log::warn!(variable, reason = "the setting source.proxy names a proxy"; "proxy_variable_ignored");
        }
        let agent = http_client::agent(http_client::trusting(self.config(), scheme).build());
        let [plain, encrypted] = &mut self.agents;
        *(if scheme == Scheme::Https { encrypted } else { plain }) = Some(agent.clone());
        agent
    }

    /// Asks through this agent, with and without encryption.
    pub(super) fn through(limits: Limits, agent: impl FnOnce(Config) -> Agent) -> Client {
        let mut client = Client::new(limits);
        let agent = agent(client.config().build());
        client.agents = [Some(agent.clone()), Some(agent)];
        client
    }

    fn config(&self) -> ConfigBuilder<AgentScope> {
        // The configuration has checked it.
        let proxy = self.limits.proxy.as_deref().and_then(|proxy| Proxy::new(proxy).ok());
        http_client::config()
            .proxy(proxy)
            .max_redirects_will_error(false)
            .user_agent(concat!("bistable/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .max_response_header_size(self.limits.header_bytes)
            .max_idle_connections(2)
            .max_idle_connections_per_host(2)
            .timeout_resolve(Some(self.limits.connect))
            .timeout_connect(Some(self.limits.connect))
            .timeout_send_request(Some(self.limits.answer))
            .timeout_recv_response(Some(self.limits.answer))
            .timeout_per_read(Some(self.limits.stall))
            .timeout_per_write(Some(self.limits.stall))
    }

    /// Ask, and follow redirects. `bytes` is how far the answer may have to be read.
    pub(super) fn get(
        &mut self,
        address: &Address,
        headers: &[(&str, String)],
        bytes: u64,
    ) -> Result<Response<Body>, SourceError> {
        let mut address = address.clone();
        for _ in 0..=self.limits.redirects {
            let longest = self.limits.rate.longest(bytes);
            let mut request = self.agent(address.scheme).get(address.with_query());
            for (name, value) in headers {
                request = request.header(*name, value);
            }
            let response = request.config().timeout_recv_body(Some(longest)).build().call();
            let response = response.map_err(|e| error_map::of(e, &address, None))?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(response);
            }
            let next = after_redirect(&address, location(response.headers()))?;
            address = next;
        }
        Err(SourceError::Protocol { at: address.to_string(), problem: "too many redirects".into() })
    }
}

/// Where a redirect leads, if it may be followed.
fn after_redirect(from: &Address, location: Option<&str>) -> Result<Address, SourceError> {
    let wrong = |problem: String| SourceError::Protocol { at: from.to_string(), problem };
    let to = location.ok_or_else(|| wrong("a redirect to nowhere".into()))?;
    let next = from.follow(to).map_err(|e| wrong(format!("a redirect to nowhere: {e}")))?;
    if (from.scheme, next.scheme) == (Scheme::Https, Scheme::Http) {
        return Err(wrong("a redirect from https to http, which is not followed".into()));
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_never_lead_out_of_encryption() {
        let to = |from: &str, location| after_redirect(&Address::parse(from).unwrap(), location);
        assert_eq!(to("http://h/a", Some("https://h/b")).unwrap().to_string(), "https://h/b");
        assert_eq!(to("https://h/a", Some("//g/b")).unwrap().to_string(), "https://g/b");
        for (from, location) in [
            ("https://h/a", Some("http://h/a")),
            ("https://h/a", Some("HTTP://h/a")),
            ("https://h/a", Some("ftp://h/a")),
            ("http://h/a", None),
        ] {
            let refused = to(from, location);
            assert!(matches!(refused, Err(SourceError::Protocol { .. })), "{location:?}: {refused:?}");
        }
    }
}
