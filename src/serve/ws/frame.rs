//! Frames as RFC 6455 has them, on the server's side: bytes in, messages out. Pure.
//!
//! The libraries for this bring a client's side along, with its random masks and a second SHA-1 and base64: seventeen crates. What a
//! server needs of the protocol is this page.
use std::fmt;

/// A control frame carries no more.
const CONTROL_MAX: usize = 125;

/// What a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    /// A whole message.
    Text(String),
    /// To be sent back.
    Ping(Vec<u8>),
    /// It lives.
    Pong,
    /// It ends the conversation.
    Close,
}

/// Why a conversation ends: the status of a close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// All is said.
    Normal,
    /// The daemon goes down.
    Away,
    /// The bytes break the protocol.
    Protocol,
    /// A message that is not text.
    Unsupported,
    /// Text that is not UTF-8.
    NotText,
    /// The peer is too slow.
    Policy,
    /// A message that is too large.
    TooLarge,
    /// No token, or one that is not known. From 4000 on, codes are an application's.
    Token,
}

impl Status {
    pub(super) const fn code(self) -> u16 {
        match self {
            Status::Normal => 1000,
            Status::Away => 1001,
            Status::Protocol => 1002,
            Status::Unsupported => 1003,
            Status::NotText => 1007,
            Status::Policy => 1008,
            Status::TooLarge => 1009,
            Status::Token => 4401,
        }
    }
}

/// Bytes that no message can follow from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) status: Status,
    pub(super) why: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.why)
    }
}

const fn broken(why: &'static str) -> Violation {
    Violation { status: Status::Protocol, why }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opcode {
    Continuation,
    Text,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    fn of(bits: u8) -> Result<Opcode, Violation> {
        match bits {
            0 => Ok(Opcode::Continuation),
            1 => Ok(Opcode::Text),
            2 => Err(Violation { status: Status::Unsupported, why: "a message must be text" }),
            8 => Ok(Opcode::Close),
            9 => Ok(Opcode::Ping),
            10 => Ok(Opcode::Pong),
            _ => Err(broken("a frame has an opcode that is reserved")),
        }
    }

    const fn bits(self) -> u8 {
        match self {
            Opcode::Continuation => 0,
            Opcode::Text => 1,
            Opcode::Close => 8,
            Opcode::Ping => 9,
            Opcode::Pong => 10,
        }
    }

    const fn is_control(self) -> bool {
        matches!(self, Opcode::Close | Opcode::Ping | Opcode::Pong)
    }
}

/// The head of a frame.
#[derive(Clone, Copy, Debug)]
struct Head {
    is_last: bool,
    opcode: Opcode,
    mask: [u8; 4],
    /// Bytes of the head, and of what follows it.
    bytes: usize,
    payload: usize,
}

impl Head {
    /// `None` while it has not come as a whole. What is wrong is refused before the bytes that it announces have come.
    fn read(bytes: &[u8], limit: usize) -> Result<Option<Head>, Violation> {
        let &[first, second, ..] = bytes else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(broken("a frame uses an extension that was not agreed on"));
        }
        let (is_last, opcode) = (first & 0x80 != 0, Opcode::of(first & 0x0f)?);
        if second & 0x80 == 0 {
            return Err(broken("a client's frames must be masked"));
        }
        let short = usize::from(second & 0x7f);
        if opcode.is_control() && (short > CONTROL_MAX || !is_last) {
            return Err(broken("a control frame is too long or in pieces"));
        }
        let rest = &bytes[2..];
        let (length, used) = match short {
            126 => {
                let Some(length) = rest.first_chunk::<2>() else { return Ok(None) };
                (u64::from(u16::from_be_bytes(*length)), 2)
            }
            127 => {
                let Some(length) = rest.first_chunk::<8>() else { return Ok(None) };
                (u64::from_be_bytes(*length), 8)
            }
            short => (short as u64, 0),
        };
        let payload = match usize::try_from(length) {
            Ok(payload) if opcode.is_control() || payload <= limit => payload,
            _ => return Err(Violation { status: Status::TooLarge, why: "the message is too large" }),
        };
        let Some(mask) = rest[used..].first_chunk::<4>() else { return Ok(None) };
        Ok(Some(Head { is_last, opcode, mask: *mask, bytes: 2 + used + 4, payload }))
    }
}

