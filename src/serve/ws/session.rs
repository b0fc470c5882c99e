//! A conversation, from its handshake to its end.
use super::{
    frame::{self, Decoder, Incoming, Status},
    handshake,
    message::{Ended, Id, Message, Subject, event, refused, said, told},
    stay::Stay,
};
use crate::{
    app::Request,
    events::Filter,
    serve::{
        acts, answer,
        context::Context,
        feed,
        gate::{self, Entrance, Peer, Visitor},
        problem::{Kind, Problem},
        repeats::Key,
    },
};
use axum::{http::request::Parts, response::Response};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split},
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep_until, timeout},
};

/// Bytes that are read at once.
const PIECE: usize = 4 << 10;
/// Jobs whose end a client waits for at once: as many as may wait in the queue.
const JOBS: usize = 16;

/// Begin a conversation.
pub(in crate::serve) async fn open(
    context: &Arc<Context>,
    peer: Peer,
    head: &mut Parts,
) -> Result<Response, Problem> {
    let response = handshake::answer(head)?;
    let token = gate::shown(&head.headers)?;
    let is_in = match gate::visitor(context, peer, token.as_deref()).await {
        Ok(_) => true,
        // It may say it in its first message.
        Err(_) if token.is_none() && peer.entrance == Entrance::Token => false,
        Err(problem) => return Err(problem),
    };
    let upgrade = head.extensions.remove::<OnUpgrade>();
    let upgrade = upgrade.ok_or_else(|| Problem::new(Kind::Upgrade, "this connection stays HTTP"))?;
    let (context, stay) = (Arc::clone(context), head.extensions.remove::<Stay>());
    tokio::spawn(async move {
        let _stay = stay;
        match upgrade.await {
            Ok(upgraded) => Session::new(context, peer, token, is_in, upgraded).run().await,
            Err(e) => log::debug!(reason:% = e; "ws_not_begun"),
        }
    });
    Ok(response)
}

/// Why a conversation ends.
enum End {
    /// The peer has gone.
    Gone,
    /// We end it.
    Close(Status),
}

struct Session {
    context: Arc<Context>,
    peer: Peer,
    token: Option<String>,
    /// Whether whoever asks has been let in.
    is_in: bool,
    reader: ReadHalf<TokioIo<Upgraded>>,
    writer: WriteHalf<TokioIo<Upgraded>>,
    decoder: Decoder,
    began: Instant,
    /// When the last whole message came.
    heard: Instant,
    pinged: bool,
    /// Since when a message has been coming.
    within: Option<Instant>,
    jobs: Vec<Waits>,
    follows: Option<Follows>,
    /// When jobs and events are looked at next.
    look: Instant,
}

/// A job whose end a client waits for.
struct Waits {
    id: Id,
    job: String,
    request: Request,
}

/// Events that a client wants.
struct Follows {
    id: Id,
    filter: Filter,
    /// Whether it has got all that was there once.
    is_live: bool,
    is_behind: bool,
    _place: OwnedSemaphorePermit,
}

impl Session {
    fn new(
        context: Arc<Context>,
        peer: Peer,
        token: Option<String>,
        is_in: bool,
        upgraded: Upgraded,
    ) -> Session {
        let (reader, writer) = split(TokioIo::new(upgraded));
        let (now, limit) = (Instant::now(), context.limits.message);
        Session {
            context,
            peer,
            token,
            is_in,
            reader,
            writer,
            decoder: Decoder::new(limit),
            began: now,
            heard: now,
            pinged: false,
            within: None,
            jobs: Vec::new(),
            follows: None,
            look: now,
        }
    }

    async fn run(mut self) {
        let End::Close(status) = self.talk().await else { return };
        // It may not be there any more.
        if self.write(&frame::close(status)).await.is_err() {
            return;
        }
        let _ = self.writer.shutdown().await;
        // What it still sends is read, or the end might overtake what was said last.
        let rest = async {
            let mut piece = [0; PIECE];
            while matches!(self.reader.read(&mut piece).await, Ok(bytes) if bytes > 0) {}
        };
        let _ = timeout(self.context.limits.farewell, rest).await;
    }

