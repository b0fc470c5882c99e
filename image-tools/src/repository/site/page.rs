//! The page.
use super::{About, Row, Site};
use crate::repository::audit::timestamp;
use crate::repository::words::{percent, period};
use crate::size::Bytes;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bistable_format::channel::{Gates, Passage};
use bistable_format::name::what;
use bistable_format::rollout::{Rollout, RolloutState};
use bistable_format::text::printable;
use bistable_format::{Channel, Digest, repository as names};
use std::fmt::Write as _;

const STYLE: &str = "\
:root{color-scheme:light dark;--fg:#1c2024;--bg:#fbfcfd;--dim:#60646c;--line:#d9dce1;--card:#fff;--good:#18794e;--warn:#ad5700;--bad:#ce2c31;--bar:#3e63dd}\
@media(prefers-color-scheme:dark){:root{--fg:#edeef0;--bg:#111113;--dim:#b0b4ba;--line:#363a3f;--card:#18191b;--good:#3dd68c;--warn:#ffa057;--bad:#ff9592;--bar:#9eb1ff}}\
*{box-sizing:border-box}body{margin:0 auto;max-width:76rem;padding:2rem 1.25rem 4rem;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}\
h1{margin:0 0 .25rem;font-size:1.6rem}h2{margin:0;font-size:1.1rem}p{margin:.25rem 0}.dim{color:var(--dim);font-size:.875rem}a{color:var(--bar)}\
.flow{display:flex;flex-wrap:wrap;gap:.75rem;align-items:stretch;margin:1.5rem 0}.arrow{align-self:center;font-size:1.5rem;line-height:1;color:var(--dim)}\
section{flex:1 1 20rem;min-width:0;background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:1rem}\
article{border-top:1px solid var(--line);margin-top:.75rem;padding-top:.75rem}h3{margin:0;font-size:1rem}\
.tag{display:inline-block;margin-left:.4rem;padding:0 .4rem;border:1px solid currentColor;border-radius:.4rem;font-size:.75rem;font-weight:600}.tag[hidden]{display:none}\
.good{color:var(--good)}.warn{color:var(--warn)}.bad{color:var(--bad)}\
.bar{height:.4rem;margin:.4rem 0;border-radius:.2rem;background:var(--line);overflow:hidden}.bar i{display:block;height:100%;background:var(--bar)}\
code,pre{font:13px/1.5 ui-monospace,monospace}pre{margin:.5rem 0;padding:.75rem;white-space:pre-wrap;border:1px solid var(--line);border-radius:.4rem;user-select:all}\
ol{margin:.25rem 0;padding-left:1.25rem;font-size:.875rem}\
@media(max-width:48rem){body{padding:1rem .75rem 3rem}.flow{flex-direction:column;flex-wrap:nowrap}section{flex:none;width:100%;padding:.75rem}.arrow{transform:rotate(90deg)}}";

/// Computes what depends on when the page is read. It uses no character that begins a tag.
const SCRIPT: &str = include_str!("script.js");

/// The whole page. All text from outside is escaped, and only the one script runs: the page names its digest. Without scripts, times are
/// absolute, and percentages those of the time at which the page was made.
pub fn page(site: &Site<'_>) -> String {
    let title = escape(site.title);
    let script = STANDARD.encode(Digest::of(SCRIPT.as_bytes()).0);
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{script}'\">\
         <title>{title}</title><style>{STYLE}</style></head><body>\n\
         <h1>{title}</h1><p class=\"dim\">Made {}. What devices believe is signed; this page isn't.\
         <noscript> Percentages are those of that time.</noscript></p>\n",
        time(site.now)
    );
    let names = site.channels();
    if names.is_empty() {
        html.push_str("<p>No channel yet.</p>\n");
    }
    html.push_str("<main class=\"flow\">\n");
    for (i, name) in names.iter().enumerate() {
        if i > 0 {
            html.push_str("<div class=\"arrow\" aria-label=\"is promoted into\">→</div>\n");
        }
        if let Some(file) = site.inventory.channels.get(*name) {
            channel(site, &file.channel, &mut html);
        }
    }
    html.push_str("</main>\n");
    downloads(site, &mut html);
    commands(site, &names, &mut html);
    add(&mut html, format_args!("<script>{SCRIPT}</script></body></html>\n"));
    html
}

