//! `golive emulator`

use std::io::{BufRead as _, BufReader};
use std::process::Child;

use crate::test_env::{TestEnv, live};

/// Ends the server when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Starts a server; returns its address.
fn start(env: &TestEnv, line: &str) -> (Running, String) {
    let mut child = Running(env.start(line));
    let mut first = String::new();
    BufReader::new(child.0.stdout.as_mut().unwrap()).read_line(&mut first).unwrap();
    let address = first.trim().strip_prefix("listening on ").expect("an address").to_owned();
    (child, address)
}

#[test]
fn golive_works_against_the_served_seed() {
    let mut env = TestEnv::new();
    env.write("seed.yml", "offers: {contoso/vm: {previewVersion: 2, liveVersion: 1}}");
    env.write("offers/vm.yaml", live("contoso/vm", ""));
    let (_running, address) =
        start(&env, "emulator --listen 127.0.0.1:0 --seed seed.yml --step-time 10ms");
    env.set_env("GOLIVE_ENDPOINT", &address);
    env.golive("apply offers --wait --poll 10ms")
        .code(0)
        .stdout_has("contoso/vm  Live   InProduction  version 2 is live");
    env.golive("apply offers").code(0).stdout_has("Nothing to do");
}

#[test]
fn only_the_given_token_is_accepted() {
    let mut env = TestEnv::new();
    env.write("seed.yml", "offers: {contoso/vm: {}}");
    env.write("offers/vm.yaml", live("contoso/vm", ""));
    let (_running, address) =
        start(&env, "emulator --listen 127.0.0.1:0 --seed seed.yml --token another");
    env.set_env("GOLIVE_ENDPOINT", &address);
    env.golive("plan offers").code(1).stdout_has("401 Unauthorized");
    env.set_env("GOLIVE_TOKEN", "another");
    env.golive("plan offers --detailed-exitcode").code(2);
}

#[test]
fn an_invalid_seed_or_address_is_an_error() {
    let env = TestEnv::with_seed("{}");
    env.golive("emulator --seed nowhere.yml")
        .code(1)
        .stdout("")
        .stderr_has("cannot read the seed nowhere.yml");
    env.write("seed.yml", "offers: {vm: {}}");
    env.golive("emulator --seed seed.yml")
        .code(1)
        .stdout("")
        .stderr_has("expected publisher/offer");
    env.golive("emulator --listen here").code(64).stdout("");
}
