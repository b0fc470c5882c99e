//! Whole programs: the device as a process of its own, on a card that is a file, with bundles that are as they should
//! be and bundles that aren't.
#![allow(
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::redundant_closure_for_method_calls,
    clippy::unwrap_used,
    reason = "test code: a panic is a failure, files are throw-away, output shows which case it was"
)]
mod attempts;
mod bad_bundles;
mod bad_cards;
mod bad_config;
mod bad_media;
#[cfg(all(feature = "daemon", target_os = "linux"))]
mod bound;
mod browser;
mod bundle_bits;
mod card_components;
mod check;
mod component_channel;
mod component_daemon;
mod components;
#[cfg(feature = "daemon")]
mod daemon;
#[cfg(all(feature = "daemon", target_os = "linux"))]
mod daemon_process;
mod dead_ends;
#[cfg(all(feature = "daemon", target_os = "linux"))]
mod degradation;
#[cfg(target_os = "linux")]
mod delta_base;
mod delta_bundle;
mod delta_channel;
mod delta_draft;
mod delta_random;
mod delta_source;
mod demands;
mod deploy;
mod draft;
#[cfg(target_os = "linux")]
mod environment;
mod equivocation;
mod events;
mod fixture;
mod fleet_lock;
mod follow_channel;
mod following;
mod health;
mod kept_floors;
mod lost_flag;
mod lost_state;
mod memory;
#[cfg(all(feature = "daemon", target_os = "linux"))]
mod monitoring;
mod operator_checks;
mod pi;
mod policy;
mod power_cut;
#[cfg(feature = "daemon")]
mod pre_hooks;
#[cfg(target_os = "linux")]
mod real_block;
#[cfg(target_os = "linux")]
mod real_board;
#[cfg(all(feature = "daemon", target_os = "linux"))]
mod receiver;
mod recovery;
#[cfg(all(feature = "daemon", target_os = "linux"))]
mod reload;
mod rig;
mod rotation;
mod sbom;
#[cfg(all(feature = "daemon", target_os = "linux"))]
mod schemathesis;
mod shop;
#[cfg(target_os = "linux")]
mod signals;
mod site_page;
mod source_contract;
mod source_github;
mod source_http;
mod source_install;
mod source_memory;
mod source_server;
#[cfg(target_os = "linux")]
mod steps;
mod sysroot;
mod system_root;
#[cfg(all(feature = "daemon", target_os = "linux"))]
mod telling;
#[cfg(all(feature = "daemon", target_os = "linux"))]
mod toll;
mod uboot;
mod update_flow;
mod vectors;
#[cfg(all(feature = "daemon", target_os = "linux"))]
mod web_page;
#[cfg(all(feature = "daemon", target_os = "linux"))]
mod web_process;
#[cfg(all(feature = "daemon", target_os = "linux"))]
mod wellbeing;
mod writes;