/// A time, in seconds since 1970.
fn time(at: u64) -> String {
    let text = timestamp(at);
    format!("<time datetime=\"{text}\">{text}</time>")
}

fn channel(site: &Site<'_>, channel: &Channel, html: &mut String) {
    let until = channel.expires_at();
    let (class, hidden, word) = match until <= site.now {
        true => ("bad", "", "expired"),
        false => ("warn", " hidden", ""),
    };
    add(
        html,
        format_args!(
            "<section id=\"{0}\"><h2>{0} <span class=\"tag {class}\" data-until=\"{until}\" data-life=\"{1}\"{hidden}>{word}</span></h2>\
             <p class=\"dim\">number {2}, {3}, valid until {4}</p>\n",
            escape(&channel.name),
            channel.lifetime,
            channel.sequence,
            time(channel.issued_at),
            time(until),
        ),
    );
    if let Some(gates) = gates(&channel.gates) {
        add(html, format_args!("<p class=\"dim\">a release enters with {}</p>\n", escape(&gates)));
    }
    let rows = site.rows(&channel.name);
    if rows.is_empty() {
        html.push_str("<p>Nothing on offer.</p>\n");
    }
    for row in &rows {
        offer(site, channel, row, html);
    }
    for bad in &channel.withdrawn {
        add(
            html,
            format_args!(
                "<article><h3><s>{} {}</s><span class=\"tag bad\">withdrawn</span></h3><p class=\"dim\">{}</p><p>{}</p></article>\n",
                escape(&what(bad.subject())),
                escape(&bad.version.to_string()),
                time(bad.at),
                escape(&bad.reason)
            ),
        );
    }
    html.push_str("</section>\n");
}

/// What a channel's gates demand; none if it has none.
fn gates(gates: &Gates) -> Option<String> {
    let mut all = Vec::new();
    if gates.min_age > 0 {
        all.push(format!("{} in the channel before", period(gates.min_age)));
    }
    if gates.min_interval > 0 {
        all.push(format!("{} since the last promotion", period(gates.min_interval)));
    }
    all.extend(gates.attestations.iter().map(|(kind, key)| format!("{kind} by {}", key.label)));
    (!all.is_empty()).then(|| all.join(", "))
}

fn offer(site: &Site<'_>, channel: &Channel, row: &Row<'_>, html: &mut String) {
    let (constraints, rollout) = (&row.offer.constraints, &row.offer.rollout);
    let mut tags = String::new();
    if row.offer.passage == Passage::Barrier {
        tags.push_str("<span class=\"tag\">barrier</span>");
    }
    if channel.pins.contains(&row.offer.identity) {
        tags.push_str("<span class=\"tag\">pinned</span>");
    }
    let share = rollout.share(site.now);
    let (class, word) = match rollout.pace {
        RolloutState::Halted => ("bad", "halted".to_owned()),
        RolloutState::Paused(_) => ("warn", format!("paused at {}", percent(share))),
        RolloutState::Running if rollout.is_done(site.now) => ("good", "for all".to_owned()),
        RolloutState::Running if rollout.waves.total() == 0 => ("warn", "groups only".to_owned()),
        RolloutState::Running => ("warn", percent(share)),
    };
    add(
        html,
        format_args!(
            "<article><h3>{} {}<span class=\"tag {class}\"{}>{word}</span>{tags}</h3>\
             <p class=\"dim\">{} · {} · since {} · <code>{:.12}</code></p>",
            escape(&constraints.what()),
            escape(&constraints.version.to_string()),
            moving(rollout, site.now),
            escape(&constraints.boards.join(", ")),
            Bytes(row.bytes),
            time(row.offer.since),
            row.offer.identity,
        ),
    );
    if !rollout.is_done(site.now) {
        let (whole, rest) = (share / 100, share % 100);
        add(html, format_args!("<div class=\"bar\"><i style=\"width:{whole}.{rest:02}%\"></i></div>"));
        waves(rollout, html);
    }
    if !row.description.is_empty() {
        add(html, format_args!("<p>{}</p>", escape(row.description).replace('\n', "<br>")));
    }
    let mut dim = |what: &str, values: &[String]| {
        if !values.is_empty() {
            add(html, format_args!("<p class=\"dim\">{what} {}</p>", escape(&values.join(", "))));
        }
    };
    let deltas = site.deltas(&row.offer.identity).into_iter();
    let deltas: Vec<String> = deltas.map(|(base, bytes)| format!("{} from {base}", Bytes(bytes))).collect();
    dim("update:", &deltas);
    let About { attested, bound, requires, .. } = row.about;
    dim("attested:", attested);
    dim("brings along", bound);
    dim("requires", requires);
    let others = site.also_in(&row.offer.identity, &channel.name);
    dim("also in", &others.into_iter().map(Into::into).collect::<Vec<String>>());
    if let (Some(sbom), Some(files)) = (&row.about.sbom, &site.files) {
        let path = names::blob(&sbom.digest);
        let bytes = Bytes(sbom.bytes.into());
        add(
            html,
            format_args!(
                "<p class=\"dim\"><a href=\"{}{path}\">SBOM</a> (CycloneDX, {bytes})</p>",
                escape(files)
            ),
        );
    }
    html.push_str("</article>\n");
}

