//! Boot flows on the command line.
use bistable_boot::Flow;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

/// Reads the name of a boot flow.
pub fn parser() -> impl TypedValueParser<Value = Flow> {
    let values = Flow::ALL.map(|flow| {
        PossibleValue::new(flow.name()).help(match flow {
            Flow::Tryboot => "The firmware's autoboot.txt, and its one-shot flag",
            Flow::Uboot => "U-Boot's boot.scr, and its boot block",
        })
    });
    PossibleValuesParser::new(values).try_map(|name| name.parse::<Flow>())
}
