//! `golive emulator`

use std::io::{BufRead as _, BufReader};
use std::process::Child;

use crate::place::{Place, live};

/// Ends the server however the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Starts a server of its own; gives its address.
fn start(place: &Place, line: &str) -> (Running, String) {
    let mut child = Running(place.start(line));
    let mut first = String::new();
    BufReader::new(child.0.stdout.as_mut().unwrap()).read_line(&mut first).unwrap();
    let address = first.trim().strip_prefix("listening on ").expect("an address").to_owned();
    (child, address)
}

#[test]
fn it_serves_what_the_seed_says_and_golive_works_against_it() {
    let mut place = Place::new();
    place.write("seed.yml", "offers: {contoso/vm: {previewVersion: 2, liveVersion: 1}}");
    place.write("offers/vm.yaml", live("contoso/vm", ""));
    let (_running, address) =
        start(&place, "emulator --listen 127.0.0.1:0 --seed seed.yml --step-time 10ms");
    place.env("GOLIVE_ENDPOINT", &address);
    place
        .golive("apply offers --wait --poll 10ms")
        .code(0)
        .stdout_has("contoso/vm  Live   InProduction  version 2 is live");
    place.golive("apply offers").code(0).stdout_has("Nothing to do");
}

#[test]
fn it_takes_only_the_token_it_was_given() {
    let mut place = Place::new();
    place.write("seed.yml", "offers: {contoso/vm: {}}");
    place.write("offers/vm.yaml", live("contoso/vm", ""));
    let (_running, address) =
        start(&place, "emulator --listen 127.0.0.1:0 --seed seed.yml --token another");
    place.env("GOLIVE_ENDPOINT", &address);
    place.golive("plan offers").code(1).stdout_has("401 Unauthorized");
    place.env("GOLIVE_TOKEN", "another");
    place.golive("plan offers --detailed-exitcode").code(2);
}

#[test]
fn a_seed_that_is_none_or_an_address_that_is_taken_is_an_error() {
    let place = Place::with_seed("{}");
    place
        .golive("emulator --seed nowhere.yml")
        .code(1)
        .stdout("")
        .stderr_has("cannot read the seed nowhere.yml");
    place.write("seed.yml", "offers: {vm: {}}");
    place
        .golive("emulator --seed seed.yml")
        .code(1)
        .stdout("")
        .stderr_has("expected publisher/offer");
    place.golive("emulator --listen here").code(64).stdout("");
}