/// The waves of a rollout that continues, for the script.
fn moving(rollout: &Rollout, now: u64) -> String {
    let is_moving = rollout.pace == RolloutState::Running && !rollout.is_done(now);
    let waves: Vec<String> =
        rollout.waves.iter().map(|wave| format!("{} {} {}", wave.at, wave.over, wave.share)).collect();
    match is_moving && !waves.is_empty() {
        true => format!(" data-waves=\"{}\"", waves.join(",")),
        false => String::new(),
    }
}

fn waves(rollout: &Rollout, html: &mut String) {
    html.push_str("<ol>");
    if !rollout.canaries.is_empty() {
        add(html, format_args!("<li>group {}</li>", escape(&rollout.canaries.join(", "))));
    }
    for wave in &rollout.waves {
        let over =
            if wave.over == 0 { String::new() } else { format!(", over {}", period(wave.over.into())) };
        add(html, format_args!("<li>{} from {}{over}</li>", percent(wave.share), time(wave.at)));
    }
    html.push_str("</ol>");
}

/// Card images, as the imager's list has them.
fn downloads(site: &Site<'_>, html: &mut String) {
    if site.downloads.is_empty() {
        return;
    }
    html.push_str("<h2>Card images</h2>\n");
    for download in site.downloads {
        add(
            html,
            format_args!(
                "<p><a href=\"{}\">{}</a> <span class=\"dim\">{} · {} · SHA-256 <code>{}</code></span></p>\n",
                escape(&download.url),
                escape(&download.name),
                escape(&download.day),
                Bytes(download.bytes),
                escape(&download.sha256),
            ),
        );
    }
    if let Some(url) = site.url {
        let url = url.trim_end_matches('/');
        add(html, format_args!("<pre>rpi-imager --repo {}/rpi-imager.json</pre>\n", escape(url)));
    }
}

fn commands(site: &Site<'_>, names: &[&str], html: &mut String) {
    html.push_str("<h2>On a device</h2>\n");
    let source = site.url.map(|url| format!(" --source {}", escape(url))).unwrap_or_default();
    let channel = names.last().map(|name| format!(" --channel {}", escape(name))).unwrap_or_default();
    add(
        html,
        format_args!(
            "<pre>bistable check{source}{channel}</pre><pre>bistable update{source}{channel}</pre>\n"
        ),
    );
    if let [from, .., into] = names {
        html.push_str("<h2>On the host</h2>\n");
        add(
            html,
            format_args!(
                "<pre>bistable-image promote {} {} --waves 1%,10%@6h,100%@2d --key channel.key</pre>\n",
                escape(from),
                escape(into)
            ),
        );
    }
}

fn add(html: &mut String, args: std::fmt::Arguments<'_>) {
    // Writing into a string never fails.
    let _ = html.write_fmt(args);
}

/// Text for HTML, in content and in quoted attributes. What is not printable could reorder the text around it.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in printable(text, &['\n', '\t']).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn nothing_of_a_text_is_markup() {
        assert_eq!(
            escape("<a href='x'>&\"b\"</a>"),
            "&lt;a href=&#39;x&#39;&gt;&amp;&quot;b&quot;&lt;/a&gt;"
        );
        assert_eq!(escape("a\u{202e}b\u{1b}\n"), "a\u{fffd}b\u{fffd}\n");
    }
}
