//! What a channel offers, by delta: what `check` says of it, and what may be fetched.
use crate::{
    check::shelve,
    delta_draft::DeltaDraft,
    draft::{Draft, parts},
    fixture::product,
    pi::Pi,
    rig::Rig,
    shop::{Made, SEEN, channel, device, publish, shop, stock},
};
use bistable::source::Memory;

/// The good release, as shops have them.
fn good() -> Made {
    let bundle = &product().good;
    let mut contents = parts(bundle).into_iter().skip(4).map(|part| bundle[part.content].to_vec());
    let signed = contents.next().unwrap();
    let release = Draft::of(bundle, &product().root.root).release;
    Made { release, signed, blobs: contents.collect() }
}

fn offering(delta: Option<&DeltaDraft>) -> Memory {
    let mut shop = shop();
    let offer = stock(&mut shop, &good());
    publish(&mut shop, &channel(SEEN + 1, vec![offer]));
    shop.files.extend(delta.into_iter().flat_map(DeltaDraft::files));
    shop
}

fn pi(delta: Option<&DeltaDraft>) -> Pi {
    let Rig { pi, .. } = device();
    shelve(&pi, "shop", &offering(delta));
    pi
}

/// Bytes of lists and data, without and with the delta.
fn sizes(delta: &DeltaDraft) -> [u64; 2] {
    let full: usize = parts(&product().good)[5..].iter().map(|part| part.content.len()).sum();
    let files = delta.files();
    let by_delta: usize = files[1..].iter().map(|(_, bytes)| bytes.len()).sum();
    [full as u64, by_delta as u64]
}

#[test]
fn check_says_what_a_delta_saves() {
    let delta = DeltaDraft::of_product();
    let [full, by_delta] = sizes(&delta);
    assert!(by_delta < full);
    let with = pi(Some(&delta));
    let megabytes =
        |bytes: u64| format!("{}.{} MB", bytes.div_ceil(100_000) / 10, bytes.div_ceil(100_000) % 10);
    let text = format!(
        "update to 1.1.0: `bistable update` ({} of {} by delta from 1.0.0)",
        megabytes(by_delta),
        megabytes(full)
    );
    let found = with.run("check --source @shop").must(0, &[]);
    assert!(found.out.contains(&text), "{text}: {found:#?}");
    let json = with.run("check --source @shop --json").must(0, &[]).json();
    let download = &json["download"];
    assert_eq!(
        [&download["bytes"], &download["full_bytes"], &download["delta_from"]],
        [&by_delta.into(), &full.into(), &serde_json::Value::from("1.0.0")],
        "{json:#}"
    );
    let without = pi(None);
    let json = without.run("check --source @shop --json").must(0, &[]).json();
    assert_eq!(json["download"]["bytes"], full);
    assert!(json["download"]["delta_from"].is_null(), "{json:#}");
    // One that can't be used is said, and no failure.
    let bad = pi(Some(&delta.clone().with(|d| d.delta.head.product = "kitchen".into())));
    let ended = bad.run("check --source @shop --json").must(0, &["the delta is not used"]);
    assert!(!ended.err.contains("delta_refused"), "the same once more, for a log: {}", ended.err);
    let json = ended.json();
    assert_eq!(json["download"]["bytes"], full);
}

#[test]
fn an_update_by_delta_from_a_channel() {
    let with = pi(Some(&DeltaDraft::of_product()));
    with.run("update --source @shop").must(0, &["by delta"]);
    with.run("resume").must(0, &[]);
    with.rests("B", "1.1.0");
    with.slot_a_is_untouched();
}

