//! Everything measured and proven, as a table and as JSON.
use super::{claim::Claim, tools::mib};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// Version of the JSON's fields.
pub(super) const SCHEMA: u32 = 1;
/// Findings shown to people for one claim; the JSON has all.
const SHOWN: usize = 20;

/// A volume, as `build` reports it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Volume {
    pub(super) name: String,
    pub(super) raw_bytes: u64,
    pub(super) data_bytes: u64,
    pub(super) chunks: u64,
    pub(super) zero_chunks: u64,
    pub(super) read_seconds: f64,
    pub(super) encode_seconds: f64,
}

/// A bundle that was built.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Build {
    pub(super) version: String,
    /// Bytes of the source tar.
    pub(super) tar_bytes: u64,
    /// Bytes of the files for the boot volume.
    pub(super) boot_bytes: u64,
    pub(super) volumes: Vec<Volume>,
    pub(super) bundle_bytes: u64,
    pub(super) assemble_seconds: f64,
    pub(super) seconds: f64,
    pub(super) peak_bytes: u64,
}

/// An installation.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Install {
    pub(super) seconds: f64,
    pub(super) peak_bytes: u64,
    /// Everything written to the card: slot, journal, release.
    pub(super) card_bytes: u64,
    /// Write operations.
    pub(super) writes: u64,
    pub(super) chunks: u64,
    pub(super) chunks_right_already: u64,
}

/// An installation and `zstd -dc | dd` of the same data after it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Pair {
    pub(super) install: Install,
    pub(super) copy_seconds: f64,
}

/// An installation that was killed, and its second run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Resume {
    /// Bytes of the bundle that were read at that time.
    pub(super) killed_at: u64,
    pub(super) bundle_bytes: u64,
    pub(super) second: Install,
}

/// The same image once more.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Again {
    pub(super) slot_chunks_written: u64,
    pub(super) install: Install,
}

/// All of it.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Report {
    /// Always [`SCHEMA`].
    pub(super) schema: u32,
    pub(super) builds: Vec<Build>,
    /// Into an inactive slot that was never written.
    pub(super) onto_new_card: Vec<Pair>,
    /// Into an inactive slot that holds an older release.
    pub(super) over_old_release: Vec<Pair>,
    pub(super) caches_dropped: bool,
    pub(super) resume: Option<Resume>,
    pub(super) again: Option<Again>,
    pub(super) proofs: Vec<Claim>,
    /// Seconds until both systems were there.
    pub(super) seconds_debian: f64,
    pub(super) seconds: f64,
}

/// The middle one; the mean of the two in the middle if their number is even; 0 of none.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = values.get(middle).copied().unwrap_or_default();
    if values.len().is_multiple_of(2) {
        let lower = middle.checked_sub(1).and_then(|i| values.get(i)).copied();
        f64::midpoint(lower.unwrap_or(upper), upper)
    } else {
        upper
    }
}

impl Report {
    /// Whether nothing speaks against any claim.
    pub(super) fn held(&self) -> bool {
        !self.proofs.is_empty() && self.proofs.iter().all(|claim| claim.findings.is_empty())
    }