/// Makes messages of a client's bytes. It holds one message and one frame at most.
#[derive(Debug)]
pub(super) struct Decoder {
    /// Bytes of all frames of one message.
    limit: usize,
    bytes: Vec<u8>,
    /// The pieces of a message so far.
    message: Option<Vec<u8>>,
}

impl Decoder {
    pub(super) fn new(limit: usize) -> Decoder {
        Decoder { limit, bytes: Vec::new(), message: None }
    }

    /// Bytes that came.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether something has begun that did not come as a whole.
    pub(super) fn is_within(&self) -> bool {
        self.message.is_some() || !self.bytes.is_empty()
    }

    /// What came next, if it came as a whole.
    ///
    /// # Errors
    /// [`Violation`]: nothing can be read after it.
    pub(super) fn next(&mut self) -> Result<Option<Incoming>, Violation> {
        loop {
            let left = self.limit - self.message.as_ref().map_or(0, Vec::len);
            let Some(head) = Head::read(&self.bytes, left)? else { return Ok(None) };
            let end = head.bytes + head.payload;
            let Some(masked) = self.bytes.get(head.bytes..end) else { return Ok(None) };
            let payload: Vec<u8> =
                masked.iter().zip(head.mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
            self.bytes.drain(..end);
            match head.opcode {
                Opcode::Ping => return Ok(Some(Incoming::Ping(payload))),
                Opcode::Pong => return Ok(Some(Incoming::Pong)),
                Opcode::Close => return Ok(Some(Incoming::Close)),
                Opcode::Text if self.message.is_some() => {
                    return Err(broken("a message begins before the one before it ended"));
                }
                Opcode::Continuation if self.message.is_none() => {
                    return Err(broken("a frame continues a message that did not begin"));
                }
                Opcode::Text | Opcode::Continuation => {
                    let mut message = self.message.take().unwrap_or_default();
                    message.extend_from_slice(&payload);
                    if !head.is_last {
                        self.message = Some(message);
                        continue;
                    }
                    let text = String::from_utf8(message).map_err(|_| Violation {
                        status: Status::NotText,
                        why: "the message is not UTF-8",
                    })?;
                    return Ok(Some(Incoming::Text(text)));
                }
            }
        }
    }
}

/// A message as a frame.
pub(super) fn text(text: &str) -> Vec<u8> {
    frame(Opcode::Text, text.as_bytes())
}

/// Asks whether the client lives.
pub(super) fn ping() -> Vec<u8> {
    frame(Opcode::Ping, &[])
}

/// The answer to a ping.
pub(super) fn pong(payload: &[u8]) -> Vec<u8> {
    frame(Opcode::Pong, payload)
}

/// The last frame.
pub(super) fn close(status: Status) -> Vec<u8> {
    frame(Opcode::Close, &status.code().to_be_bytes())
}

fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode.bits()];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ 0..=125), _) => frame.push(short),
        (_, Ok(length)) => {
            frame.push(126);
            frame.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

#[cfg(test)]
pub(in crate::serve) mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: usize = 1000;

    /// A client's frame.
    pub(in crate::serve) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        let mut frame = vec![first];
        match payload.len() {
            short @ 0..=125 => frame.push(0x80 | u8::try_from(short).unwrap()),
            length @ 126..=0xffff => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
            }
            length => {
                frame.push(0x80 | 127);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }

    fn all(decoder: &mut Decoder) -> Result<Vec<Incoming>, Violation> {
        let mut found = Vec::new();
        while let Some(incoming) = decoder.next()? {
            found.push(incoming);
        }
        Ok(found)
    }

    fn decode(bytes: &[u8]) -> Result<Vec<Incoming>, Violation> {
        let mut decoder = Decoder::new(LIMIT);
        decoder.feed(bytes);
        all(&mut decoder)
    }

    /// The examples of RFC 6455, section 5.7.
    #[test]
    fn frames_of_the_standard() {
        let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        assert_eq!(decode(&hello).unwrap(), [Incoming::Text("Hello".into())]);
        let ping = [0x89, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        assert_eq!(decode(&ping).unwrap(), [Incoming::Ping(b"Hello".into())]);
        assert_eq!(text("Hello"), b"\x81\x05Hello");
        assert_eq!(pong(b"Hello"), b"\x8a\x05Hello");
        assert_eq!(close(Status::Normal), [0x88, 2, 0x03, 0xe8]);
        assert_eq!(text(&"x".repeat(256))[..4], [0x81, 126, 1, 0]);
        assert_eq!(text(&"x".repeat(65536))[..10], [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn control_frames_come_between_the_pieces_of_a_message() {
        let bytes = [
            masked(0x01, "gr\u{fc}".as_bytes()),
            masked(0x89, b"?"),
            masked(0x00, b""),
            masked(0x8a, b""),
            masked(0x80, b"n"),
            masked(0x88, b""),
        ];
        let expected = [
            Incoming::Ping(b"?".into()),
            Incoming::Pong,
            Incoming::Text("gr\u{fc}n".into()),
            Incoming::Close,
        ];
        assert_eq!(decode(&bytes.concat()).unwrap(), expected);
    }

    #[test]
    fn what_breaks_the_protocol_is_refused_at_its_first_bytes() {
        let huge = [0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        let pieces = [masked(0x01, &[b'x'; 600]), masked(0x00, &[b'x'; 401])].concat();
        for (what, bytes, status) in [
            ("not masked", b"\x81\x05Hello".to_vec(), Status::Protocol),
            ("a reserved bit", masked(0xc1, b"x"), Status::Protocol),
            ("a reserved opcode", masked(0x83, b"x"), Status::Protocol),
            ("a reserved control opcode", masked(0x8b, b"x"), Status::Protocol),
            ("binary", masked(0x82, b"x"), Status::Unsupported),
            ("a ping in pieces", masked(0x09, b"x"), Status::Protocol),
            ("a long ping", masked(0x89, &[0; 126]), Status::Protocol),
            ("a piece of nothing", masked(0x80, b"x"), Status::Protocol),
            ("two messages at once", [masked(0x01, b"x"), masked(0x81, b"y")].concat(), Status::Protocol),
            ("not UTF-8", masked(0x81, &[0xff]), Status::NotText),
            ("one byte too many", masked(0x81, &[b'x'; LIMIT + 1])[..8].to_vec(), Status::TooLarge),
            ("2^63 bytes", huge.to_vec(), Status::TooLarge),
            ("too many in pieces", pieces, Status::TooLarge),
        ] {
            assert_eq!(decode(&bytes).map_err(|violation| violation.status), Err(status), "{what}");
        }
        assert_eq!(decode(&masked(0x81, &[b'x'; LIMIT])).unwrap().len(), 1);
    }

    proptest! {
        #[test]
        fn messages_are_the_same_however_their_bytes_come(
            messages in prop::collection::vec("\\PC{0,200}", 1..6), cuts in prop::collection::vec(1..40_usize, 1..20),
        ) {
            let bytes: Vec<u8> = messages.iter().flat_map(|text| masked(0x81, text.as_bytes())).collect();
            let (mut decoder, mut found, mut rest) = (Decoder::new(LIMIT), Vec::new(), &bytes[..]);
            for cut in cuts.iter().cycle() {
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                decoder.feed(now);
                found.extend(all(&mut decoder).unwrap());
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert!(!decoder.is_within());
            prop_assert_eq!(found, messages.into_iter().map(Incoming::Text).collect::<Vec<_>>());
        }

        #[test]
        fn any_bytes_are_messages_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = Decoder::new(LIMIT);
            decoder.feed(&bytes);
            let _ = all(&mut decoder);
            prop_assert!(decoder.message.as_ref().is_none_or(|message| message.len() <= LIMIT));
        }
    }
}