    async fn talk(&mut self) -> End {
        let mut stopped = self.context.stopped.clone();
        loop {
            let wake = self.wake();
            let mut piece = [0; PIECE];
            let done = tokio::select! {
                biased;
                () = stopped.wait() => {
                    // The machine may go down because of what was asked for.
                    let _ = self.ended_jobs().await;
                    return End::Close(Status::Away);
                }
                read = self.reader.read(&mut piece) => match read {
                    Ok(0) | Err(_) => return End::Gone,
                    Ok(bytes) => self.came(&piece[..bytes]).await,
                },
                () = sleep_until(wake) => self.woke().await,
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    /// When something has to be done although nothing comes.
    fn wake(&self) -> Instant {
        let limits = &self.context.limits;
        let silent = if self.pinged { limits.idle } else { limits.idle / 2 };
        let mut wake = self.heard + silent;
        if !self.is_in {
            wake = wake.min(self.began + limits.sign_in);
        }
        if let Some(within) = self.within {
            wake = wake.min(within + limits.patience);
        }
        if self.follows.is_some() || !self.jobs.is_empty() {
            wake = wake.min(self.look);
        }
        wake
    }

    async fn woke(&mut self) -> Result<(), End> {
        let (now, limits) = (Instant::now(), self.context.limits);
        if !self.is_in && now >= self.began + limits.sign_in {
            let seconds = limits.sign_in.as_secs();
            let problem = Problem::new(Kind::Token, format!("no token came within {seconds} s"));
            self.say(&refused(&Id::default(), &problem)).await?;
            // It showed no wrong one.
            return Err(End::Close(Status::Policy));
        }
        if self.within.is_some_and(|within| now >= within + limits.patience)
            || now >= self.heard + limits.idle
        {
            return Err(End::Close(Status::Policy));
        }
        if !self.pinged && now >= self.heard + limits.idle / 2 {
            self.pinged = true;
            self.write(&frame::ping()).await?;
        }
        if now >= self.look {
            self.look().await?;
        }
        Ok(())
    }

    async fn came(&mut self, bytes: &[u8]) -> Result<(), End> {
        self.decoder.feed(bytes);
        loop {
            let incoming = match self.decoder.next() {
                Ok(Some(incoming)) => incoming,
                Ok(None) => break,
                Err(violation) => {
                    log::debug!(reason:% = violation; "ws_protocol");
                    return Err(End::Close(violation.status));
                }
            };
            (self.heard, self.pinged, self.within) = (Instant::now(), false, None);
            match incoming {
                Incoming::Text(text) => self.message(&text).await?,
                Incoming::Ping(payload) => self.write(&frame::pong(&payload)).await?,
                Incoming::Pong => {}
                Incoming::Close => return Err(End::Close(Status::Normal)),
            }
        }
        self.within = self.decoder.is_within().then(|| self.within.unwrap_or_else(Instant::now));
        Ok(())
    }

    async fn message(&mut self, text: &str) -> Result<(), End> {
        let Message { id, asks } = Message::read(text);
        match asks {
            Ok(Subject::Auth { token }) => self.sign_in(&id, token).await,
            _ if !self.is_in => {
                let problem = Problem::new(Kind::Token, "the first message must be `auth` with a token");
                self.turn_out(&id, &problem).await
            }
            Ok(subject) => {
                // Whoever was let in may not be any more.
                let visitor = match self.visitor().await {
                    Ok(visitor) => visitor,
                    Err(problem) => return self.turn_out(&id, &problem).await,
                };
                match self.answer(&id, subject, &visitor).await {
                    Ok(answer) => self.say(&answer).await,
                    Err(problem) => self.say(&refused(&id, &problem)).await,
                }
            }
            Err(problem) => self.say(&refused(&id, &problem)).await,
        }
    }

    /// A browser shows what it knows of a page in each head already: the token of the message takes the place of that.
    async fn sign_in(&mut self, id: &Id, token: String) -> Result<(), End> {
        match gate::visitor(&self.context, self.peer, Some(&token)).await {
            Ok(visitor) => {
                (self.token, self.is_in) = (Some(token), true);
                let body =
                    json!({ "success": true, "token": visitor.by.token, "scope": visitor.scope().name() });
                self.say(&told("auth_result", id, &body)).await
            }
            Err(problem) => self.turn_out(id, &problem).await,
        }
    }

    // A connection is moved between threads, and not shared.
    async fn visitor(&mut self) -> Result<Visitor, Problem> {
        gate::visitor(&self.context, self.peer, self.token.as_deref()).await
    }

    /// Say why, and end it.
    async fn turn_out(&mut self, id: &Id, problem: &Problem) -> Result<(), End> {
        self.say(&refused(id, problem)).await?;
        Err(End::Close(Status::Token))
    }

    async fn answer(&mut self, id: &Id, subject: Subject, visitor: &Visitor) -> Result<String, Problem> {
        visitor.needs(subject.needs())?;
        match subject {
            // It is dealt with before.
            Subject::Auth { .. } => Err(Problem::new(Kind::Malformed, "`auth` is a message of its own")),
            Subject::Status => {
                let status = answer::status(&self.context).await?;
                Ok(said("status_result", id, &String::from_utf8_lossy(&status)))
            }
            Subject::Act { request, key } => {
                if self.jobs.len() >= JOBS {
                    return Err(Problem::new(
                        Kind::Busy,
                        format!("{JOBS} jobs of this client are not done yet"),
                    ));
                }
                let key = key.map(|key| Key::new(&key, &visitor.by)).transpose()?;
                let job = acts::ask(&self.context, request.clone(), key, visitor).await?;
                let accepted = told(&accepted(&request), id, &json!({ "job": job.id, "state": job.state }));
                self.jobs.push(Waits { id: id.clone(), job: job.id, request });
                self.look = Instant::now();
                Ok(accepted)
            }
            Subject::Subscribe(filter) => {
                // Another subscription takes the place of the one before.
                self.follows = None;
                let place = feed::place(&self.context)?;
                let subscribed = told("events.subscribed", id, &json!({ "after": filter.after }));
                let (is_live, is_behind) = (false, false);
                self.follows = Some(Follows { id: id.clone(), filter, is_live, is_behind, _place: place });
                self.look = Instant::now();
                Ok(subscribed)
            }
        }
    }

    /// Look what became of what the client waits for.
    async fn look(&mut self) -> Result<(), End> {
        if let Err(problem) = self.visitor().await {
            return self.turn_out(&Id::default(), &problem).await;
        }
        self.ended_jobs().await?;
        let has_more = self.events().await?;
        self.look = Instant::now() + if has_more { Duration::ZERO } else { self.context.limits.poll };
        Ok(())
    }

    async fn ended_jobs(&mut self) -> Result<(), End> {
        for waits in std::mem::take(&mut self.jobs) {
            let Waits { id, job, request } = &waits;
            match self.context.backend.job(job) {
                Some(job) if job.state.is_final() => {
                    self.say(&told(&result(request), id, &Ended::of(&job, request))).await?;
                }
                Some(_) => self.jobs.push(waits),
                None => {
                    let problem = Problem::new(Kind::NotFound, format!("job {job} is forgotten"));
                    self.say(&refused(id, &problem)).await?;
                }
            }
        }
        Ok(())
    }

    /// Say the next events, as many as are read at once. Gives whether there may be more. A client that doesn't keep up is told so; it
    /// gets what it missed from the log, as fast as it takes it.
    async fn events(&mut self) -> Result<bool, End> {
        let Some(follows) = &mut self.follows else { return Ok(false) };
        let asked = follows.filter.clone();
        let found = match self.context.call(move |backend| backend.events(&asked, feed::BATCH)).await {
            Ok(Ok(found)) => found,
            failed => {
                let problem = match failed {
                    Ok(Err(failed)) => Problem::failed(failed),
                    Err(problem) => problem,
                    Ok(Ok(_)) => return Ok(false),
                };
                let id = follows.id.clone();
                self.follows = None;
                self.say(&refused(&id, &problem)).await?;
                return Ok(false);
            }
        };
        let has_more = found.events.len() >= feed::BATCH;
        let mut texts = Vec::new();
        if has_more && follows.is_live && !follows.is_behind {
            follows.is_behind = true;
            texts.push(told("events.lagged", &follows.id, &json!({ "after": follows.filter.after })));
        }
        if !has_more {
            (follows.is_live, follows.is_behind) = (true, false);
        }
        for entry in &found.events {
            // Whatever a backend answers, no number comes twice.
            if entry.seq > follows.filter.after {
                follows.filter.after = entry.seq;
                texts.push(event(&follows.id, entry));
            }
        }
        follows.filter.after = follows.filter.after.max(found.searched);
        for text in texts {
            self.say(&text).await?;
        }
        Ok(has_more)
    }

    async fn say(&mut self, text: &str) -> Result<(), End> {
        self.write(&frame::text(text)).await
    }

    /// The stream itself gives up a peer that takes nothing.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), End> {
        self.writer.write_all(bytes).await.map_err(|_| End::Gone)?;
        self.writer.flush().await.map_err(|_| End::Gone)
    }
}

fn accepted(request: &Request) -> String {
    format!("{}_accepted", subject(request))
}

fn result(request: &Request) -> String {
    format!("{}_result", subject(request))
}

/// One subject updates all parts of a device.
fn subject(request: &Request) -> &str {
    match request {
        Request::ComponentUpdate(_) => "update",
        request => request.operation(),
    }
}
