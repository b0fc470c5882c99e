use super::fake_pi::pty;
use crate::run::pi::{bench::SerialLine, serial::Serial};
use nix::unistd::ttyname;
use std::{
    io::{Read as _, Write as _},
    time::Duration,
};

const LONG: Duration = Duration::from_secs(60);

#[test]
fn bytes_go_both_ways_as_they_are() {
    let (mut master, slave) = pty();
    let line = SerialLine { port: ttyname(&slave).unwrap(), baud: 115_200 };
    let mut serial = Serial::open(&line).unwrap();
    assert!(serial.read(Duration::ZERO).unwrap().is_empty());
    // What a terminal that isn't raw would change or act on: returns, line ends, ^C, ^D, ^S.
    let bytes = b"\r\n\x03\x04\x13\x11\x00\xff";
    master.write_all(bytes).unwrap();
    let mut got = Vec::new();
    while got.len() < bytes.len() {
        got.extend(serial.read(LONG).unwrap());
    }
    assert_eq!(got, bytes);
    serial.write(bytes).unwrap();
    let mut back = [0; 8];
    master.read_exact(&mut back).unwrap();
    assert_eq!(&back, bytes);
}

#[test]
fn a_port_that_is_pulled_out_is_an_error() {
    let (master, slave) = pty();
    let mut serial = Serial::open(&SerialLine { port: ttyname(&slave).unwrap(), baud: 9600 }).unwrap();
    drop((master, slave));
    let error = serial.read(LONG).unwrap_err().to_string();
    assert!(error.contains("is gone"), "{error}");
}