    /// Human-readable.
    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        // Writing to a text never fails.
        let _ = self.builds(&mut text);
        let _ = self.installs(&mut text);
        let _ = self.claims(&mut text);
        text
    }

    fn builds(&self, text: &mut String) -> std::fmt::Result {
        for b in &self.builds {
            writeln!(text, "BUILD {}", b.version)?;
            row(text, "source: system.tar", &size(b.tar_bytes))?;
            row(text, "source: boot/", &size(b.boot_bytes))?;
            for v in &b.volumes {
                let what = format!("{} volume, raw", v.name);
                row(text, &what, &format!("{}  read in {:.1} s", size(v.raw_bytes), v.read_seconds))?;
                let what = format!("{} volume, compressed", v.name);
                let chunks = format!("{} chunks, {} zero", v.chunks, v.zero_chunks);
                row(text, &what, &format!("{}  in {:.1} s, {chunks}", size(v.data_bytes), v.encode_seconds))?;
            }
            let seconds = format!("put together in {:.1} s, {:.1} s in all", b.assemble_seconds, b.seconds);
            row(text, "bundle", &format!("{}  {seconds}", size(b.bundle_bytes)))?;
            row(text, "peak memory", &size(b.peak_bytes))?;
        }
        Ok(())
    }

    fn installs(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "INSTALL against zstd -dc | dd bs=1M conv=fsync of the same data, turn by turn")?;
        if !self.caches_dropped {
            writeln!(text, "  (not root: the page cache was not dropped in between)")?;
        }
        pairs(text, "onto a new card", &self.onto_new_card)?;
        pairs(text, "over an older release", &self.over_old_release)?;
        if let Some(r) = &self.resume {
            let killed = format!("{:.1} of {:.1} MiB of the bundle", mib(r.killed_at), mib(r.bundle_bytes));
            row(text, "SIGKILL after", &format!("{killed}, onto a new card"))?;
            row(text, "  second run", &format!("{}; {:.1} s", written(&r.second), r.second.seconds))?;
        }
        if let Some(a) = &self.again {
            let seconds = a.install.seconds;
            row(text, "identical image again", &format!("{}; {seconds:.1} s", written(&a.install)))?;
        }
        Ok(())
    }

    fn claims(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "PROOFS")?;
        for claim in &self.proofs {
            writeln!(text, "  {} {}", if claim.findings.is_empty() { "ok  " } else { "FAIL" }, claim.claim)?;
            for finding in claim.findings.iter().take(SHOWN) {
                writeln!(text, "         {finding}")?;
            }
            let more = claim.findings.len().saturating_sub(SHOWN);
            if more > 0 {
                writeln!(text, "         and {more} more: see --json")?;
            }
        }
        let debian = self.seconds_debian;
        writeln!(text, "{:.0} s, of these {debian:.0} s for the Debian systems", self.seconds)
    }
}

fn pairs(text: &mut String, what: &str, pairs: &[Pair]) -> std::fmt::Result {
    writeln!(text, "  {what}")?;
    let times = |install: f64, copy: f64| {
        format!("install {install:>5.1} s   zstd | dd {copy:>5.1} s   ratio {:.2}", install / copy)
    };
    for (n, p) in pairs.iter().enumerate() {
        row(text, &format!("  pair {}", n + 1), &times(p.install.seconds, p.copy_seconds))?;
    }
    let install = median(pairs.iter().map(|p| p.install.seconds));
    row(text, "  medians", &times(install, median(pairs.iter().map(|p| p.copy_seconds))))?;
    if let Some(peak) = pairs.iter().map(|p| p.install.peak_bytes).max() {
        row(text, "  peak memory", &size(peak))?;
    }
    if let Some(p) = pairs.first() {
        row(text, "  written to the card", &written(&p.install))?;
    }
    Ok(())
}

fn written(i: &Install) -> String {
    let right = format!("{} of {} chunks were right already", i.chunks_right_already, i.chunks);
    format!("{} in {} writes; {right}", size(i.card_bytes), i.writes)
}

fn row(text: &mut String, what: &str, value: &str) -> std::fmt::Result {
    writeln!(text, "  {what:26} {value}")
}

fn size(bytes: u64) -> String {
    format!("{:>8.1} MiB", mib(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let table: [(&[f64], f64); 5] = [
            (&[], 0.0),
            (&[2.0], 2.0),
            (&[3.0, 1.0], 2.0),
            (&[9.0, 1.0, 2.0], 2.0),
            (&[4.0, 1.0, 3.0, 2.0], 2.5),
        ];
        for (values, want) in table {
            assert!((median(values.iter().copied()) - want).abs() < 1e-9, "{values:?}");
        }
    }

    #[test]
    fn a_single_finding_fails_the_suite_and_so_does_proving_nothing() {
        let claim = |findings: &[&str]| Claim::new("c", findings.iter().map(|f| (*f).to_owned()).collect());
        let report = |proofs: Vec<Claim>| Report { proofs, ..Report::default() };
        assert!(!report(Vec::new()).held());
        assert!(report(vec![claim(&[])]).held());
        let failed = report(vec![claim(&[]), claim(&["x"; 25])]);
        assert!(!failed.held());
        let table = failed.table();
        assert!(table.contains("FAIL c") && table.contains("and 5 more"), "{table}");
    }
}
