//! The page.
use super::{Row, Site};
use crate::repository::audit::timestamp;
use crate::repository::words::percent;
use crate::size::Bytes;
use bistable_format::Channel;
use bistable_format::channel::Passage;
use bistable_format::name::what;
use bistable_format::rollout::{Rollout, RolloutState};
use bistable_format::text::printable;
use std::fmt::Write as _;

const STYLE: &str = "\
:root{color-scheme:light dark;--fg:#1c2024;--bg:#fbfcfd;--dim:#60646c;--line:#d9dce1;--card:#fff;--good:#18794e;--warn:#ad5700;--bad:#ce2c31;--bar:#3e63dd}\
@media(prefers-color-scheme:dark){:root{--fg:#edeef0;--bg:#111113;--dim:#b0b4ba;--line:#363a3f;--card:#18191b;--good:#3dd68c;--warn:#ffa057;--bad:#ff9592;--bar:#9eb1ff}}\
*{box-sizing:border-box}body{margin:0 auto;max-width:76rem;padding:2rem 1.25rem 4rem;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,sans-serif}\
h1{margin:0 0 .25rem;font-size:1.6rem}h2{margin:0;font-size:1.1rem}p{margin:.25rem 0}.dim{color:var(--dim);font-size:.875rem}\
.flow{display:flex;flex-wrap:wrap;gap:.75rem;align-items:stretch;margin:1.5rem 0}.arrow{align-self:center;font-size:1.5rem;color:var(--dim)}\
section{flex:1 1 20rem;min-width:0;background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:1rem}\
article{border-top:1px solid var(--line);margin-top:.75rem;padding-top:.75rem}h3{margin:0;font-size:1rem}\
.tag{display:inline-block;margin-left:.4rem;padding:0 .4rem;border:1px solid currentColor;border-radius:.4rem;font-size:.75rem;font-weight:600}\
.good{color:var(--good)}.warn{color:var(--warn)}.bad{color:var(--bad)}\
.bar{height:.4rem;margin:.4rem 0;border-radius:.2rem;background:var(--line);overflow:hidden}.bar i{display:block;height:100%;background:var(--bar)}\
code,pre{font:13px/1.5 ui-monospace,monospace}pre{margin:.5rem 0;padding:.75rem;overflow-x:auto;border:1px solid var(--line);border-radius:.4rem;user-select:all}\
ol{margin:.25rem 0;padding-left:1.25rem;font-size:.875rem}";

/// The whole page. All text from outside is escaped.
pub fn page(site: &Site<'_>) -> String {
    let title = escape(site.title);
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>{title}</title><style>{STYLE}</style></head><body>\n\
         <h1>{title}</h1><p class=\"dim\">Made {}. What devices believe is signed; this page isn't.</p>\n",
        timestamp(site.now)
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
    commands(site, &names, &mut html);
    html.push_str("</body></html>\n");
    html
}

fn channel(site: &Site<'_>, channel: &Channel, html: &mut String) {
    let late = if channel.expires_at() <= site.now { " <span class=\"tag bad\">expired</span>" } else { "" };
    add(
        html,
        format_args!(
            "<section id=\"{0}\"><h2>{0}{late}</h2><p class=\"dim\">number {1}, {2}, valid until {3}</p>\n",
            escape(&channel.name),
            channel.sequence,
            timestamp(channel.issued_at),
            timestamp(channel.expires_at()),
        ),
    );
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
                "<article><h3><s>{} {}</s><span class=\"tag bad\">withdrawn</span></h3><p>{}</p></article>\n",
                escape(&what(bad.subject())),
                escape(&bad.version.to_string()),
                escape(&bad.reason)
            ),
        );
    }
    html.push_str("</section>\n");
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
    let (class, word) = match rollout.pace {
        RolloutState::Halted => ("bad", "halted".to_owned()),
        RolloutState::Paused(_) => ("warn", "paused".to_owned()),
        RolloutState::Running if rollout.is_done(site.now) => ("good", "for all".to_owned()),
        RolloutState::Running if rollout.waves.total() == 0 => ("warn", "groups only".to_owned()),
        RolloutState::Running => ("warn", percent(rollout.share(site.now))),
    };
    add(
        html,
        format_args!(
            "<article><h3>{} {}<span class=\"tag {class}\">{word}</span>{tags}</h3>\
             <p class=\"dim\">{} · {} · since {} · <code>{:.12}</code></p>",
            escape(&constraints.what()),
            escape(&constraints.version.to_string()),
            escape(&constraints.boards.join(", ")),
            Bytes(row.bytes),
            timestamp(row.offer.since),
            row.offer.identity,
        ),
    );
    if !rollout.is_done(site.now) {
        let share = rollout.share(site.now);
        add(
            html,
            format_args!(
                "<div class=\"bar\"><i style=\"width:{}.{:02}%\"></i></div>",
                share / 100,
                share % 100
            ),
        );
        waves(rollout, html);
    }
    if !row.description.is_empty() {
        add(html, format_args!("<p>{}</p>", escape(row.description).replace('\n', "<br>")));
    }
    let deltas: Vec<String> = site
        .deltas(&row.offer.identity)
        .into_iter()
        .map(|(base, bytes)| format!("{} from {base}", Bytes(bytes)))
        .collect();
    if !deltas.is_empty() {
        add(html, format_args!("<p class=\"dim\">update: {}</p>", escape(&deltas.join(", "))));
    }
    let others = site.also_in(&row.offer.identity, &channel.name);
    if !others.is_empty() {
        add(html, format_args!("<p class=\"dim\">also in {}</p>", escape(&others.join(", "))));
    }
    html.push_str("</article>\n");
}

fn waves(rollout: &Rollout, html: &mut String) {
    html.push_str("<ol>");
    if !rollout.canaries.is_empty() {
        add(html, format_args!("<li>group {}</li>", escape(&rollout.canaries.join(", "))));
    }
    for wave in &rollout.waves {
        let over = if wave.over == 0 { String::new() } else { format!(", over {} min", wave.over / 60) };
        add(html, format_args!("<li>{} from {}{over}</li>", percent(wave.share), timestamp(wave.at)));
    }
    html.push_str("</ol>");
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
