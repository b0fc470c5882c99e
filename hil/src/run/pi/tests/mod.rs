mod bench;
mod check;
mod console;
mod fake_pi;
mod port;
mod releases;
mod scenarios;
