//! What isn't a letter or a digit.

/// The characters of a frame.
pub(super) struct Frame {
    pub(super) top: [&'static str; 2],
    pub(super) bottom: [&'static str; 2],
    pub(super) across: &'static str,
    pub(super) side: &'static str,
}

/// All that isn't a letter or a digit.
pub(super) struct Glyphs {
    pub(super) heavy: Frame,
    pub(super) light: Frame,
    pub(super) corner: [&'static str; 2],
    pub(super) solid: &'static str,
    pub(super) dashed: &'static str,
    pub(super) head: &'static str,
    pub(super) once_head: &'static str,
    pub(super) booted: &'static str,
    pub(super) default: &'static str,
    pub(super) on_trial: &'static str,
    pub(super) done: &'static str,
    pub(super) failed: &'static str,
    pub(super) running: &'static str,
    pub(super) not_reached: &'static str,
    pub(super) dot: &'static str,
}

pub(super) const UNICODE: Glyphs = Glyphs {
    heavy: Frame { top: ["┏", "┓"], bottom: ["┗", "┛"], across: "━", side: "┃" },
    light: Frame { top: ["┌", "┐"], bottom: ["└", "┘"], across: "─", side: "│" },
    corner: ["┌", "┐"],
    solid: "─",
    dashed: "╌",
    head: "▼",
    once_head: "▽",
    booted: "●",
    default: "★",
    on_trial: "◐",
    done: "✓",
    failed: "✗",
    running: "▶",
    not_reached: "·",
    dot: "·",
};

pub(super) const ASCII: Glyphs = Glyphs {
    heavy: Frame { top: ["#", "#"], bottom: ["#", "#"], across: "=", side: "#" },
    light: Frame { top: ["+", "+"], bottom: ["+", "+"], across: "-", side: "|" },
    corner: ["+", "+"],
    solid: "-",
    dashed: ".",
    head: "V",
    once_head: "v",
    booted: "@",
    default: "*",
    on_trial: "~",
    done: "+",
    failed: "x",
    running: ">",
    not_reached: ".",
    dot: "-",
};
