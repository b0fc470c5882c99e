//! The card of the Pi on the bench: how it becomes the factory's, and what its boot flag says.
use super::{
    bench::{Card, IMAGE, Multiplexer},
    person::Person,
    program,
    serial::pause,
};
use crate::run::{clock::Clock, qemu::flow};
use anyhow::{Context, Result, ensure};
use bistable_boot::{Flow, Slot};
use std::{fs::File, time::Duration};

/// A card of 32 GB takes half an hour in a slow reader.
const WRITE: Duration = Duration::from_secs(3600);
const SWITCH: Duration = Duration::from_secs(30);
/// Until the PC sees a card that it got, in polls.
const POLLS: Duration = Duration::from_millis(100);

/// Make it the factory's. Only without power.
///
/// # Errors
/// When a program fails, or the person doesn't do it.
pub fn write(card: &Card, person: &mut dyn Person) -> Result<()> {
    let image = card.image.to_str().context("the path of the card's image is no UTF-8")?;
    let Some(write) = &card.write else {
        return person.please(&format!("Flash {image} to the card, and put it into the Pi"));
    };
    let words: Vec<String> = write.iter().map(|word| word.replace(IMAGE, image)).collect();
    on_pc(card.multiplexer.as_ref(), || program::run(&words, WRITE)).context("writing the card")
}

/// What the boot flag says; none if the card can't be reached. Only without power.
///
/// # Errors
/// When the card has no boot flag, or the multiplexer fails.
pub fn default_slot(card: &Card, flow: Flow) -> Result<Option<Slot>> {
    let Some(multiplexer) = &card.multiplexer else { return Ok(None) };
    on_pc(Some(multiplexer), || flow::default_slot(&multiplexer.disk, flow)).map(Some)
}

/// Do something while the PC has the card.
fn on_pc<T>(multiplexer: Option<&Multiplexer>, act: impl FnOnce() -> Result<T>) -> Result<T> {
    let Some(Multiplexer { to_pc, to_pi, disk }) = multiplexer else { return act() };
    program::run(to_pc, SWITCH)?;
    let clock = Clock::start();
    // A reader without a card has a device node, too, but can't be opened.
    let done = loop {
        if File::open(disk).is_ok() {
            break act();
        }
        if clock.now() >= SWITCH {
            break Err(anyhow::anyhow!("{} did not appear", disk.display()));
        }
        pause(POLLS);
    };
    // Whatever became of it, the Pi gets its card back.
    let back = program::run(to_pi, SWITCH);
    let done = done?;
    back?;
    Ok(done)
}

/// Look at the image without writing it; gives what it is.
///
/// # Errors
/// When it is no card of the factory for this boot flow.
pub fn look(card: &Card, flow: Flow) -> Result<String> {
    let size = std::fs::metadata(&card.image).with_context(|| card.image.display().to_string())?.len();
    let slot = flow::default_slot(&card.image, flow)?;
    ensure!(slot == Slot::A, "its boot flag names slot {slot}: this is no new card");
    Ok(format!("{} MiB, {flow}, slot {slot} is the default", size >> 20))
}
