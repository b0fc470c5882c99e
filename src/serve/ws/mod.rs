//! `GET /v1/ws`: a conversation over WebSocket. A client says what it wants, each message with an id; answers repeat the id.
//!
//! It goes through the same gate as HTTP, message by message: a token that is removed gets nothing more. What is asked for is the same
//! [`Request`](crate::app::Request), by the same rules. A client without a header for a token, as a browser's script is, says it in its
//! first message. A conversation has a place of the [connections](super::Limits::connections) until its end, and ends when its client
//! is silent, slow, or breaks the protocol.
//!
//! | file | noun |
//! |---|---|
//! | `frame` | frames, as bytes |
//! | `handshake` | how a conversation begins |
//! | `message` | what is said |
//! | `session` | a conversation, from its handshake to its end |
//! | `stay` | keeps a connection's place |
mod frame;
mod handshake;
mod message;
mod session;
mod stay;

#[cfg(test)]
pub(super) use frame::tests::masked;
pub(super) use handshake::is_asked_for;
pub(super) use session::open;
pub(super) use stay::{Stay, until_left};

/// What a close frame of ours looks like that refuses a token: the web page's process counts these. It is the last thing that is sent.
pub(super) const REFUSED_TOKEN: [u8; 4] = {
    let [high, low] = frame::Status::Token.code().to_be_bytes();
    [0x88, 2, high, low]
};

/// What a message asks for, for the table of all ways.
#[cfg(test)]
pub(crate) fn asked(text: &str) -> Option<crate::app::Request> {
    match message::Message::read(text).asks {
        Ok(message::Subject::Act { request, .. }) => Some(request),
        Ok(message::Subject::Status) => Some(crate::app::Request::Status),
        _ => None,
    }
}
