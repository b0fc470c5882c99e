//! `inhibit`: no switch into a trial while a program runs.
use super::{Answer, Failed, place::Place};
use crate::{
    Error, app,
    app::{Inhibit, Inhibited, LONGEST, NotInhibited},
    board::{self, unix_time},
    cli::{GlobalArgs, InhibitArgs},
    daemon::inhibitors::{self, FILES, FOLDER},
    logging, teardown,
};
use std::{
    fs::{self, File},
    io,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, UNIX_EPOCH},
};

/// Names of the files begin with this.
const PREFIX: &str = "inhibit-";

/// Delay a switch until the program has ended, or for the given time if there is no program.
pub(super) fn run(at: &GlobalArgs, args: &InhibitArgs) -> Result<Answer, Failed> {
    let folder = Place::of(at)?.root(at).join(FOLDER);
    // By the same rules as over the API.
    let asked = Inhibit { why: args.why.clone(), for_s: args.time.as_secs() };
    let time = asked.time().map_err(|e| Error::Usage(e.to_string()))?;
    let held = Held::new(&folder, &asked.line(), time)?;
    let Some((program, words)) = args.command.split_first() else {
        let path = held.keep();
        let text = format!(
            "no switch into a trial as long as {} is there, at most for {:?}",
            path.display(),
            args.time
        );
        return Ok(Answer::new(text, app::Answer::Inhibited(Inhibited { file: path, status: None })));
    };
    let open = |source| Error::Open { path: program.into(), source };
    let mut command = Command::new(program);
    board::unblock_signals(command.args(words));
    let status = command.status().map_err(open)?;
    let path = held.path.clone();
    drop(held);
    // As a shell shows it.
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    match status.success() {
        true => Ok(Answer::new("", app::Answer::Inhibited(Inhibited { file: path, status: Some(code) }))),
        false => {
            let error = Error::Program { program: program.clone(), status: code };
            Err(Failed::with(error, app::Answer::Inhibited(Inhibited { file: path, status: Some(code) })))
        }
    }
}

/// A file that holds a switch off; it goes with this.
struct Held {
    path: PathBuf,
    /// A signal that ends this program removes it, too.
    _at_signal: teardown::Entry,
    keep: bool,
}

impl Held {
    fn new(folder: &Path, why: &str, time: Duration) -> Result<Held, Error> {
        let path = folder.join(format!("{PREFIX}{}", logging::session()));
        let open = |source: io::Error| Error::Open { path: path.clone(), source };
        fs::create_dir_all(folder).map_err(open)?;
        let now = unix_time().map_err(|e| Error::Usage(e.to_string()))?;
        if holding(folder, now).map_err(open)? >= FILES {
            return Err(Error::NotNow(NotInhibited::TooMany(FILES).to_string()));
        }
        let remove = path.clone();
        let (mut file, at_signal) = teardown::begin(
            || File::options().write(true).create_new(true).open(&path),
            |_| Box::new(move || drop(fs::remove_file(remove))),
        )
        .map_err(open)?;
        let held = Held { path: path.clone(), _at_signal: at_signal, keep: false };
        inhibitors::write(&mut file, &format!("{why}\n"), now, time).map_err(open)?;
        Ok(held)
    }

    fn keep(mut self) -> PathBuf {
        self.keep = true;
        self.path.clone()
    }
}

/// How many files hold something off. What earlier runs of this program left that holds nothing any more is removed.
fn holding(folder: &Path, now: u64) -> io::Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let changed = entry.metadata().and_then(|found| found.modified());
        let age = changed.map_or(Duration::ZERO, |changed| {
            (UNIX_EPOCH + Duration::from_secs(now)).duration_since(changed).unwrap_or_default()
        });
        if age < LONGEST {
            count += 1;
        } else if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            // Another user's stays.
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(count)
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.keep {
            // It ends by itself if it can't be removed.
            let _ = fs::remove_file(&self.path);
        }
    }
}