/// Nothing is begun that would fetch more than is allowed; naming the version installs it all the same.
#[test]
fn what_is_fetched_without_being_named_is_bounded() {
    let delta = DeltaDraft::of_product();
    let [full, by_delta] = sizes(&delta);
    for (config, with_delta, code, words) in [
        (format!("max_download = {by_delta}"), true, 0, "by delta"),
        (format!("max_download = {}", by_delta - 1), true, 75, "`update.max_download` allows"),
        (format!("max_download = {}", full - 1), false, 75, "`update.max_download` allows"),
        (format!("max_download = {full}"), false, 0, "state: staged"),
        ("deltas_only = true".into(), true, 0, "by delta"),
        ("deltas_only = true".into(), false, 75, "there is no usable delta"),
    ] {
        let pi = pi(with_delta.then_some(&delta));
        pi.config(&format!("[update]\n{config}\n"));
        let checked = pi.run("check --source @shop");
        assert!(checked.out.contains("update to 1.1.0: `bistable update"), "{checked:?}");
        let refused = checked.out.split_once("not by itself").is_some_and(|(_, why)| why.contains(words));
        assert_eq!(refused, code == 75, "{checked:?}");
        checked.must(0, &[]);
        pi.run("install --source @shop").must(code, &[words]);
        if code == 75 {
            pi.is_unharmed();
            pi.run("install 1.1.0 --source @shop").must(0, &["state: staged"]);
        }
        // What is there isn't fetched again, whatever is allowed by now.
        pi.config("[update]\nmax_download = 1\ndeltas_only = true\n");
        pi.run("install --source @shop").must(0, &[]);
        pi.slot_a_is_untouched();
    }
}

#[test]
fn network_that_costs_needs_a_delta_unless_the_owner_says_how_much_or_it_is_brought() {
    let delta = DeltaDraft::of_product();
    let [full, _] = sizes(&delta);
    for (config, with_delta, code, words) in [
        ("metered = true".to_owned(), true, 0, "by delta"),
        ("metered = true".to_owned(), false, 75, "`update.metered` is set"),
        (format!("metered = true\nmax_download = {full}"), false, 0, "state: staged"),
    ] {
        let pi = pi(with_delta.then_some(&delta));
        pi.config(&format!(
            "[source]\nurls = [{:?}]\n[update]\n{config}\n",
            pi.path("shop").display().to_string()
        ));
        pi.run("install").must(code, &[words]);
        if code == 75 {
            pi.run("offer @shop").must(0, &["state: staged"]);
        }
        pi.slot_a_is_untouched();
    }
}

/// Full data for what the running system is no good for counts, too.
#[test]
fn full_data_of_stale_chunks_counts_and_what_is_written_stays() {
    use bistable_boot::{Slot, layout::Partition};
    let delta = DeltaDraft::of_product();
    let [_, by_delta] = sizes(&delta);
    let mut pi = pi(Some(&delta));
    pi.config(&format!("[update]\nmax_download = {by_delta}\n"));
    let size = product().range(Partition::System(Slot::A));
    let bytes = usize::try_from(size.end - size.start).unwrap();
    pi.scribble(Partition::System(Slot::A), 0, &crate::fixture::noise(8, bytes));
    pi.remember_slot_a();
    pi.run("install --source @shop").must(75, &["`update.max_download` allows"]);
    assert_eq!(pi.status()["state"], "installing");
    pi.slot_a_is_untouched();
    pi.run("install 1.1.0 --source @shop").must(0, &["state: staged"]);
}

/// Whatever is wrong with the delta, and whenever that is found: no volume is fetched whole.
#[test]
fn deltas_only_holds_when_the_delta_turns_out_to_be_useless() {
    use bistable_boot::{Slot, layout::Partition};
    let delta = DeltaDraft::of_product();
    for at in 0..delta.files().len() {
        let mut shop = offering(Some(&delta));
        let (path, _) = delta.files().swap_remove(at);
        shop.files.get_mut(&path).unwrap().fill(0);
        let Rig { pi, .. } = device();
        shelve(&pi, "shop", &shop);
        pi.config("[update]\ndeltas_only = true\n");
        pi.run("install --source @shop").must(75, &["there is no usable delta"]);
        pi.slot_a_is_untouched();
        pi.run("install 1.1.0 --source @shop").must(0, &["state: staged"]);
    }
    // Chunks of a base that was changed are no volume.
    let mut pi = pi(Some(&delta));
    pi.config("[update]\ndeltas_only = true\n");
    let size = product().range(Partition::System(Slot::A));
    let bytes = usize::try_from(size.end - size.start).unwrap();
    pi.scribble(Partition::System(Slot::A), 0, &crate::fixture::noise(8, bytes));
    pi.remember_slot_a();
    pi.run("install --source @shop")
        .must(0, &["chunks of the running system changed since it was installed"]);
    pi.slot_a_is_untouched();
}
