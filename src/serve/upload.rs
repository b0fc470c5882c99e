//! `POST /v1/bundles`: a body that is installed while it comes. Nothing of it is kept beside the slot that it is written into.
//!
//! The agent reads from a channel that holds a few pieces, so a client is as fast as the card. It never waits for a client without
//! an end: what a client still owes comes within its time, or the agent is told that it won't come. Then the slot stays half
//! written, as after `bistable install -` whose input broke off, and the same bundle resumes it.
use super::{
    acts, answer,
    context::Context,
    gate::Visitor,
    problem::{Kind, Problem},
};
use crate::app::{BundleStream, From, Job, JobState, Request, SCHEMA, Wanted};
use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, header},
    response::Response,
};
use http_body_util::BodyExt;
use std::{
    io::{self, Read},
    sync::Arc,
};
use tokio::{
    sync::mpsc::{Receiver, Sender, channel},
    time::{Instant, sleep, timeout},
};

/// What a bundle is sent as.
const MEDIA_TYPE: &str = "application/octet-stream";
/// Pieces of a body that wait for the agent.
const PIECES: usize = 4;

/// What the agent is given, piece by piece.
enum Piece {
    Bytes(Bytes),
    /// All of it came.
    End,
    /// The rest won't come.
    Lost(String),
}

/// Take a bundle, and answer when it is installed or not.
pub(super) async fn take(
    context: &Arc<Context>,
    headers: &HeaderMap,
    body: Body,
    visitor: &Visitor,
) -> Result<Response, Problem> {
    is_a_bundle(headers)?;
    if hyper::body::Body::is_end_stream(&body) {
        return Err(Problem::new(Kind::Malformed, "the body is empty; a bundle is expected"));
    }
    let (sender, receiver) = channel(PIECES);
    let wanted = Wanted { from: From::Bundle("-".into()), ..Wanted::default() };
    let request = Request::Install(wanted);
    let by = acts::asker(visitor)?;
    let bundle = BundleStream::new(Pieces { receiver, rest: Bytes::new(), ended: false });
    let job = context
        .call(move |backend| {
            acts::admits(backend, &by, &request)?;
            backend.ask(request, by, Some(bundle)).map_err(Problem::from)
        })
        .await??;
    let mut body = body;
    let answered = match send(context, &job.id, &mut body, sender).await {
        Ok(()) => ended(context, &job.id).await.and_then(|job| outcome(&job)),
        Err(problem) => Err(problem),
    };
    // A client that still sends may not see the answer if the connection just closes.
    let rest = async { while let Some(Ok(_)) = body.frame().await {} };
    let _ = timeout(context.limits.farewell, rest).await;
    answered
}

fn is_a_bundle(headers: &HeaderMap) -> Result<(), Problem> {
    let named = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or("not ASCII"));
    let media = named.map(|named| named.split(';').next().unwrap_or_default().trim());
    if media.is_some_and(|media| !media.eq_ignore_ascii_case(MEDIA_TYPE)) {
        let detail = format!("Content-Type is {:?}; {MEDIA_TYPE} is expected", named.unwrap_or_default());
        return Err(Problem::new(Kind::NotABundle, detail));
    }
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(Problem::new(Kind::NotABundle, "a bundle with a Content-Encoding is not accepted"));
    }
    Ok(())
}

/// Send the body on, piece by piece, until it or the job ends.
async fn send(context: &Context, job: &str, body: &mut Body, sender: Sender<Piece>) -> Result<(), Problem> {
    let (mut owed, mut waited) = (context.limits.upload_bytes, std::time::Duration::ZERO);
    loop {
        // Only time in which the client owes something counts, not what the card needs.
        let left = context.limits.patience_of_upload.saturating_sub(waited);
        let began = Instant::now();
        let piece = match timeout(left, body.frame()).await {
            Ok(None) => Piece::End,
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(bytes) => {
                    waited += began.elapsed();
                    owed = owed.saturating_sub(bytes.len());
                    if owed == 0 {
                        (owed, waited) = (context.limits.upload_bytes, std::time::Duration::ZERO);
                    }
                    Piece::Bytes(bytes)
                }
                // Trailers.
                Err(_) => continue,
            },
            Ok(Some(Err(e))) => Piece::Lost(format!("the connection broke off: {e}")),
            Err(_) => {
                let (bytes, seconds) =
                    (context.limits.upload_bytes, context.limits.patience_of_upload.as_secs());
                Piece::Lost(format!("less than {bytes} bytes came within {seconds} s"))
            }
        };
        let is_last = !matches!(piece, Piece::Bytes(_));
        if !hand_over(context, job, &sender, piece).await? {
            // The agent has decided without the rest.
            return Ok(());
        }
        if is_last {
            return Ok(());
        }
    }
}

/// Whether the agent still takes something. A job that does not get its turn is taken back.
async fn hand_over(
    context: &Context,
    job: &str,
    sender: &Sender<Piece>,
    piece: Piece,
) -> Result<bool, Problem> {
    loop {
        match timeout(context.limits.patience_of_upload, sender.reserve()).await {
            Ok(Ok(place)) => {
                place.send(piece);
                return Ok(true);
            }
            Ok(Err(_)) => return Ok(false),
            Err(_) => {
                let id = job.to_owned();
                let waits = context.backend.job(job).is_some_and(|job| job.state == JobState::Queued);
                if waits && context.call(move |backend| backend.cancel(&id)).await?.is_ok() {
                    let detail = "another job is being done: send the bundle again later";
                    return Err(Problem::new(Kind::Busy, detail));
                }
            }
        }
    }
}

/// The job, once nothing more happens to it.
async fn ended(context: &Context, id: &str) -> Result<Job, Problem> {
    loop {
        match context.backend.job(id) {
            Some(job) if job.state.is_final() => return Ok(job),
            Some(_) => sleep(context.limits.poll).await,
            None => return Err(Problem::new(Kind::NotFound, format!("job {id} is forgotten"))),
        }
    }
}

/// 200 with the job if all is well; else a problem whose `report` is what the command line prints.
fn outcome(job: &Job) -> Result<Response, Problem> {
    if job.state != JobState::Ended {
        let detail =
            format!("job {} did not come to its end: `bistable status` shows how far it came", job.id);
        return Err(Problem::new(Kind::NotInstalled, detail));
    }
    match &job.outcome {
        Some(outcome) if outcome.exit != 0 => {
            let detail = outcome.error.clone().unwrap_or_else(|| "no reason is known".into());
            Err(Problem::new(Kind::NotInstalled, detail).with(outcome.code, outcome.answer.clone()))
        }
        _ => Ok(acts::with_location(answer::json(&answer::OneJob { schema: SCHEMA, job: job.clone() }), job)),
    }
}

/// The pieces as the agent reads them, on its own thread.
struct Pieces {
    receiver: Receiver<Piece>,
    rest: Bytes,
    ended: bool,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() && !self.ended {
            match self.receiver.blocking_recv() {
                Some(Piece::Bytes(bytes)) => self.rest = bytes,
                Some(Piece::End) => self.ended = true,
                Some(Piece::Lost(why)) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why)),
                // Whoever sent it has gone, and its connection with it.
                None => {
                    let why = "the connection broke off before all of the bundle came";
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
                }
            }
        }
        let bytes = self.rest.len().min(into.len());
        into[..bytes].copy_from_slice(&self.rest.split_to(bytes));
        Ok(bytes)
    }
}
