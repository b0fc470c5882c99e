//! The file that a form sends (`multipart/form-data`, RFC 7578), as a stream: the first part of the body, without what is around
//! it. Nothing of it is kept but as many bytes as a delimiter has.
use axum::body::{Body, Bytes};
use hyper::body::Frame;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// Longest boundary (RFC 2046), and longest head of a part.
const BOUNDARY_MAX: usize = 70;
const HEAD_MAX: usize = 8 << 10;

/// The boundary that a Content-Type names.
pub(super) fn boundary(content_type: &str) -> Option<&str> {
    let (media, parameters) = content_type.split_once(';')?;
    if !media.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let named = parameters.split(';').filter_map(|parameter| parameter.trim().split_once('='));
    let (_, value) = named.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("boundary"))?;
    let value = value.trim().trim_matches('"');
    let letter = |b: u8| b.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&b);
    ((1..=BOUNDARY_MAX).contains(&value.len()) && value.bytes().all(letter)).then_some(value)
}

/// The first part of a body.
pub(super) struct FirstPart {
    body: Body,
    /// `\r\n--boundary`.
    delimiter: Vec<u8>,
    held: Vec<u8>,
    at: At,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Start,
    Head,
    Data,
    End,
}

impl FirstPart {
    pub(super) fn new(body: Body, boundary: &str) -> FirstPart {
        // The first delimiter begins the body: as if a line had ended before.
        FirstPart {
            body,
            delimiter: format!("\r\n--{boundary}").into(),
            held: b"\r\n".to_vec(),
            at: At::Start,
        }
    }

    /// What can be taken from the bytes that are held; `None` if more are needed.
    fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.at == At::Start {
            let begins = self.held.len() < self.delimiter.len() || self.held.starts_with(&self.delimiter);
            if !begins {
                return Err(malformed("it does not begin with its boundary"));
            }
            let after = self.delimiter.len() + 2;
            if self.held.len() < after {
                return Ok(None);
            }
            if self.held.get(after - 2..after) != Some(b"\r\n".as_slice()) {
                return Err(malformed("it has no file"));
            }
            self.held.drain(..after);
            self.at = At::Head;
        }
        if self.at == At::Head {
            let Some(end) = find(&self.held, b"\r\n\r\n") else {
                return if self.held.len() > HEAD_MAX {
                    Err(malformed("a head that is too long"))
                } else {
                    Ok(None)
                };
            };
            self.held.drain(..end + 4);
            self.at = At::Data;
        }
        if let Some(end) = find(&self.held, &self.delimiter) {
            self.held.truncate(end);
            self.at = At::End;
            return Ok(Some(std::mem::take(&mut self.held).into()));
        }
        // A delimiter may have begun.
        let sure = self.held.len().saturating_sub(self.delimiter.len() - 1);
        if sure == 0 {
            return Ok(None);
        }
        let rest = self.held.split_off(sure);
        Ok(Some(std::mem::replace(&mut self.held, rest).into()))
    }
}

impl hyper::body::Body for FirstPart {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        loop {
            if self.at == At::End {
                return Poll::Ready(None);
            }
            match self.next() {
                Ok(Some(bytes)) if bytes.is_empty() => continue,
                Ok(Some(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Ok(None) => {}
                Err(e) => return Poll::Ready(Some(Err(e))),
            }
            match ready!(Pin::new(&mut self.body).poll_frame(task)) {
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        self.held.extend_from_slice(&bytes);
                    }
                }
                Some(Err(e)) => return Poll::Ready(Some(Err(io::Error::other(e)))),
                // Never mistaken for the end of the file: the bundle would look short.
                None => return Poll::Ready(Some(Err(malformed("it ends without its boundary")))),
            }
        }
    }
}

fn malformed(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the form: {why}"))
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = bytes.get(from..)?.iter().position(|b| Some(b) == what.first()) {
        if bytes.get(from + at..)?.starts_with(what) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use proptest::prelude::*;

    fn read(chunks: Vec<Vec<u8>>) -> Result<Vec<u8>, ()> {
        let body = Body::new(Chunks(chunks.into_iter()));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let read = runtime.block_on(FirstPart::new(body, "xyz").collect());
        read.map(|whole| whole.to_bytes().to_vec()).map_err(|_| ())
    }

    struct Chunks(std::vec::IntoIter<Vec<u8>>);

    impl hyper::body::Body for Chunks {
        type Data = Bytes;
        type Error = io::Error;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
            Poll::Ready(self.0.next().map(|chunk| Ok(Frame::data(chunk.into()))))
        }
    }

    fn form(file: &[u8]) -> Vec<u8> {
        let head = "--xyz\r\nContent-Disposition: form-data; name=\"bundle\"; filename=\"a\"\r\n\r\n";
        [head.as_bytes(), file, b"\r\n--xyz--\r\n"].concat()
    }

    proptest! {
        #[test]
        fn file_comes_whole_however_the_body_is_cut(
            file in prop::collection::vec(prop::sample::select(&b"\r\n-xyz."[..]), 0..80),
            cut in 1usize..40,
        ) {
            prop_assume!(find(&file, b"\r\n--xyz").is_none());
            let chunks = form(&file).chunks(cut).map(<[u8]>::to_vec).collect();
            prop_assert_eq!(read(chunks), Ok(file));
        }

        #[test]
        fn body_that_ends_early_is_no_file(cut in 1usize..80) {
            let mut form = form(b"data");
            form.truncate(form.len().saturating_sub(4 + cut));
            prop_assert_eq!(read(vec![form]), Err(()));
        }
    }

    #[test]
    fn boundary_is_named_by_the_content_type() {
        assert_eq!(boundary("multipart/form-data; boundary=abc"), Some("abc"));
        assert_eq!(boundary("Multipart/Form-Data; charset=x; Boundary=\"a-b\""), Some("a-b"));
        for bad in [
            "multipart/form-data",
            "text/plain; boundary=a",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=a b",
        ] {
            assert_eq!(boundary(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_no_form_is_refused() {
        for bad in ["", "hello, this is no form at all", "--xyz--\r\n", "--xyz\r\nno end of a head"] {
            assert_eq!(read(vec![bad.into()]), Err(()), "{bad}");
        }
        let endless = [b"--xyz\r\n".to_vec(), vec![b'a'; HEAD_MAX + 9]].concat();
        assert_eq!(read(vec![endless]), Err(()));
    }
}
