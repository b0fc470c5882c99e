//! Text that becomes HTML. Whatever comes from elsewhere goes through here.
use bistable_format::text::printable;
use serde_json::Value;

/// A page that is being written.
pub(super) struct Html(String);

impl Html {
    /// Its head. One that shows work in progress is loaded again by browsers without JavaScript.
    pub(super) fn begin(title: &str, reloads: bool) -> Html {
        let mut html = Html(String::with_capacity(16 << 10));
        html.raw("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">");
        html.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
        html.raw("<meta name=\"color-scheme\" content=\"light dark\">");
        if reloads {
            html.raw("<noscript><meta http-equiv=\"refresh\" content=\"3\"></noscript>");
        }
        html.element("title", title);
        html.raw("<link rel=\"icon\" href=\"/icon.svg\"><link rel=\"stylesheet\" href=\"/page.css\">");
        html.raw("<script src=\"/page.js\" defer></script></head><body><div class=\"sheet\">");
        html
    }

    pub(super) fn end(mut self) -> String {
        self.raw("</div></body></html>\n");
        self.0
    }

    /// HTML of our own.
    pub(super) fn raw(&mut self, html: &str) {
        self.0.push_str(html);
    }

    /// Begin an element: its name with its attributes, which are our own.
    pub(super) fn open(&mut self, tag: &str) {
        self.raw("<");
        self.raw(tag);
        self.raw(">");
    }

    pub(super) fn close(&mut self, name: &str) {
        self.raw("</");
        self.raw(name);
        self.raw(">");
    }

    /// Foreign text.
    pub(super) fn text(&mut self, text: &str) {
        for c in printable(text, &['\n']).chars() {
            match c {
                '&' => self.raw("&amp;"),
                '<' => self.raw("&lt;"),
                '>' => self.raw("&gt;"),
                '"' => self.raw("&quot;"),
                '\'' => self.raw("&#39;"),
                c => self.0.push(c),
            }
        }
    }

    /// An element with foreign text in it.
    pub(super) fn element(&mut self, tag: &str, text: &str) {
        self.open(tag);
        self.text(text);
        self.close(tag.split(' ').next().unwrap_or(tag));
    }

    /// A button that is a form of its own.
    pub(super) fn button(&mut self, act: &str, class: &str, label: &str) {
        self.open(&format!("form method=\"post\" action=\"/do/{act}\" data-act=\"{act}\""));
        self.element(&format!("button id=\"do-{act}\" class=\"{class}\""), label);
        self.close("form");
    }

    /// A part of the page, with its heading.
    pub(super) fn section(&mut self, id: &str, heading: &str) {
        self.open(&format!("section id=\"{id}\" aria-labelledby=\"{id}-h\""));
        self.element(&format!("h2 id=\"{id}-h\""), heading);
    }
}

/// A text at a place of an answer.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

/// The items of a list at a place of an answer; none if there is no list.
pub(super) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Whether something is so.
pub(super) fn is(value: &Value, pointer: &str) -> bool {
    value.pointer(pointer).and_then(Value::as_bool) == Some(true)
}

/// `2026-11-29T12:00:00Z` as people read it.
pub(super) fn moment(time: &str) -> String {
    match (time.get(..10), time.get(11..16), time.as_bytes().get(10)) {
        (Some(day), Some(minute), Some(b'T')) => format!("{day} {minute} UTC"),
        _ => time.to_owned(),
    }
}
